"""Transfers any style to a picture without training, or paints a texture from noise.

python -m experiments.universal --config=configs/wct.py --config.content=photo.jpg \\
    --config.style=painting.jpg --workdir=runs/universal
"""

from absl import flags
from ml_collections import config_flags

from experiments import command
from nstjax import universalrun

_CONFIG = config_flags.DEFINE_config_file("config", None, "The transfer.", lock_config=True)
_WORKDIR = flags.DEFINE_string("workdir", None, "The run folder to make.")


def main(_):
    left = universalrun.stylise(_CONFIG.value, _WORKDIR.value, command=command.line())
    return f"picture: {left['picture']}"


if __name__ == "__main__":
    command.run(main, required=["config", "workdir"])
