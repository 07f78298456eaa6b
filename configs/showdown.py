"""Every style loss, with everything else the same: what each does, and how the others measure it.

    python -m experiments.sweep --config=configs/showdown.py --workdir=runs/showdown

Per pair of pictures and seed: the same noise to start from, the same content term, budget and network. Each
tap of each loss is divided by the norm of its gradient at the content under noise, so that a loss pulls there
20 times as hard as the content, shared alike by its taps, whatever its units. From coarse to fine.

Expect, through all blocks of `vgg19-8bit` with normalise=True and `:seeds=1`, 46 pictures in two hours on one
busy CPU core, and three minutes to measure them: painted cups that differ in scale and order of strokes, a
cat that few losses leave in the mosaic, a sun in its place by `relaxed_emd`, few patches by `mrf`, coloured
noise by `colour_histogram`, which sees no shapes. docs/showdown.md has the table and what it shows.

Arguments: `losses=gram+cmd`, some of them, the first the baseline; `pull=20.0`, how many times as hard as
the content; `pairs=FILE`, lines of a content and a style, separated by a comma; `seeds=3`, how many starts of
each pair; `smoke`.
"""

from nstjax import presets
from nstjax.config import default_config, parse_arg, smoke, term
from nstjax.errors import UserError, nearest
from nstjax.sweeps import design

ARGUMENTS = {"losses": "", "pull": 20.0, "pairs": "", "seeds": 3, "smoke": False}


def get_config(arg=None):
    arg = parse_arg(arg, **ARGUMENTS)
    config = default_config()
    config.weights = "mini"
    config.size = 256
    config.pooling = "average"
    config.init = "noise"
    config.noise_scale = 0.1
    config.calibrate = "taps"
    config.terms.content = term("feature", "relu4_2", reference="content")
    config.terms.style = _style("gram", arg)
    config.stages = (
        {"size": 128, "steps": 120, "learning_rate": 0.05},
        {"size": 256, "steps": 60, "learning_rate": 0.02},
    )
    config = smoke(config) if arg.smoke else config
    config.lock()
    return config


def get_sweep(arg=None):
    arg = parse_arg(arg, **ARGUMENTS)
    losses = arg.losses.split("+") if arg.losses else presets.STYLE_LOSSES[: 2 if arg.smoke else None]
    for loss in losses:
        if loss not in presets.STYLE_LOSSES:
            raise UserError(f"losses={arg.losses}: {loss!r} is unknown{nearest(loss, presets.STYLE_LOSSES)}")
    return design.Design(
        points=design.product(
            design.factor("loss", {loss: {"terms.style": _style(loss, arg)} for loss in losses}),
            design.pairs(design.pairs_of(arg)),
            design.factor("seed", range(1 if arg.smoke else arg.seeds)),
        ),
        baseline={"loss": losses[0]},
        repeats=("pair", "seed"),
    )


def _style(loss, arg):
    made = presets.style_term(loss)
    made.weight = arg.pull / len(made.taps)
    return made
