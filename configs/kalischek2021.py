"""Kalischek, Wegner & Schindler 2021, "In the light of feature distributions: moment matching for NST".

    python -m experiments.stylize --config=configs/kalischek2021.py \\
        --config.content=photo.jpg --config.style=painting.jpg --workdir=runs/kalischek

Central moments of five taps before the ReLU, from the content. The program stops when the loss stays
within 1e-3 of its running average; here all steps are made.

Expect, through `vgg19-8bit`, The Golden Gate Bridge and The Starry Night at 384 x 288 pixels: total 0.563 ->
0.0080 in 780 of the 1000 steps, 0.45 s each on two CPU cores; swirls, stars and palette of the painting over
a bridge that is all there, without a content term.

Arguments: `alpha=1` the share of style (1 in the program: no content term); `calibrated` for any network;
`smoke`.
"""

from nstjax import presets
from nstjax.config import calibrated, default_config, parse_arg, smoke
from nstjax.errors import UserError


def get_config(arg=None):
    arg = parse_arg(arg, alpha=1.0, calibrated=False, smoke=False)
    if not 0 < arg.alpha <= 1:
        raise UserError(f"alpha must be above 0 and at most 1; got {arg.alpha}")
    config = default_config()
    config.size = 720
    config.normalise = True  # features of order 1, as those of torchvision's network are, for the sigmoid
    config.steps = 1000
    config.optimizer = "adam"
    config.learning_rate = 0.1 * 0.225  # 0.1 of pixels divided by the deviation of ImageNet's
    config.init = "content"
    config.terms.update(presets.kalischek2021(arg.alpha))
    config = calibrated(config) if arg.calibrated else config
    config = smoke(config) if arg.smoke else config
    config.lock()
    return config
