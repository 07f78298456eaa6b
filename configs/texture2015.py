"""Gatys, Ecker & Bethge 2015, "Texture Synthesis Using Convolutional Neural Networks".

    python -m experiments.stylize --config=configs/texture2015.py --config.style=texture.jpg \\
        --workdir=runs/texture

Numbers from leongatys/DeepTextures. The code's final histogram matching of the colours is not part of
the optimisation and not applied here; its bounds are the range of the source picture, here [0, 1].

Expect, through `vgg19-8bit`, 256 pixels and The Starry Night: 2019 evaluations, total 2.42e9 -> 2.80e7,
3.45e7 at 500 steps; stars, cypresses and hills of the painting in other places.

Arguments: `calibrated` for any network; `smoke`.
"""

from nstjax import presets
from nstjax.config import calibrated, default_config, parse_arg, smoke


def get_config(arg=None):
    arg = parse_arg(arg, calibrated=False, smoke=False)
    config = default_config()
    config.content = ""
    config.size = 256  # about 256 x 256 pixels
    config.steps = 2000  # maxiter
    config.optimizer = "lbfgs"
    config.optimizer_args.memory_size = 20  # maxcor
    config.normalise = True
    config.pooling = "average"
    config.pooling_size = "ceil"  # of Caffe
    config.init = "noise"
    config.noise_scale = 1 / 255  # standard normal, in network units
    config.terms.update(presets.deep_textures())
    config = calibrated(config) if arg.calibrated else config
    config = smoke(config) if arg.smoke else config
    config.lock()
    return config
