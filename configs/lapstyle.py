"""Li, Xu, Nie & Chua 2017, "Laplacian-Steered Neural Style Transfer".

    python -m experiments.stylize --config=configs/lapstyle.py \\
        --config.content=photo.jpg --config.style=painting.jpg --workdir=runs/lapstyle

neural-style with one more term: the Laplacian of the picture, pooled by 4, stays that of the content. Edges
of the photograph survive where the Gram loss alone would paint over them; `laplacian=0` shows that.

Expect, through `vgg19-8bit`, The Golden Gate Bridge and The Starry Night at 384 x 288 pixels, 1002
evaluations (25 minutes on two CPU cores that had other work), a total of 3.72e7 -> 3.87e6: every cable of
the bridge still there, sea and sky in short strokes, the photograph's light kept. Through `mini`, whose
features are smaller, the Laplacian keeps the photograph as it is: these weights are for the network that
they were made for.

Arguments: `optimizer=lbfgs` or `adam`; `laplacian=100` the weight; `calibrated` for any network; `smoke`.
"""

from nstjax import presets
from nstjax.config import calibrated, default_config, parse_arg, smoke


def get_config(arg=None):
    arg = parse_arg(arg, optimizer="lbfgs", laplacian=100.0, calibrated=False, smoke=False)
    config = default_config()
    config.size = 512
    config.pooling_size = "ceil"  # of Caffe
    config.steps = 1000
    config.init = "content"  # ours; the program starts from noise by default
    config.optimizer = arg.optimizer
    if arg.optimizer == "lbfgs":
        config.optimizer_args.memory_size = 100  # as neural-style
    else:
        config.learning_rate = 10 / 255  # as neural-style
    config.terms.update(presets.lapstyle())
    config.terms.laplacian.weight = arg.laplacian
    config = calibrated(config) if arg.calibrated else config
    config = smoke(config) if arg.smoke else config
    config.lock()
    return config
