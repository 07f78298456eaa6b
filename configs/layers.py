"""Which layers carry the style: Gram losses at one tap alone, at all, and at all up to one.

    python -m experiments.sweep --config=configs/layers.py --workdir=runs/layers

Each set of taps pulls as hard as any other at the start, and within a set each tap as hard as the others: all
are divided by the norms of their gradients at the content under noise.

Expect, in ten minutes on two CPU cores that have other work: in the colours of the painting, a fine grain
from relu1_1, short strokes from relu2_1 and relu3_1; from relu4_1 alone a pattern in part of them, from
relu5_1 alone a coarse one in the photograph's own, for deep taps carry little of a palette. All taps are best
by 21 of 23 losses, then all up to relu4_1 and up to relu3_1. From noise, and with taps that count in the
units of their features, relu5_1 of an earlier `mini` decided alone, and gave noise.

Arguments: `deepest=relu5_1`, the last of the taps, e.g. relu3_1 for weights that end at relu3_4, with
--config.beyond_weights=drop for the content; `pairs=FILE`; `smoke`.
"""

from nstjax import presets
from nstjax.config import default_config, parse_arg, smoke, term
from nstjax.errors import check_choice
from nstjax.sweeps import design

ARGUMENTS = {"deepest": "relu5_1", "pairs": "", "smoke": False}


def get_config(arg=None):
    arg = parse_arg(arg, **ARGUMENTS)
    config = default_config()
    config.weights = "mini"
    config.size = 256
    config.steps = 150
    config.pooling = "average"
    config.calibrate = "taps"
    config.terms.content = term("feature", "relu4_2", reference="content")
    config.terms.style = _style(_taps(arg.deepest))
    config = smoke(config) if arg.smoke else config
    config.lock()
    return config


def get_sweep(arg=None):
    arg = parse_arg(arg, **ARGUMENTS)
    taps = _taps(arg.deepest)
    sets = {"all": taps} | {f"{tap} alone": (tap,) for tap in taps}
    sets |= {f"up to {taps[i]}": taps[: i + 1] for i in range(1, len(taps) - 1)}
    if arg.smoke:
        sets = dict(list(sets.items())[:2])
    return design.Design(
        points=design.product(
            design.factor("taps", {name: {"terms.style": _style(each)} for name, each in sets.items()}),
            design.pairs(design.pairs_of(arg)),
        ),
        baseline={"taps": "all"},
        repeats=("pair",),
    )


def _taps(deepest):
    check_choice("deepest", deepest, presets.STYLE_TAPS)
    return presets.STYLE_TAPS[: presets.STYLE_TAPS.index(deepest) + 1]


def _style(taps):
    return term("gram", taps, weight=20.0 / len(taps))
