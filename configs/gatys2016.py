"""Gatys, Ecker & Bethge 2016, "Image Style Transfer Using Convolutional Neural Networks".

    python -m experiments.stylize --config=configs/gatys2016.py \\
        --config.content=photo.jpg --config.style=painting.jpg --workdir=runs/gatys

Argument, comma-separated, e.g. `configs/gatys2016.py:variant=code,optimizer=adam`:

  variant=normalised  the paper's network (normalised VGG-19, average pooling) with the weights that the
                      authors released for it (leongatys/NeuralImageSynthesis). The default.
  variant=code        leongatys/PytorchNeuralStyleTransfer: original network, max pooling, started from
                      the content, pixels free of bounds until the result is written.
  variant=paper       equations 1-7 as printed, with alpha / beta = 1e-3. Does not hold: a sum over all
                      content features against a mean over Gram entries keeps the photograph as it is.
  optimizer=lbfgs     or adam.
  blocks=5            3 keeps to taps up to relu3_4 with content relu3_4, for weights that end there.

Expect, measured with blocks=3, 384 x 288 pixels, two CPU cores, Tübingen and The Starry Night:

  lbfgs, 500 steps  510 evaluations in 6 minutes; total 1.24e9 -> 7.6e5; at 300 steps 8.0e5 already
  adam, 300 steps   300 evaluations, total 9.6e5; every wall and the sky painted, a little more grain
  paper, 150 steps  at 256 pixels: still a photograph; the style loss falls to 55 % of its start
"""

from nstjax.config import default_config, parse_arg, smoke, term
from nstjax.errors import UserError, nearest

VARIANTS = ("normalised", "code", "paper")
CHANNELS = (64, 128, 256, 512, 512)


def get_config(arg=None):
    arg = parse_arg(arg, variant="normalised", optimizer="lbfgs", blocks=5, smoke=False)
    if arg.variant not in VARIANTS:
        raise UserError(f"variant {arg.variant!r} is unknown{nearest(arg.variant, VARIANTS)}")
    if arg.blocks not in (3, 5):
        raise UserError(f"blocks must be 3 or 5; got {arg.blocks}")
    style_taps = tuple(f"relu{b}_1" for b in range(1, arg.blocks + 1))  # sec. 3
    content_tap = "relu4_2" if arg.blocks == 5 else "relu3_4"  # sec. 3
    config = default_config()
    config.size = 512  # sec. 3: pictures of about 512 x 512
    config.steps = 500  # both programs: 500 iterations
    config.optimizer = arg.optimizer  # sec. 2.3: L-BFGS
    if arg.optimizer == "adam":
        # The gradient shrinks ten-thousandfold in the first fifty steps; a longer memory of its squares
        # than ten steps leaves Adam standing (our choice, measured; the paper has L-BFGS alone).
        config.optimizer_args.b2 = 0.9
        config.learning_rate = 0.01
    config.normalise = arg.variant != "code"  # sec. 2
    config.pooling = "max" if arg.variant == "code" else "average"  # sec. 2
    config.init = "content"  # figure 6 and both programs; the paper's figures start from noise
    if arg.variant == "normalised":
        content, style = 1e6, 1e9  # NeuralImageSynthesis, normalised network
        config.terms.content = term("feature", content_tap, reference="content", weight=content)
        config.terms.style = term("gram", style_taps, weight=style / len(style_taps))
    elif arg.variant == "code":
        config.project = False
        per_tap = tuple(1e3 / c**2 for c in CHANNELS[: arg.blocks])
        config.terms.content = term("feature", content_tap, reference="content", weight=1.0)
        config.terms.style = term("gram", style_taps, tap_weights=per_tap)
    else:
        config.terms.content = term("feature_sum", content_tap, reference="content", weight=1e-3)
        config.terms.style = term("gram", style_taps, convention="gatys2016", weight=1 / len(style_taps))
    config = smoke(config) if arg.smoke else config
    config.lock()
    return config
