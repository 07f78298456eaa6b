"""A network that paints photographs in one style in one pass (Johnson et al. 2016).

    python -m experiments.train --config=configs/johnson2016.py --config.data=photographs \\
        --config.style=painting.jpg --workdir=runs/johnson2016
    python -m experiments.apply --network=runs/johnson2016/network.safetensors --inputs=photo.jpg --out=...

The objective is that of jcjohnson/fast-neural-style, through VGG-19 in the place of VGG-16: features at
relu3_3, Gram matrices at four taps, a little total variation.

Expect: not measured yet.

Arguments: `calibrated` for any network that scores; `smoke`.
"""

from nstjax import presets
from nstjax.config import calibrated, default_training_config, parse_arg, smoke_training


def get_config(arg=None):
    arg = parse_arg(arg, calibrated=False, smoke=False)
    config = default_training_config()
    config.style = "example:mosaic"
    config.network = "fast_neural_style"
    config.crop = 256  # make_style_dataset.py
    config.batch = 4  # -batch_size
    config.steps = 40000  # -num_iterations
    config.learning_rate = 1e-3  # -learning_rate
    config.terms.update(presets.fast_neural_style())
    config = calibrated(config) if arg.calibrated else config
    config = smoke_training(config) if arg.smoke else config
    config.lock()
    return config
