"""Runs a sweep: what a config's `get_sweep()` says, each point once.

python -m experiments.sweep --config=configs/showdown.py --workdir=runs/showdown

The same command goes on where it was stopped. Exit status 1 says that points failed, and why; the others are
finished then.
"""

import runpy

from absl import flags
from ml_collections import config_flags

from experiments import command
from nstjax import sweep, sweeprun
from nstjax.errors import FailedError, UserError

_CONFIG = config_flags.DEFINE_config_file("config", None, "A config with get_sweep().", lock_config=True)
_WORKDIR = flags.DEFINE_string("workdir", None, "The folder of the sweep, to make or to go on with.")
_AT_MOST = flags.DEFINE_integer("at_most", 16, "How many points to run together.", lower_bound=1)


def main(argv):
    path, _, argument = command.named_config(argv).partition(":")
    module = runpy.run_path(path)
    if "get_sweep" not in module:
        raise UserError(
            f"config {path} has no function get_sweep; expected a sweep, or use experiments.stylize"
        )
    planned = module["get_sweep"](argument or None)
    configs = sweep.configs(_CONFIG.value, planned)
    stand = sweeprun.run_points(configs, _WORKDIR.value, at_most=_AT_MOST.value, command=command.line())
    if stand.failed:
        reasons = (f"{name}: {reason}" for name, reason in stand.failed.items())
        raise FailedError("; ".join([f"{len(stand.failed)} of {len(configs)} points failed", *reasons]))
    return f"finished: {len(stand.finished)} points in {_WORKDIR.value}/points"


if __name__ == "__main__":
    command.run(main, required=["config", "workdir"])
