"""Runs a sweep: what a config's `get_sweep()` says, each point once, then measures all and writes the report.

python -m experiments.sweep --config=configs/showdown.py --workdir=runs/showdown

The same command goes on where it was stopped. Exit status 1 says that points failed, and why; the others are
finished then. To share the points among processes, on one machine or more, start the same command in each
with --distributed, in one workdir.
"""

import shlex
import sys
from pathlib import Path

from absl import flags
from ml_collections import config_flags

from experiments import command
from nstjax import sweeps
from nstjax.errors import FailedError, UserError

_CONFIG = config_flags.DEFINE_config_file("config", None, "A config with get_sweep().", lock_config=True)
_WORKDIR = command.define_path("workdir", "The folder of the sweep, to make or to go on with.")
_AT_MOST = flags.DEFINE_integer("at_most", 16, "How many points to run together.", lower_bound=1)
_ONLY = flags.DEFINE_multi_string("only", None, "A point to run, by its name; the others are left out.")
_MEASURE = flags.DEFINE_bool("measure", True, "Measure every picture by every loss, and write the report.")
_DISTRIBUTED = flags.DEFINE_bool("distributed", False, "Share the points with others of this command.")


def main(argv):
    named = command.named_config(argv)
    path = named.partition(":")[0]
    design = command.called(named, "get_sweep", "; expected a sweep, or use experiments.stylize")
    if not isinstance(design, sweeps.Design):
        raise UserError(f"config {path}: get_sweep must return a Design, not {type(design).__name__}")
    options = sweeps.Options(
        at_most=_AT_MOST.value,
        only=tuple(_ONLY.value or ()),
        measure=_MEASURE.value,
        title=Path(path).stem,
        command=command.line(),
        command_of_sweep=_command_of_sweep(),
        shared=_DISTRIBUTED.value,
    )
    summary = sweeps.run(_CONFIG.value, design, _WORKDIR.value, options)
    finished, failed = len(summary.finished), len(summary.failed)
    if failed:
        reasons = (f"{name}: {reason}" for name, reason in summary.failed.items())
        raise FailedError("; ".join([f"{failed} of {finished + failed} points failed", *reasons]))
    outputs = (f"{name}: {path}" for name, path in summary.outputs.items())
    return "\n".join([f"finished: {finished} points", *outputs])


def _command_of_sweep():
    """The command line without what says how to run, to which a report adds --only."""
    words, kept = iter(sys.orig_argv[1:]), []
    for word in words:
        flag, equals, _ = word.lstrip("-").partition("=")
        if flag in ("only", "at_most"):
            None if equals else next(words, None)
        elif flag not in ("distributed", "nodistributed", "measure", "nomeasure"):
            kept.append(word)
    return f"python {shlex.join(kept)}"


if __name__ == "__main__":
    command.run(main, required=["config", "workdir"])
