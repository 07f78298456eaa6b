"""Five ways to enlarge features in a network that paints, everything else the same: which leave a grid?

    python -m experiments.sweep --config=configs/upsampling.py --config.data=photographs \\
        --config.content=photo.jpg --workdir=runs/upsampling

One style, one seed, the same batches. The picture is that of the content through each network, untrained and
trained; `checkerboard` (`nstjax.metrics`) measures the pattern that up-sampling leaves.

Expect, with 145 photographs, Tübingen and `vgg19-8bit`, ten minutes a network on two CPU cores that had other
work:

  up-sampling   checkerboard: untrained, trained
  transposed3     64   656   grid of single pixels, coloured, all over
  transposed4     74   669   the same
  nearest         30   320   strokes, no grid to be seen; what repeats are the strokes
  bilinear         8   173   strokes, no grid, the smoothest
  subpixel        76  1210   the coarsest grid

and 3 for the photograph. So training does not unlearn the grid of a transposed convolution, with a kernel of
4 x 4 as little as of 3 x 3, and interpolation leaves none: what the literature says of the two holds here.

Arguments: `steps=600`, of training; `smoke`.
"""

from nstjax import presets
from nstjax.config import calibrated, default_training_config, parse_arg, smoke_training, term
from nstjax.networks.transformer import UPSAMPLINGS
from nstjax.sweeps import design

ARGUMENTS = {"steps": 600, "smoke": False}


def get_config(arg=None):
    arg = parse_arg(arg, **ARGUMENTS)
    config = default_training_config()
    config.style = "example:mosaic"
    config.network_args = {"widths": (16, 32, 64), "output": "sigmoid", "upsampling": "nearest"}
    config.crop = 128
    config.steps = arg.steps
    config.optimizer = "muon"
    config.learning_rate = 2e-2
    config.schedule = "cosine_decay_schedule"
    config.schedule_args = {"init_value": 1.0, "decay_steps": arg.steps}
    config.terms.content = term("feature", "relu3_1", reference="content")
    config.terms.style = term("gram", presets.STYLE_TAPS[:4])
    config = calibrated(config)
    config = smoke_training(config) if arg.smoke else config
    config.lock()
    return config


def get_sweep(arg=None):
    arg = parse_arg(arg, **ARGUMENTS)
    trained = {"untrained": {"steps": 1}, "trained": {}}
    ways = {way: {"network_args.upsampling": way} for way in UPSAMPLINGS[: 2 if arg.smoke else None]}
    return design.Design(
        points=design.product(design.factor("network", trained), design.factor("upsampling", ways)),
        baseline={"network": "trained", "upsampling": "nearest" if not arg.smoke else UPSAMPLINGS[0]},
    )
