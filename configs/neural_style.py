"""jcjohnson/neural-style at its defaults.

    python -m experiments.stylize --config=configs/neural_style.py \\
        --config.content=photo.jpg --config.style=painting.jpg --workdir=runs/neural_style

Every number is a default of neural_style.lua. Two things differ, both because the reported loss here is
the one that is minimised: the total variation is part of the objective (there only its gradient is),
and L-BFGS has a line search. Noise of 0.001 around the mean is `init=noise`; the program's own default
is `-init random`.

Expect, through `vgg19-8bit`, Tübingen and The Starry Night at 384 x 288 pixels: 1018 evaluations in 14
minutes on two CPU cores that had other work, total 7.10e7 -> 1.20e6; houses and river as in the photograph,
in the painting's blues and yellows and in short strokes, without its swirls. Not yet compared with the
program itself.

Arguments: `optimizer=adam` for `-optimizer adam` (learning rate 10 of 255 grey levels); `calibrated` for
any network; `smoke`.
"""

from nstjax import presets
from nstjax.config import calibrated, default_config, parse_arg, smoke


def get_config(arg=None):
    arg = parse_arg(arg, optimizer="lbfgs", calibrated=False, smoke=False)
    config = default_config()
    config.size = 512  # -image_size
    config.steps = 1000  # -num_iterations
    config.pooling = "max"  # -pooling
    config.pooling_size = "ceil"  # of Caffe
    config.init = "noise"  # -init random
    config.noise_scale = 0.001 / 255  # torch.randn():mul(0.001), in network units
    config.optimizer = arg.optimizer  # -optimizer
    if arg.optimizer == "lbfgs":
        config.optimizer_args.memory_size = 100  # nCorrection in the program
    else:
        config.learning_rate = 10 / 255  # -learning_rate
    config.project = False
    config.terms.update(presets.neural_style())
    config = calibrated(config) if arg.calibrated else config
    config = smoke(config) if arg.smoke else config
    config.lock()
    return config
