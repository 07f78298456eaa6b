"""Li et al. 2017, "Universal Style Transfer via Feature Transforms": any style, no training.

    python -m experiments.universal --config=configs/wct.py --config.content=photo.jpg \\
        --config.style=painting.jpg --workdir=runs/wct

Arguments, comma-separated:

  transform=wct  or adain, histogram, mean_shift: what is done to the features of each level.
  texture        a texture from noise: no content, alpha 1, three passes.
  smoke          64 pixels.

Keys of its own: `levels`, in the order in which they are applied; `alpha`, how far features are moved, one
for all levels or one for each; `transform_args`; `passes`; `init`, "content" or "noise" (`seed`); `weights`,
a weight set with decoders or a folder of slim models (`nstjax.levels.load`). `style_weights` interpolates
styles, `content_mask` and `style_mask` pair regions by their colours, as for any experiment.

Expect a picture at 512 pixels in 9 seconds on one CPU core, all but 2 of which compile. With `mini` the
cup is painted broadly: its decoder of level 5 loses small shapes; `--config.levels=4,3,2,1` keeps them.
The slim models of Wang et al. 2020 keep the shapes at all five levels and have finer strokes.
"""

import ml_collections

from nstjax.config import parse_arg


def get_config(arg=None):
    arg = parse_arg(arg, transform="wct", texture=False, smoke=False)
    config = ml_collections.ConfigDict()
    config.content = "" if arg.texture else "example:coffee"
    config.style = "example:brushwork"
    config.style_weights = ()
    config.content_mask = ""
    config.style_mask = ""
    config.mask_mode = "area"
    config.size = 64 if arg.smoke else 512
    config.style_size = 0  # that of the content
    config.weights = "mini"
    config.decoders = ""  # those that come with the weights
    config.measured_by = "mini"
    config.levels = (5, 4, 3, 2, 1)  # sec. 3.3: from coarse to fine
    config.alpha = (1.0,) if arg.texture else (0.6,)  # the code's default; sec. 4.3 for textures
    config.transform = arg.transform
    config.transform_args = ml_collections.ConfigDict()
    config.passes = 3 if arg.texture else 1  # the code's for textures
    config.init = "noise" if arg.texture else "content"
    config.seed = 0
    config.tile = 1024  # pixels; 0 for any size at once
    config.lock()
    return config
