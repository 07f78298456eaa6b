"""The demo: a cat in stained glass, painted through VGG-19.

    python -m experiments.stylize --config=configs/demo.py --workdir=runs/demo

Content, Gram and total variation, from coarse to fine. Each term is divided by the norm of its gradient at
the start, so that the weights say how hard the terms pull, whatever the network: `--config.weights=mini`
paints quicker, through the small encoder.

Expect the colours and the leaded panes of the painting, laid along the lines of the cat, in less than a
minute on two CPU cores.

Arguments: `size=320`; `smoke`.
"""

from nstjax.config import default_config, parse_arg, smoke, term


def get_config(arg=None):
    arg = parse_arg(arg, size=320, smoke=False)
    config = default_config()
    config.content = "example:chelsea"
    config.style = "example:stained_glass"
    config.pooling = "average"  # max pooling leaves grain
    config.size = arg.size
    config.conv = "direct"  # so few steps do not repay Winograd's longer compiling
    config.calibrate = "terms"
    style_taps = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
    config.terms.content = term("feature", "relu4_2", reference="content", weight=1.0)
    config.terms.style = term("gram", style_taps, weight=20.0)
    config.terms.tv = term("tv_nine_point", "image", reference="content", weight=1.0)
    # Large shapes first, then their details.
    config.stages = (
        {"size": arg.size // 2, "steps": 40, "learning_rate": 0.06},
        {"size": arg.size, "steps": 20, "learning_rate": 0.03},
    )
    config = smoke(config) if arg.smoke else config
    config.lock()
    return config
