"""jcjohnson/neural-style at its defaults.

    python -m experiments.stylize --config=configs/neural_style.py \\
        --config.content=photo.jpg --config.style=painting.jpg --workdir=runs/neural_style

Every number is a default of neural_style.lua. Two things differ, both because the reported loss here is
the one that is minimised: the total variation is part of the objective (there only its gradient is),
and L-BFGS has a line search. Noise of 0.001 around the mean is `init=noise`; the program's own default
is `-init random`.

Expect a painted picture in which the palette follows the style closely; about 45 minutes on two CPU
cores at 512 pixels: an estimate from the measured cost of a step at 256 pixels, not a run. Not yet compared
with the program itself.

Argument: `optimizer=adam` for `-optimizer adam` (learning rate 10 of 255 grey levels); `smoke`.
"""

from nstjax.config import default_config, parse_arg, smoke, term


def get_config(arg=None):
    arg = parse_arg(arg, optimizer="lbfgs", smoke=False)
    config = default_config()
    config.size = 512  # -image_size
    config.steps = 1000  # -num_iterations
    config.pooling = "max"  # -pooling
    config.init = "noise"  # -init random
    config.noise_scale = 0.001 / 255  # torch.randn():mul(0.001), in network units
    config.optimizer = arg.optimizer  # -optimizer
    if arg.optimizer == "lbfgs":
        config.optimizer_args.memory_size = 100  # nCorrection in the program
    else:
        config.learning_rate = 10 / 255  # -learning_rate
    config.project = False
    style_taps = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")  # -style_layers
    config.terms.content = term("feature", "relu4_2", reference="content", weight=5.0)
    config.terms.style = term("gram", style_taps, convention="neural_style", weight=100.0)
    config.terms.tv = term(
        "tv_corner",
        "image",
        reference="content",
        pixel_range=256.0,
        weight=1e-3,  # -tv_weight
    )
    config = smoke(config) if arg.smoke else config
    config.lock()
    return config
