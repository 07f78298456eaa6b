"""Pooling, start and Gatys' weight normalisation, every combination: what else decides about a picture.

    python -m experiments.sweep --config=configs/pooling_init.py --workdir=runs/pooling_init

Each combination optimises through its own network; all are measured through that of the first, average
pooling of normalised weights. Taps are calibrated, so that a network whose features are larger does not
pull harder. From coarse to fine.

Expect, in ten minutes on two CPU cores: the start decides most. From the content the cup and the cat stay
(distance to the content .98, mean of 12), from noise they dissolve into strokes (1.40), from the style its
own composition shines through (1.24). Average pooling keeps a little more of the content than max (1.13
against 1.28) and has a little less grain (.098 against .104); L2 is between them. Normalised weights of
`mini` paint more coarsely and keep less of fine shapes.

Arguments: `pairs=FILE`; `smoke`.
"""

from nstjax import presets
from nstjax.config import default_config, parse_arg, smoke, term
from nstjax.sweeps import design


def get_config(arg=None):
    arg = parse_arg(arg, pairs="", smoke=False)
    config = default_config()
    config.weights = "mini"
    config.size = 256
    config.noise_scale = 0.1
    config.calibrate = "taps"
    config.terms.content = term("feature", "relu4_2", reference="content")
    config.terms.style = term("gram", presets.STYLE_TAPS, weight=20.0)
    config.stages = (
        {"size": 128, "steps": 120, "learning_rate": 0.05},
        {"size": 256, "steps": 60, "learning_rate": 0.02},
    )
    config = smoke(config) if arg.smoke else config
    config.lock()
    return config


def get_sweep(arg=None):
    arg = parse_arg(arg, pairs="", smoke=False)
    kept = 1 if arg.smoke else None
    return design.Design(
        points=design.product(
            design.factor("pooling", ("average", "max", "l2")[: 2 if arg.smoke else None]),
            design.factor("init", ("content", "noise", "style")[:kept]),
            design.factor("normalise", (True, False)[:kept]),
            design.pairs(design.pairs_of(arg)),
        ),
        baseline={"pooling": "average", "init": "content", "normalise": "True"},
        repeats=("pair",),
    )
