"""The demo's sweep: three losses, each at two weights, on one photograph and one painting.

    python -m experiments.sweep --config=configs/demo_sweep.py --workdir=runs/demo_sweep

Expect, through `mini`: colours and strokes of the painting on the cup from Gram and sliced Wasserstein
losses, and its suns from `mrf`, the more the larger the weight. By the Gram loss itself, the pictures of
sliced Wasserstein end closer to the painting than those of Gram.

Five losses measure the pictures, since a demo is short; without `losses` all would.

Arguments: `size=160`; `smoke`.
"""

from nstjax import presets
from nstjax.config import default_config, parse_arg, smoke, term
from nstjax.sweeps import design

# All pairs of patches are too many at relu1_1 for a demo.
LOSSES = {
    "gram": presets.style_term("gram"),
    "sliced_wasserstein": presets.style_term("sliced_wasserstein"),
    "mrf": term("mrf", ("relu2_1", "relu3_1", "relu4_1", "relu5_1")),
}
WEIGHTS = {"gentle": 2.0, "strong": 40.0}


def get_config(arg=None):
    arg = parse_arg(arg, size=160, smoke=False)
    config = default_config()
    config.weights = "mini"
    config.pooling = "average"
    config.size = arg.size
    config.calibrate = "terms"
    config.terms.content = term("feature", "relu4_2", reference="content")
    config.terms.style = LOSSES["gram"].copy_and_resolve_references()
    config.terms.tv = term("tv_nine_point", "image", reference="content", weight=0.5)
    config.steps = 40
    config.learning_rate = 0.05
    config = smoke(config) if arg.smoke else config
    config.lock()
    return config


def get_sweep(arg=None):
    parse_arg(arg, size=160, smoke=False)
    losses = {loss: {"terms.style": made} for loss, made in LOSSES.items()}
    weights = {name: {"terms.style.weight": weight} for name, weight in WEIGHTS.items()}
    return design.Design(
        points=design.product(design.factor("loss", losses), design.factor("style", weights)),
        baseline={"loss": "gram", "style": "strong"},
        losses=(*LOSSES, "mean_std", "colour_histogram"),
    )
