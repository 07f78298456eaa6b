"""The demo: a cup of coffee, painted.

    python -m experiments.stylize --config=configs/demo.py --workdir=runs/demo

Nothing is fetched: the network has random weights. They know colours and contrasts at several scales
but no brush. Expect the palette of the painting and a rough surface, in half a minute on two CPU cores.
"""

from nstjax.config import default_config, parse_arg, smoke, term


def get_config(arg=None):
    arg = parse_arg(arg, smoke=False)
    config = default_config()
    config.weights = "random-slim"
    config.pooling = "average"
    config.size = 384
    config.steps = 200
    config.learning_rate = 0.01
    style_taps = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
    config.terms.content = term("feature", "relu4_2", reference="content", weight=1.0)
    config.terms.style = term("gram", style_taps, weight=1.0)
    # Random filters leave grain that trained ones do not.
    config.terms.tv = term("tv_nine_point", "image", reference="content", weight=5.0)
    config = smoke(config) if arg.smoke else config
    config.lock()
    return config
