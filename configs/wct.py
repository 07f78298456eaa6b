"""Li et al. 2017, "Universal Style Transfer via Feature Transforms": any style, no training.

    python -m experiments.universal --config=configs/wct.py --config.content=photo.jpg \\
        --config.style=painting.jpg --workdir=runs/wct
    python -m experiments.sweep --config=configs/wct.py:vary=alpha --workdir=runs/wct_alpha

Arguments, comma-separated:

  transform=wct  or adain, histogram, mean_shift: what is done to the features of each level.
  texture        a texture from noise: no content, alpha 1, three passes.
  smoke          64 pixels.

For a sweep, and then at 256 pixels:

  vary=transform  WCT beside AdaIN, histogram matching and mean shift, at alpha 1, levels 4 to 1.
  vary=alpha      0.2 to 1 beside 0.6, levels 4 to 1.
  vary=levels     from coarse to fine beside the reverse, and beside fewer levels.
  pairs=FILE      lines of a content and a style, separated by a comma.

Keys of its own: `levels`, in the order in which they are applied; `alpha`, how far features are moved, one
for all levels or one for each; `transform_args`; `passes`; `init`, "content" or "noise" (`seed`); `weights`,
a weight set with decoders or a folder of published models (`nstjax.universal.levels.load`), their
`preprocessing` where it is not known (`nstjax.networks.load`), and `decoders`, a file of your own for any
other weight set (configs/decoder.py); `tile`, above which a picture is done in
windows; `measured_by`, the weight set whose losses measure the pictures of a sweep. `style_weights`
interpolates styles, `content_mask` and `style_mask` pair regions by their colours, as for any experiment.

Expect a picture at 512 pixels in 9 seconds on two CPU cores, most of which compile. With `mini` the
cup is painted broadly: its decoder of level 5 loses small shapes; `--config.levels=4,3,2,1` keeps them.
The slim models of Wang et al. 2020 keep the shapes at all five levels and have finer strokes.

What the paper claims, measured by `experiments.claims --config=configs/wct.py --config.size=256` on 4
photographs and 6 paintings of the package. Of the covariance distance of content to style, so much is left
when one level alone is transferred, decoded and encoded anew (geometric means over 24 pairs), and in so
many pairs WCT < AdaIN < mean shift < content:

            mini: WCT   AdaIN   shift   pairs   slim models: WCT   AdaIN   shift   pairs
  relu5_1         .29     .29     .29       5                .14     .19     .38      12
  relu4_1         .52     .55     .60      13                .56     .70     .75      11
  relu3_1         .55     .65     .81       8               1.07     .65     .92       2
  relu2_1         .50     .56     .94       7                .79     .52     .96       1
  relu1_1         .44     .63     .95       3                .35     .58     .92      12

So it holds on average through `mini` but at relu5_1, whose decoder decides more than the transform (.30 are
left without any), and through the slim models not at relu3_1 and relu2_1. Before decoding WCT leaves less
than 1e-6, AdaIN .24 to .85 and mean shift, which leaves covariances alone, all. Levels from 5 to 1 leave less
than from 1 to 5 in all pairs (.37 against .95, slim .16 against .52, mean of the levels, alpha .6). A larger
alpha leaves less of the style's distance in all pairs through `mini`, and moves further from the content on
average from .2 on: at 0, five levels that only encode and decode are further than at .2, so that all six
alphas are in order in 5 of 24 pairs. Through the slim models the two hold in 16 and 17 of 24 pairs, and on
average always.
"""

from nstjax.config import default_transfer_config, parse_arg
from nstjax.errors import UserError, nearest
from nstjax.sweeps import design

PAIRS = (
    ("example:coffee", "example:brushwork"),
    ("example:chelsea", "example:mosaic"),
    ("example:astronaut", "example:woodblock"),
)
ORDERS = {
    "5 to 1": (5, 4, 3, 2, 1),
    "1 to 5": (1, 2, 3, 4, 5),
    "4 to 1": (4, 3, 2, 1),
    "3 to 1": (3, 2, 1),
    "1 alone": (1,),
}
VARIED = {
    "transform": {name: {"transform": name} for name in ("wct", "adain", "histogram", "mean_shift")},
    "alpha": {str(alpha): {"alpha": (alpha,)} for alpha in (0.2, 0.4, 0.6, 0.8, 1.0)},
    "levels": {name: {"levels": order} for name, order in ORDERS.items()},
}
BASELINE = {"transform": "wct", "alpha": "0.6", "levels": "5 to 1"}
ARGUMENTS = {"transform": "wct", "texture": False, "smoke": False, "vary": "", "pairs": ""}


def get_config(arg=None):
    arg = parse_arg(arg, **ARGUMENTS)
    config = default_transfer_config()
    config.content = "" if arg.texture else config.content
    config.size = 64 if arg.smoke else 256 if arg.vary else config.size
    # Sec. 3.3: from coarse to fine. Decoder 5 of `mini` is too weak to compare other things through.
    config.levels = (4, 3, 2, 1) if arg.vary in ("transform", "alpha") else config.levels
    # The code's default; sec. 4.3 for textures.
    config.alpha = (1.0,) if arg.texture or arg.vary == "transform" else config.alpha
    config.transform = arg.transform
    config.passes = 3 if arg.texture else 1  # the code's for textures
    config.init = "noise" if arg.texture else "content"
    config.lock()
    return config


def get_sweep(arg=None):
    arg = parse_arg(arg, **ARGUMENTS)
    if arg.vary not in VARIED:
        raise UserError(f"vary={arg.vary} is unknown{nearest(arg.vary, VARIED)}")
    varied = design.factor(arg.vary, VARIED[arg.vary])
    points = design.product(varied, design.pairs(design.pairs_of(arg, PAIRS)))
    return design.Design(points=points, baseline={arg.vary: BASELINE[arg.vary]}, repeats=("pair",))
