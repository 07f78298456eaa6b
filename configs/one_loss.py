"""Content and one style loss, of equal force: what each loss does to the same picture.

    python -m experiments.losses_sheet --config=configs/one_loss.py \\
        --config.content=photo.jpg --config.style=painting.jpg --workdir=runs/losses

or one of them, as any experiment: `--config=configs/one_loss.py:loss=cmd`. The same content, style,
start, steps and network for all; each term is divided by the norm of its gradient at the content under
noise, so that the weight of the style is its share of the gradient there, whatever the loss. A loss
that compares with the content, or with nothing, is added to a Gram loss.

Expect, through `vgg19-8bit` at 192 pixels, 42 minutes for all on two CPU cores that had other work
(docs/losses.jpg: The Golden Gate Bridge after The Starry Night). Gram, its relatives and first moments bring
colours and strokes, and a star or two; moments of more than one order, Gaussian transport and `mmd_gaussian`
more of both and the dark foreground; `correlation`, `contextual`, `mrf`, `moments_l1` and `relaxed_emd` a sky
of stars, the last two a cypress in the place of the tower. `colour_histogram` and `palette` change colours
alone, and dither. Three feature losses beside Gram are one picture, as they are multiples of each other; so
are the four of total variation, nearly; `value_range` does nothing where the optimiser projects to [0, 1],
as it does here.

Arguments: `loss=gram`; `smoke`.
"""

from nstjax import presets
from nstjax.config import default_config, parse_arg, smoke, term

CONTENT = "relu4_2"
OF_CONTENT = ("feature", "feature_deep_photo", "feature_sum", "self_similarity")
OF_THE_PICTURE = (
    *("laplacian", "matting", "tv_anisotropic", "tv_corner", "tv_isotropic", "tv_nine_point"),
    "value_range",
)


def get_config(arg=None):
    arg = parse_arg(arg, loss="gram", smoke=False)
    config = default_config()
    config.size = 256
    config.steps = 150
    config.learning_rate = 0.02
    config.normalise = True
    config.pooling = "average"
    config.calibrate = "terms"
    config.terms.content = term("feature", CONTENT, reference="content")
    if arg.loss in OF_CONTENT + OF_THE_PICTURE:
        config.terms.style = presets.style_term("gram", weight=20.0)
        tap = CONTENT if arg.loss in OF_CONTENT else "image"
        config.terms.added = term(arg.loss, tap, reference="content", weight=1.0)
    else:
        config.terms.style = presets.style_term(arg.loss, weight=20.0)
    config = smoke(config) if arg.smoke else config
    config.lock()
    return config
