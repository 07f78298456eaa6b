"""Optimisers at equal numbers of evaluations of objective and gradient, line searches counted.

    python -m experiments.sweep --config=configs/optimizers.py --workdir=runs/optimizers

One Gram objective from the content. Every optimiser stops with the step that reaches 300 evaluations; their
learning rates are those of `RATES`. In the report, curves against evaluations or seconds.

Expect, in seven minutes on two CPU cores that have other work: L-BFGS lowest after 300 evaluations, a total
of 2.28 and 7.21 for the two pairs, then AdaBelief (2.98, 8.83) and Adam (3.07, 8.95), Lion and RMSprop (3.16
to 11.0), gradient descent last (11.6, 16.4).

Arguments: `evaluations=300`; `pairs=FILE`; `smoke`.
"""

from nstjax import presets
from nstjax.config import default_config, parse_arg, smoke, term
from nstjax.sweeps import design

RATES = {"lbfgs": 1.0, "adam": 0.02, "adabelief": 0.02, "rmsprop": 0.01, "lion": 0.005, "sgd": 0.1}


def get_config(arg=None):
    arg = parse_arg(arg, evaluations=300, pairs="", smoke=False)
    config = default_config()
    config.weights = "mini"
    config.size = 256
    config.steps = arg.evaluations
    config.max_evaluations = arg.evaluations
    config.pooling = "average"
    config.calibrate = "terms"
    config.terms.content = term("feature", "relu4_2", reference="content")
    config.terms.style = term("gram", presets.STYLE_TAPS, weight=20.0)
    config = smoke(config) if arg.smoke else config
    config.lock()
    return config


def get_sweep(arg=None):
    arg = parse_arg(arg, evaluations=300, pairs="", smoke=False)
    settings = {name: {"optimizer": name, "learning_rate": rate} for name, rate in RATES.items()}
    return design.Design(
        points=design.product(
            design.factor("optimizer", dict(list(settings.items())[: 2 if arg.smoke else None])),
            design.pairs(design.pairs_of(arg)),
        ),
        baseline={"optimizer": "lbfgs"},
        repeats=("pair",),
    )
