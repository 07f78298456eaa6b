"""How much style: one objective at many ratios of style to content.

    python -m experiments.sweep --config=configs/weights.py --workdir=runs/weights

Each term is divided by the norm of its gradient at the content under noise, so that the weight of the style
is how many times harder than the content it pulls there. All ratios of a pair of pictures run together, as
one program.

Expect, for each of two pairs, a row of pictures from the photograph to its shapes in the painting's colours
and strokes, through `mini` at 256 pixels, which keeps the cup and the cat even at 100. At small ratios a
coloured line runs along the border, where zeros surround the features.

Arguments: `pairs=FILE`, lines of a content and a style; `smoke` (two ratios, one pair).
"""

from nstjax import presets
from nstjax.config import default_config, parse_arg, smoke, term
from nstjax.sweeps import design

RATIOS = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)


def get_config(arg=None):
    arg = parse_arg(arg, pairs="", smoke=False)
    config = default_config()
    config.weights = "mini"
    config.size = 256
    config.steps = 150
    config.learning_rate = 0.02
    config.pooling = "average"
    config.calibrate = "terms"
    config.terms.content = term("feature", "relu4_2", reference="content")
    config.terms.style = term("gram", presets.STYLE_TAPS)
    config = smoke(config) if arg.smoke else config
    config.lock()
    return config


def get_sweep(arg=None):
    arg = parse_arg(arg, pairs="", smoke=False)
    ratios = RATIOS[2:4] if arg.smoke else RATIOS
    return design.Design(
        points=design.product(
            design.factor("terms.style.weight", ratios), design.pairs(design.pairs_of(arg))
        ),
        baseline={"terms.style.weight": "1.0"},
        repeats=("pair",),
    )
