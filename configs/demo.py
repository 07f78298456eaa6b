"""The demo: a cup of coffee, painted.

python -m experiments.stylize --config=configs/demo.py --workdir=runs/demo
"""

from nstjax.config import default_config, parse_arg, smoke, term


def get_config(arg=None):
    arg = parse_arg(arg, smoke=False)
    config = default_config()
    config.weights = "random-slim"
    config.size = 384
    config.steps = 200
    config.terms.content = term("feature", "relu4_2", reference="content", weight=1.0)
    config.terms.style = term("gram", ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1"), weight=1.0)
    config = smoke(config) if arg.smoke else config
    config.lock()
    return config
