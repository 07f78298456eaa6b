"""Gatys, Ecker & Bethge 2015, "Texture Synthesis Using Convolutional Neural Networks".

    python -m experiments.stylize --config=configs/texture2015.py --config.style=texture.jpg \\
        --workdir=runs/texture

Numbers from leongatys/DeepTextures. The code's final histogram matching of the colours is not part of
the optimisation and not applied here; its bounds are the range of the source picture, here [0, 1].

Expect a new texture of the same strokes, colours and motifs with nothing where it was; measured with
blocks=3, 256 pixels, 500 steps, two CPU cores, The Starry Night: 527 evaluations in 4 minutes.

Argument: `blocks=3` for weights that end at relu3_4 (taps conv1_1, pool1, pool2, relu3_4 in place of
pool3 and pool4); `smoke`.
"""

from nstjax.config import default_config, parse_arg, smoke, term
from nstjax.errors import UserError


def get_config(arg=None):
    arg = parse_arg(arg, blocks=5, smoke=False)
    if arg.blocks not in (3, 5):
        raise UserError(f"blocks must be 3 or 5; got {arg.blocks}")
    config = default_config()
    config.content = ""
    config.size = 256  # about 256 x 256 pixels
    config.steps = 2000  # maxiter
    config.optimizer = "lbfgs"
    config.optimizer_args.memory_size = 20  # maxcor
    config.normalise = True
    config.pooling = "average"
    config.init = "noise"
    config.noise_scale = 1 / 255  # standard normal, in network units
    deep = ("pool3", "pool4") if arg.blocks == 5 else ("relu3_4",)
    taps = ("relu1_1", "pool1", "pool2", *deep)  # conv1_1 (rectified), pool1 ... pool4
    config.terms.style = term("gram", taps, convention="deep_textures", weight=1e9)
    config = smoke(config) if arg.smoke else config
    config.lock()
    return config
