"""Transfers any style to a picture without training, or paints a texture from noise.

    python -m experiments.universal --config=configs/wct.py --config.content=photo.jpg \\
        --config.style=painting.jpg --workdir=runs/universal

With --contents, every style to every content, into WORKDIR/STYLE/CONTENT.png and a sheet; a folder of
frames is done in their order, and the same command goes on where it was stopped:

    python -m experiments.universal --config=configs/wct.py --contents=frames \\
        --styles=painting.jpg,example:mosaic --workdir=runs/universal
"""

from absl import flags
from ml_collections import config_flags

from experiments import command
from nstjax import runs
from nstjax.errors import UserError
from nstjax.runs import grid

_CONFIG = config_flags.DEFINE_config_file("config", None, "The transfer.", lock_config=True)
_WORKDIR = command.define_path("workdir", "The run folder to make.")
_CONTENTS = flags.DEFINE_list(
    "contents", [], "Pictures, or a folder of them, in the place of config.content."
)
_STYLES = flags.DEFINE_list("styles", [], "Pictures, one after the other, in the place of config.style.")
_RESTART = flags.DEFINE_bool("restart", False, "Replace the run of one picture that is in the folder.")


def main(_):
    config, workdir, line = _CONFIG.value, _WORKDIR.value, command.line()
    if _CONTENTS.value and _RESTART.value:
        raise UserError("--restart replaces the run of one picture; with --contents give another workdir")
    if _CONTENTS.value:
        outputs = grid.run(config, _CONTENTS.value, _STYLES.value, workdir, line)
    elif _STYLES.value:
        raise UserError("--styles is given without --contents; give both, or config.content and config.style")
    else:
        outputs = runs.run(config, workdir, line, restart=_RESTART.value)
    return "\n".join(f"{name}: {path}" for name, path in outputs.items())


if __name__ == "__main__":
    command.run(main, required=["config", "workdir"])
