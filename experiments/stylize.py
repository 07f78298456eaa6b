"""Stylises a photograph.

python -m experiments.stylize --config=configs/gatys2016.py --config.content=photo.jpg \\
    --config.style=painting.jpg --workdir=runs/mine
"""

from absl import flags
from ml_collections import config_flags

from experiments import command
from nstjax import runs

_CONFIG = config_flags.DEFINE_config_file("config", None, "The experiment.", lock_config=True)
_WORKDIR = command.define_path("workdir", "The run folder to make, or to go on with.")
_RESTART = flags.DEFINE_bool("restart", False, "Replace a run that is in the folder.")


def main(_):
    outputs = runs.run(_CONFIG.value, _WORKDIR.value, command.line(), restart=_RESTART.value)
    return "\n".join(f"{kind + ':':8} {path}" for kind, path in outputs.items())


if __name__ == "__main__":
    command.run(main, required=["config", "workdir"])
