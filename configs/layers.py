"""Which layers carry the style: Gram losses at one tap alone, at all, and at all up to one.

    python -m experiments.sweep --config=configs/layers.py --workdir=runs/layers

Each set of taps pulls as hard as any other at the start: its weighted sum is divided by the norm of its
gradient at the content under noise, and within a set each tap counts alike in the units of its features.

Expect

Arguments: `blocks=5`; `pairs=FILE`; `smoke`.
"""

from nstjax import presets, sweep
from nstjax.config import default_config, parse_arg, smoke, term

PAIRS = (("example:coffee", "example:brushwork"), ("example:chelsea", "example:mosaic"))


def get_config(arg=None):
    arg = parse_arg(arg, blocks=5, pairs="", smoke=False)
    config = default_config()
    config.weights = "mini"
    config.size = 256
    config.steps = 150
    config.pooling = "average"
    config.normalise = True
    config.init = "noise"
    config.noise_scale = 0.1
    config.calibrate = "terms"
    content = "relu4_2" if arg.blocks == 5 else "relu3_4"
    config.terms.content = term("feature", content, reference="content")
    config.terms.style = _style(presets.reached(presets.STYLE_TAPS, arg.blocks))
    config = smoke(config) if arg.smoke else config
    config.lock()
    return config


def get_sweep(arg=None):
    arg = parse_arg(arg, blocks=5, pairs="", smoke=False)
    taps = presets.reached(presets.STYLE_TAPS, arg.blocks)
    sets = {"all": taps} | {f"{tap} alone": (tap,) for tap in taps}
    sets |= {f"up to {taps[i]}": taps[: i + 1] for i in range(1, len(taps) - 1)}
    if arg.smoke:
        sets = dict(list(sets.items())[:2])
    pairs = sweep.read_pairs(arg.pairs) if arg.pairs else PAIRS[: 1 if arg.smoke else None]
    return sweep.Sweep(
        points=sweep.product(
            sweep.factor("taps", {name: {"terms.style": _style(each)} for name, each in sets.items()}),
            sweep.pairs(pairs),
            sweep.factor("seed", range(1 if arg.smoke else 2)),
        ),
        baseline={"taps": "all"},
        repeats=("pair", "seed"),
    )


def _style(taps):
    return term("gram", taps, weight=20.0)
