"""Runs the points of a sweep in batches: those of one structure together, each finished point once."""

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import jax

from nstjax import files, images
from nstjax.errors import CannotWrite, UserError, notify
from nstjax.folders import RunFolder
from nstjax.progress import progress_bar
from nstjax.runs import Run, outcome_files
from nstjax.sweeps.claims import claim, some, wait

# Compiled programs kept at a time; about forty exceed Linux's `vm.max_map_count`.
_KEPT = 8
_OUT_OF_MEMORY = "out of memory"


class Summary(NamedTuple):
    """How the points of a sweep stand, by their names in order.

    Attributes:
      finished: those with a picture.
      failed: {name: reason}.
      outputs: {"page": path, ...} of the report, where one was written.
    """

    finished: tuple[str, ...]
    failed: dict[str, str]
    outputs: dict[str, Path]


def run_points(points: Mapping[str, Run], workdir: Path, *, at_most: int = 16, command: str = "") -> Summary:
    """Runs what is not finished yet of the points of a sweep, each into a run folder of its own.

    A batch of points is one compiled program, in a folder `unfinished/` that a killed sweep goes on with.
    A run folder is written as a whole. A point that fails has `failed.json` in the place of `image.png`.
    Processes that share the folder claim the points of a batch before they run it; one that finds all
    claimed waits for the others, and takes over what one leaves that ends too early.

    Args:
      points: {name: Run}.
      workdir: path of the sweep; the run folders are in `points/`. The caller holds it.
      at_most: how many points to run together.
      command: the command line, for provenance.

    Returns:
      A `Summary`.
    """
    waiting, compiled, said = _not_done(points, workdir), set(), False
    structures = {name: point.structure for name, point in points.items()}
    with progress_bar(total=len(points), initial=len(points) - len(waiting), unit="point") as bar:
        while waiting:
            with _next_batch(points, waiting, structures, workdir, at_most) as names:
                if names:
                    compiled.add(structures[names[0]])
                    if len(compiled) > _KEPT:
                        jax.clear_caches()
                        compiled.clear()
                    bar.set_postfix_str(some(names))
                    _run_batch({name: points[name] for name in names}, workdir, command)
                else:
                    said = wait(waiting, said)
            waiting = [name for name in _not_done(waiting, workdir) if name not in names]
            bar.update(len(points) - len(waiting) - bar.n)
    return summary(points, workdir)


def is_done(folder: Path) -> bool:
    """Whether a run folder of a point has its picture, whole, or the reason why it has none."""
    if (folder / "failed.json").is_file():
        return True
    try:
        images.load_picture(str(folder / "image.png"))
        return True
    except UserError:
        return False


def summary(names: Iterable[str], workdir: Path) -> Summary:
    """The `Summary` of points by their run folders."""
    folders = {name: Path(workdir) / "points" / name for name in names}
    failed = {n: f / "failed.json" for n, f in folders.items() if (f / "failed.json").exists()}
    finished = tuple(n for n, f in folders.items() if n not in failed and is_done(f))
    return Summary(finished, {name: files.read_json(path)["reason"] for name, path in failed.items()}, {})


def _not_done(names, workdir):
    return [name for name in names if not is_done(workdir / "points" / name)]


@contextlib.contextmanager
def _next_batch(points, waiting, structures, workdir, at_most):
    """Yields names of points to run together, claimed: a batch that was begun, or some of one structure."""
    for begun in sorted((workdir / "unfinished").glob("batch-*/config.json")):
        try:
            names = list(files.read_json(begun))
        except UserError:  # damaged, or gone by now
            names = []
        with claim(names, workdir) as claimed:
            if claimed == names:
                if set(names) <= set(points) and _not_done(names, workdir):
                    yield names
                    return
                shutil.rmtree(begun.parent, ignore_errors=True)
    alike = {}
    for name in waiting:
        alike.setdefault(structures[name], []).append(name)
    for names in alike.values():
        with claim(names, workdir, max(1, min(at_most, points[names[0]].room))) as claimed:
            if names := _not_done(claimed, workdir):
                yield names
                return
    yield []


def _run_batch(points, workdir, command):
    """Runs points of one structure into run folders, in halves where they cannot be run together."""
    provenances = {name: run.provenance(command) for name, run in points.items()}
    configs = {name: run.config for name, run in points.items()}
    inputs = {name: provenance["inputs"] for name, provenance in provenances.items()}
    digest = hashlib.sha256(json.dumps([configs, inputs], sort_keys=True).encode()).hexdigest()[:16]
    place = workdir / "unfinished" / f"batch-{digest}"
    try:
        outcomes, rows = _outcomes(points, configs, inputs, place)
    except CannotWrite:
        raise
    except Exception as error:
        shutil.rmtree(place, ignore_errors=True)
        names = list(points)
        if len(names) > 1:
            for half in (names[: len(names) // 2], names[len(names) // 2 :]):
                _run_batch({name: points[name] for name in half}, workdir, command)
            return
        (name,) = names
        _write_failure(points[name], name, workdir, error, provenances[name])
        return
    for i, ((name, run), outcome) in enumerate(zip(points.items(), outcomes, strict=False)):
        if not is_done(workdir / "points" / name):
            for note in outcome.notes:
                notify(f"note: {name}: {note}")
            try:
                outputs = outcome_files(outcome, run.label)
                _write(run, name, workdir, outputs, provenances[name], _rows_of(i, rows))
            except CannotWrite:
                raise
            except Exception as error:
                _write_failure(run, name, workdir, error, provenances[name])
    shutil.rmtree(place)


def _write_failure(run, name, workdir, error, provenance):
    """Writes the run folder of a point that cannot be run."""
    if isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error):
        reason = _OUT_OF_MEMORY
    else:
        first = str(error).strip().partition("\n")[0]
        reason = first if isinstance(error, UserError) else f"{type(error).__name__}: {first}"
    _write(run, name, workdir, {"failed.json": {"reason": reason}}, provenance)


def _outcomes(points, configs, inputs, place):
    """The outcomes of points run together in a run folder, and the lines of its metrics.

    The last point fills the batch up to a multiple of the local devices, so that these share equally.
    """
    runs = list(points.values())
    runs += runs[-1:] * (-len(runs) % jax.local_device_count() if len(runs) > 1 else 0)
    with RunFolder(place, configs, {"inputs": inputs}) as folder:
        outcomes = type(runs[0]).run_batch(runs, folder, warm_up=True)
    logged = place / "metrics.jsonl"
    return outcomes, files.read_json_lines(logged) if logged.exists() else []


def _rows_of(index, rows):
    """The lines of a batch's metrics that are of one of its runs."""
    own = (row for row in rows if row.get("run", index) == index)
    return [{key: value for key, value in row.items() if key != "run"} for row in own]


def _write(run, name, workdir, outputs, provenance, rows=()):
    """Writes a run folder that is there as a whole or not at all."""
    new = workdir / "unfinished" / "written" / name
    shutil.rmtree(new, ignore_errors=True)
    with files.writing(new):
        new.mkdir(parents=True)
    outputs = outputs | {"config.json": run.config, "provenance.json": provenance}
    if rows:
        outputs["metrics.jsonl"] = "".join(json.dumps(row) + "\n" for row in rows)
    for file, content in outputs.items():
        files.write(new / file, content)
    if "image.png" in outputs:
        run.write_report(new)
    with files.writing(workdir / "points"):
        (workdir / "points").mkdir(exist_ok=True)
        shutil.rmtree(workdir / "points" / name, ignore_errors=True)  # one that is not done
        os.rename(new, workdir / "points" / name)
        files.sync(workdir / "points")
        files.sync(workdir)
