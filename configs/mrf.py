"""Li & Wand 2016, "Combining Markov Random Fields and Convolutional Neural Networks for Image Synthesis".

    python -m experiments.stylize --config=configs/mrf.py \\
        --config.content=photo.jpg --config.style=painting.jpg --workdir=runs/mrf

Each 3 x 3 patch of features is drawn to the patch of the style that is most like it, at three scales.
With `copies`, so it is to the patches of 25 copies of the style, turned by up to 15 degrees and up to 1.1
times as large or small.

Expect, through `vgg19-8bit`, Tübingen and The Starry Night at 384 x 288 pixels, under Adam: 500 evaluations
in 91 seconds on two CPU cores, total 3.87e7 -> 2.07e7 in the last octave; whole stars, the spire as a
cypress, the sky in long strokes and the river in the painting's foreground, over houses that are all there.
Through `mini`, whose features are smaller, total variation blurs all.

L-BFGS, which the program has without a line search, stops here at step 40 of the first octave: a patch
changes its match, the value jumps up by 1793 of 2.77e6, and no step against the gradient is lower. Adam
passes on, to 2.76e6 and less.

Arguments: `optimizer=adam` or `lbfgs`; `copies`; `calibrated` for any network; `smoke`.
"""

from nstjax import presets
from nstjax.config import calibrated, default_config, parse_arg, smoke


def get_config(arg=None):
    arg = parse_arg(arg, optimizer="adam", copies=False, calibrated=False, smoke=False)
    config = default_config()
    config.size = 384
    config.pooling_size = "ceil"  # of Caffe
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
