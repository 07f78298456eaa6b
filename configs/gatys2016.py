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
  calibrated          strengths for weights, for any network (`--config.weights=mini`).

Expect, through `vgg19-8bit`, Tübingen and The Starry Night, 512 x 384 pixels, 500 steps:

  lbfgs         501 evaluations, total 1.67e9 -> 9.78e6 on one machine and 1.08e7 on another (1.06e7 and
                1.19e7 at 300 steps): swirls, stars and a cypress over the houses and the river
  adam          total 1.2e7 at 300 steps and 1.1e7 at 480, unsteady at the end; the same kind of picture
  variant=code  514 evaluations, total 2.93e8 -> 4.42e5, 4.96e5 at 300 steps: more of the photograph's light,
                short strokes, no swirl in the sky

A step of L-BFGS takes about 1.5 s on two CPU cores; 500 took 10 s on one H100, without compilation.
`variant=code` was measured with 10 pairs, before the direction of L-BFGS left out values at their bounds.
variant=paper at 256 pixels: still a photograph after 150 steps, the style loss at 84 % of its start.
"""

from nstjax import presets
from nstjax.config import calibrated, default_config, parse_arg, smoke
from nstjax.errors import UserError, nearest

VARIANTS = ("normalised", "code", "paper")


def get_config(arg=None):
    arg = parse_arg(arg, variant="normalised", optimizer="lbfgs", calibrated=False, smoke=False)
    if arg.variant not in VARIANTS:
        raise UserError(f"variant {arg.variant!r} is unknown{nearest(arg.variant, VARIANTS)}")
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
    config.pooling_size = "floor" if arg.variant == "code" else "ceil"  # of PyTorch, of Caffe
    config.init = "content"  # figure 6 and both programs; the paper's figures start from noise
    config.project = arg.variant != "code"
    config.terms.update(getattr(presets, f"gatys2016_{arg.variant}")())
    config = calibrated(config) if arg.calibrated else config
    config = smoke(config) if arg.smoke else config
    config.lock()
    return config
