"""Heitz, Vanhoey, Chambon & Belcour 2021, "A Sliced Wasserstein Loss for Neural Texture Synthesis".

    python -m experiments.stylize --config=configs/heitz2021.py --config.style=texture.jpg --workdir=runs/swd

Texture synthesis from noise: sorted projections of twelve taps, on directions drawn anew at each step.
Two things differ from the authors' program: Adam for their L-BFGS, whose line search needs directions that
stay, and so a learning rate and a number of steps of our choice.

Expect, through `vgg19-8bit`, 256 pixels and The Starry Night: total 55.9 -> 0.21; moon, stars, cypresses and
hills of the painting, whole and in other places. About a second a step on two CPU cores that had other work.
Through `mini`, not normalised so, noise.

Arguments: `calibrated` for any network; `smoke`.
"""

from nstjax import presets
from nstjax.config import calibrated, default_config, parse_arg, smoke


def get_config(arg=None):
    arg = parse_arg(arg, calibrated=False, smoke=False)
    config = default_config()
    config.content = ""
    config.size = 256  # in multiples of 8 there
    config.steps = 1000
    config.optimizer = "adam"
    config.learning_rate = 0.02
    config.normalise = True  # "scaled weights"
    config.pooling = "average"
    config.padding = "reflect"
    config.init = "noise"
    config.noise_scale = 0.01  # around the mean colour of the style there, around mean grey here
    config.terms.update(presets.heitz2021())
    config = calibrated(config) if arg.calibrated else config
    config = smoke(config) if arg.smoke else config
    config.lock()
    return config
