"""Runs the points of a sweep: those of one structure together, each finished point once."""

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import NamedTuple

import jax
import tqdm
from jax.experimental import multihost_utils

from nstjax import files, images
from nstjax.errors import UserError
from nstjax.runs.cache import Cache
from nstjax.runs.folder import RunFolder
from nstjax.sweeps import kinds

# Structures whose programs are kept: those of some forty are more pieces of memory than Linux lets a
# process map.
_KEPT = 8


class Summary(NamedTuple):
    """How the points of a sweep stand, by their names in order.

    Attributes:
      finished: those with a picture.
      failed: {name: reason}.
    """

    finished: tuple[str, ...]
    failed: dict[str, str]


def load(configs, workdir):
    """The points of a sweep read, and what is wrong with any of them before one is run.

    Args:
      configs: {name: ConfigDict}, from `sweep.configs`.
      workdir: path of the sweep.

    Returns:
      {name: point}, of the kind of their configs; they share pictures and weight sets.

    Raises:
      UserError: for a point that cannot be run, and a workdir that holds another sweep.
    """
    once, points = Cache(), {}
    for name, config in configs.items():
        try:
            points[name] = kinds.of(config).load(config, once)
        except UserError as error:
            raise UserError(f"{name}: {error}") from None
        there = workdir / "points" / name / "config.json"
        if there.exists() and files.read_json(there) != json.loads(json.dumps(points[name].config)):
            raise UserError(
                f"{there.parent} holds a point with another config; give the sweep another workdir"
            )
    return points


def run_points(points, workdir, *, at_most=16, command=""):
    """Runs what is not finished yet of the points of a sweep, each into a run folder of its own.

    A batch of points is one compiled program, in a folder `unfinished/` that a killed sweep goes on with.
    A run folder is written as a whole. A point that fails has `failed.json` in the place of `image.png`.
    Of several processes of `jax.distributed`, each runs its share on its own devices; all see one workdir.

    Args:
      points: from `load`.
      workdir: path of the sweep; the run folders are in `points/`. The caller holds it.
      at_most: how many points to run together.
      command: the command line, for provenance.

    Returns:
      A `Summary`.
    """
    process, processes = jax.process_index(), jax.process_count()
    batches = _batches(points, workdir, at_most, processes)
    everyone("the points are divided")
    if process == 0:
        _remove_stale(workdir, batches)
    begun, compiled = len(points) - sum(map(len, batches)), set()
    with tqdm.tqdm(total=len(points), initial=begun, disable=None, unit="point") as bar:
        for names in batches[process::processes]:
            compiled.add(_kind(points[names[0]]).structure(points[names[0]]))
            if len(compiled) > _KEPT:
                jax.clear_caches()
                compiled.clear()
            bar.set_postfix_str(names[0] + (f" and {len(names) - 1} more" if len(names) > 1 else ""))
            _run_batch({name: points[name] for name in names}, workdir, command)
            bar.update(len(names))
    everyone("the points are run")
    if process == 0:
        shutil.rmtree(workdir / "unfinished", ignore_errors=True)
    return summary(points, workdir)


def write_plan(plan, workdir):
    """Writes `sweep.json` (`sweep.plan`), which may add points to the one that is there.

    Raises:
      UserError: where another sweep is there.
    """
    path = workdir / "sweep.json"
    if path.exists():
        before = files.read_json(path)
        names = [[(f["name"], f["role"]) for f in each["factors"]] for each in (before, plan)]
        if names[0] != names[1] or before["baseline"] != plan["baseline"]:
            raise UserError(
                f"{workdir} holds another sweep, {before['title']}; give this one another workdir"
            )
    files.write_json(path, plan)


def share(points):
    """The points that this process takes, of those of `jax.distributed`."""
    return {name: points[name] for name in [*points][jax.process_index() :: jax.process_count()]}


def everyone(reached):
    """Waits until every process has come so far."""
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices(reached)


def summary(names, workdir):
    """The `Summary` of points by their run folders."""
    folders = {name: Path(workdir) / "points" / name for name in names}
    failed = {n: f / "failed.json" for n, f in folders.items() if (f / "failed.json").exists()}
    finished = tuple(n for n, f in folders.items() if (f / "image.png").exists())
    return Summary(finished, {name: files.read_json(path)["reason"] for name, path in failed.items()})


def _batches(points, workdir, at_most, processes):
    """Names of points to run together: first what was begun, then the rest by structure."""
    waiting = [name for name in points if not (workdir / "points" / name).exists()]
    batches, alike = [], {}
    for folder in sorted((workdir / "unfinished").glob("batch-*/config.json")):
        names = list(files.read_json(folder))
        if set(names) & set(waiting) and set(names) <= set(points):
            waiting = [name for name in waiting if name not in names]
            batches.append(names)
    for name in waiting:
        alike.setdefault(_kind(points[name]).structure(points[name]), []).append(name)
    for names in alike.values():
        room = _kind(points[names[0]]).room(points[names[0]])
        count = max(1, min(at_most, room, -(-len(names) // processes)))
        batches += [names[i : i + count] for i in range(0, len(names), count)]
    return batches


def _remove_stale(workdir, batches):
    """Removes what was begun and is in no batch any more."""
    for folder in (workdir / "unfinished").glob("*"):
        if (
            not (folder / "config.json").exists()
            or list(files.read_json(folder / "config.json")) not in batches
        ):
            shutil.rmtree(folder)


def _run_batch(points, workdir, command):
    configs = {name: point.config for name, point in points.items()}
    digest = hashlib.sha256(json.dumps(configs, sort_keys=True).encode()).hexdigest()[:16]
    place = workdir / "unfinished" / f"batch-{digest}"
    provenances = {name: _kind(point).provenance(point, command) for name, point in points.items()}
    inputs = {name: provenance["inputs"] for name, provenance in provenances.items()}
    names, lanes = list(points), list(points.values())
    lanes += lanes[-1:] * (-len(lanes) % jax.local_device_count() if len(lanes) > 1 else 0)
    try:
        with RunFolder(place, configs, {"inputs": inputs}) as folder:
            outcomes = _kind(lanes[0]).run(lanes, folder)
        logged = place / "metrics.jsonl"
        rows = files.read_json_lines(logged) if logged.exists() else []
    except (MemoryError, jax.errors.JaxRuntimeError) as error:
        if not (isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error)):
            raise
        shutil.rmtree(place)
        if len(names) > 1:
            for half in (names[: len(names) // 2], names[len(names) // 2 :]):
                _run_batch({name: points[name] for name in half}, workdir, command)
            return
        _write(points, names[0], provenances, workdir, {"failed.json": {"reason": "out of memory"}}, [])
        return
    for i, (name, outcome) in enumerate(zip(names, outcomes, strict=False)):
        if (workdir / "points" / name).exists():
            continue
        of_lane = [{k: v for k, v in row.items() if k != "lane"} for row in rows if row.get("lane", i) == i]
        picture = images.encode_png(outcome.image, points[name].label)
        parts = {"weights.json": outcome.weights, "cost.json": outcome.cost, "image.png": picture}
        if outcome.reason:
            parts = {"failed.json": {"reason": outcome.reason}, "last_good.png": picture}
        _write(points, name, provenances, workdir, parts, of_lane)
    shutil.rmtree(place)


def _write(points, name, provenances, workdir, parts, rows):
    """A run folder that is there as a whole or not at all."""
    new = workdir / "unfinished" / f"{name}.new"
    shutil.rmtree(new, ignore_errors=True)
    with files.writing(new):
        new.mkdir(parents=True)
    parts |= {"config.json": points[name].config, "provenance.json": provenances[name]}
    if rows:
        parts["metrics.jsonl"] = "".join(json.dumps(row) + "\n" for row in rows)
    for file, content in parts.items():
        (files.write_json if isinstance(content, dict) else files.write_atomic)(new / file, content)
    if "image.png" in parts:
        _kind(points[name]).report(points[name], new)
    with files.writing(workdir / "points"):
        (workdir / "points").mkdir(exist_ok=True)
        os.rename(new, workdir / "points" / name)


def _kind(point):
    return kinds.of(point.config)
