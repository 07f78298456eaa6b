"""Li & Wand 2016, "Combining Markov Random Fields and Convolutional Neural Networks for Image Synthesis".

    python -m experiments.stylize --config=configs/mrf.py \\
        --config.content=photo.jpg --config.style=painting.jpg --workdir=runs/mrf

Each 3 x 3 patch of features is drawn to the patch of the style that is most like it, at three scales.
With `copies`, so it is to the patches of 25 copies of the style, turned by up to 15 degrees and up to 1.1
times as large or small.

Expect, seen with Adam and blocks 1-3 of the real weights and 1e-4 at relu3_1 alone (`beyond_weights=drop`
scales it to 2e-4 now), 384 pixels, four minutes on two CPU cores: the photograph in fine strokes, its own
colours kept, and from noise, as in the program, nearly the same picture, in which the patches are three
quarters of the objective: patches of relu3_1 alone find their like, content at relu3_4 leaves them little
room, and relu4_1 is not there. `one_loss.py:loss=mrf` pulls harder, at finer taps too, and brings whole
stars. Through `mini`, whose features are smaller, total variation blurs all.

Arguments: `optimizer=lbfgs` or `adam`; `copies`; `calibrated` for any network; `smoke`.
"""

from nstjax import presets
from nstjax.config import calibrated, default_config, parse_arg, smoke


def get_config(arg=None):
    arg = parse_arg(arg, optimizer="lbfgs", copies=False, calibrated=False, smoke=False)
    config = default_config()
    config.size = 384
    config.optimizer = arg.optimizer
    if arg.optimizer == "lbfgs":
        config.optimizer_args.memory_size = 25  # nCorrection
    config.init = "content"  # ours; noise in the program by default
    config.terms.update(presets.mrf())
    if arg.copies:  # two steps of pi / 24 and of a factor of 1.05 either way
        config.style_angles = (-15.0, -7.5, 0.0, 7.5, 15.0)
        config.style_scales = tuple(1.05**i for i in range(-2, 3))
    # Three octaves, 100 steps at the first and 200 at the others.
    config.stages = ({"size": 96, "steps": 100}, {"size": 192, "steps": 200}, {"size": 384, "steps": 200})
    config = calibrated(config) if arg.calibrated else config
    config = smoke(config) if arg.smoke else config
    config.lock()
    return config
