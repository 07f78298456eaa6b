"""Runs a sweep: what a config's `get_sweep()` says, each point once, then measures all and writes the report.

python -m experiments.sweep --config=configs/showdown.py --workdir=runs/showdown

The same command goes on where it was stopped. Exit status 1 says that points failed, and why; the others are
finished then. On several machines, the same command on each with --distributed, and one workdir for all.
"""

import contextlib
import runpy
import shlex
import sys
from pathlib import Path

import jax
from absl import flags
from ml_collections import config_flags

from experiments import command
from nstjax.errors import FailedError, UserError, nearest, notify
from nstjax.runs import folder
from nstjax.sweeps import design, kinds, measure
from nstjax.sweeps import report as sweepreport
from nstjax.sweeps import run as sweeprun

_CONFIG = config_flags.DEFINE_config_file("config", None, "A config with get_sweep().", lock_config=True)
_WORKDIR = flags.DEFINE_string("workdir", None, "The folder of the sweep, to make or to go on with.")
_AT_MOST = flags.DEFINE_integer("at_most", 16, "How many points to run together.", lower_bound=1)
_ONLY = flags.DEFINE_multi_string("only", None, "A point to run, by its name; the others are left out.")
_MEASURE = flags.DEFINE_bool("measure", True, "Measure every picture by every loss, and write the report.")
_DISTRIBUTED = flags.DEFINE_bool("distributed", False, "One of several processes, as jax.distributed finds.")
_COORDINATOR = flags.DEFINE_string("coordinator", None, "HOST:PORT of the first, where that is not found.")
_PROCESSES = flags.DEFINE_integer("processes", None, "How many there are, where that is not found.")
_PROCESS = flags.DEFINE_integer("process", None, "Which this is, from 0, where that is not found.")


def main(argv):
    path, _, argument = command.named_config(argv).partition(":")
    module = runpy.run_path(path)
    if "get_sweep" not in module:
        raise UserError(
            f"config {path} has no function get_sweep; expected a sweep, or use experiments.stylize"
        )
    planned = module["get_sweep"](argument or None)
    configs = design.configs(_CONFIG.value, planned)
    if _DISTRIBUTED.value:
        jax.distributed.initialize(_COORDINATOR.value, _PROCESSES.value, _PROCESS.value)
    workdir, first = Path(_WORKDIR.value).expanduser().absolute(), jax.process_index() == 0
    with contextlib.closing(folder.hold(workdir)) if first else contextlib.nullcontext():
        points = sweeprun.load(configs, workdir)
        chosen = _chosen(points)
        for note in dict.fromkeys(note for point in chosen.values() for note in point.notes):
            notify(f"note: {note}")
        if first:
            sweeprun.write_plan(design.plan(planned, Path(path).stem, _plain_command()), workdir)
        stand = sweeprun.run_points(chosen, workdir, at_most=_AT_MOST.value, command=command.line())
        left = {}
        if _MEASURE.value:
            baseline = next(design.name(p) for p in planned.points if design.is_baseline(planned, p))
            kind = kinds.of(configs[baseline])
            encoder = kind.encoder(points[baseline])
            measure.measure_points(sweeprun.share(chosen), workdir, encoder, kind.subject)
            sweeprun.everyone("the points are measured")
            left = sweepreport.write(workdir) if first else {}
    if stand.failed:
        reasons = (f"{name}: {reason}" for name, reason in stand.failed.items())
        raise FailedError("; ".join([f"{len(stand.failed)} of {len(chosen)} points failed", *reasons]))
    return "\n".join([f"finished: {len(stand.finished)} points", *(f"{k}: {v}" for k, v in left.items())])


def _chosen(points):
    """Those of the points that --only names; all without it."""
    for name in _ONLY.value or ():
        if name not in points:
            raise UserError(f"--only: the sweep has no point {name!r}{nearest(name, points)}")
    return {name: point for name, point in points.items() if name in (_ONLY.value or points)}


def _plain_command():
    """The command line without what says how to run, to which a report adds --only."""
    words, kept = iter(sys.orig_argv[1:]), []
    for word in words:
        flag, equals, _ = word.lstrip("-").partition("=")
        if flag in ("only", "at_most", "coordinator", "processes", "process"):
            None if equals else next(words, None)
        elif flag not in ("distributed", "nodistributed", "measure", "nomeasure"):
            kept.append(word)
    return f"python {shlex.join(kept)}"


if __name__ == "__main__":
    command.run(main, required=["config", "workdir"])
