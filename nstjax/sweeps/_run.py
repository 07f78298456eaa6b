"""A sweep from its config and design to its report."""

import contextlib
import dataclasses
import json
import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

import ml_collections

from nstjax import files, runs
from nstjax.errors import UserError, nearest, notify
from nstjax.folders import hold
from nstjax.runs import Cache, Run
from nstjax.sweeps import batches, measure, record, report
from nstjax.sweeps.batches import Summary
from nstjax.sweeps.design import Design
from nstjax.sweeps.design import configs as make_configs


@dataclasses.dataclass(frozen=True)
class Options:
    """How to run a sweep.

    Attributes:
      at_most: how many points to run together.
      only: names of the points to run; all where there are none.
      measure: whether to measure every picture by every loss, and to write the report.
      title: of the report.
      command: the command line, for provenance.
      command_of_sweep: the command line that goes on with the sweep, to which the report adds `--only`; by
        default `command`.
      shared: whether other processes may run the same sweep in the same folder at the same time.
    """

    at_most: int = 16
    only: tuple[str, ...] = ()
    measure: bool = True
    title: str = "sweep"
    command: str = ""
    command_of_sweep: str = ""
    shared: bool = False


def run(
    config: ml_collections.ConfigDict, design: Design, workdir: str | Path, options: Options | None = None
) -> Summary:
    """Runs a sweep, or goes on with it: each point once, then measures all and writes the report.

    Several processes, on one machine or more, can share a sweep in a folder that all see: each runs the
    points that no other is at, and all end when the sweep does.

    Args:
      config: the ConfigDict that points set keys of.
      design: a `Design`.
      workdir: path of the sweep, to make or to go on with.
      options: `Options`.

    Returns:
      A `Summary` of the points chosen, those that failed among them.

    Raises:
      UserError: for a mistake in any point, before one is run, and for a workdir that is in use or holds
        another sweep.
    """
    options = options or Options()
    configs = make_configs(config, design)
    workdir = files.user_path(workdir)
    with contextlib.closing(hold(workdir, shared=options.shared)):
        points = load(configs, workdir)
        chosen = _chosen(points, options.only)
        for note in dict.fromkeys(note for point in chosen.values() for note in point.notes):
            notify(f"note: {note}")
        command = options.command_of_sweep or options.command
        record.write(record.Record(options.title, command, design), workdir)
        summary = batches.run_points(chosen, workdir, at_most=options.at_most, command=options.command)
        if options.measure:
            encoder = points[design.baseline_names[0]].measuring_encoder()
            measure.measure_points(chosen, workdir, encoder, design.losses)
            summary = summary._replace(outputs=report.write(workdir))
        if not options.shared:
            shutil.rmtree(workdir / "unfinished", ignore_errors=True)
    if options.shared:
        _tidy(workdir)
    return summary


def _tidy(workdir):
    """Removes what the work left, unless other processes are still at it."""
    if alone := files.lock(workdir / ".lock"):
        with contextlib.closing(alone):
            shutil.rmtree(workdir / "unfinished", ignore_errors=True)


def load(configs: Mapping[str, ml_collections.ConfigDict], workdir: Path) -> dict[str, Run]:
    """The points of a sweep read, and what is wrong with any of them before one is run.

    Args:
      configs: {name: ConfigDict}, from `design.configs`.
      workdir: path of the sweep.

    Returns:
      {name: Run}; they share pictures and weight sets.

    Raises:
      UserError: for a point that cannot be run, and a workdir that holds another sweep.
    """
    cache, points = Cache(), {}
    for name, config in configs.items():
        try:
            os.fsencode(name)
        except UnicodeEncodeError:
            said = f"{name}: this locale ({sys.getfilesystemencoding()}) has no such name for a folder"
            raise UserError(f"{said}; set PYTHONUTF8=1") from None
        try:
            points[name] = runs.load(config, cache)
        except UserError as error:
            raise UserError(f"{name}: {error}") from None
        _check_same(workdir / "points" / name, points[name])
    return points


def _check_same(folder, run):
    """Raises UserError where a folder holds a point with another config or other inputs."""
    if not batches.is_done(folder):
        return
    there = {
        "another config": (files.read_json(folder / "config.json"), run.config),
        "other inputs": (files.read_json(folder / "provenance.json").get("inputs"), run.inputs),
    }
    for what, (before, now) in there.items():
        if before != json.loads(json.dumps(now)):
            raise UserError(f"{folder} holds a point with {what}; give the sweep another workdir")


def _chosen(points, only):
    """The points of these names; all where there are none."""
    for name in only:
        if name not in points:
            raise UserError(f"--only: the sweep has no point {name!r}{nearest(name, points)}")
    return {name: point for name, point in points.items() if name in (only or points)}
