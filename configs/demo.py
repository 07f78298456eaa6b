"""The demo: a cup of coffee, painted through the small encoder.

    python -m experiments.stylize --config=configs/demo.py --workdir=runs/demo

Nothing is fetched: `mini` comes with the package. Expect the palette and the strokes of the painting
around a cup that is still one, in half a minute on two CPU cores.

Arguments: `size=384`; `smoke`.
"""

from nstjax.config import default_config, parse_arg, smoke, term


def get_config(arg=None):
    arg = parse_arg(arg, size=384, smoke=False)
    config = default_config()
    config.weights = "mini"
    config.pooling = "average"  # max pooling leaves grain
    config.size = arg.size
    style_taps = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
    config.terms.content = term("feature", "relu4_2", reference="content", weight=1.0)
    config.terms.style = term("gram", style_taps, weight=200.0)
    config.terms.tv = term("tv_nine_point", "image", reference="content", weight=10.0)
    # Large strokes first, then their details.
    config.stages = (
        {"size": arg.size // 2, "steps": 150, "learning_rate": 0.03},
        {"size": arg.size, "steps": 80, "learning_rate": 0.01},
    )
    config = smoke(config) if arg.smoke else config
    config.lock()
    return config
