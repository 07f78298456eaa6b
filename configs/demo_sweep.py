"""The demo's sweep: three losses, each at two weights, on one photograph and one painting.

    python -m experiments.sweep --config=configs/demo_sweep.py --workdir=runs/demo_sweep

Expect

Arguments: `size=224`; `smoke`.
"""

from nstjax import presets, sweep
from nstjax.config import default_config, parse_arg, smoke, term

LOSSES = ("gram", "sliced_wasserstein", "mrf")
WEIGHTS = {"gentle": 4.0, "strong": 40.0}


def get_config(arg=None):
    arg = parse_arg(arg, size=224, smoke=False)
    config = default_config()
    config.weights = "mini"
    config.pooling = "average"
    config.normalise = True
    config.size = arg.size
    config.calibrate = "taps"
    config.terms.content = term("feature", "relu4_2", reference="content")
    config.terms.style = presets.style_term("gram")
    config.terms.tv = term("tv_nine_point", "image", reference="content", weight=0.5)
    config.stages = (
        {"size": arg.size // 2, "steps": 100, "learning_rate": 0.03},
        {"size": arg.size, "steps": 50, "learning_rate": 0.01},
    )
    config = smoke(config) if arg.smoke else config
    config.lock()
    return config


def get_sweep(arg=None):
    parse_arg(arg, size=224, smoke=False)
    losses = {loss: {"terms.style": presets.style_term(loss)} for loss in LOSSES}
    weights = {name: {"terms.style.weight": weight} for name, weight in WEIGHTS.items()}
    return sweep.Sweep(
        points=sweep.product(sweep.factor("loss", losses), sweep.factor("style", weights)),
        baseline={"loss": "gram", "style": "strong"},
    )
