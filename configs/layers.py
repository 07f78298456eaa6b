"""Which layers carry the style: Gram losses at one tap alone, at all, and at all up to one.

    python -m experiments.sweep --config=configs/layers.py --workdir=runs/layers

Each set of taps pulls as hard as any other at the start, and within a set each tap as hard as the others: all
are divided by the norms of their gradients at the content under noise.

Expect (not run to its end yet; from noise, and with taps that count in the units of their features, relu5_1
of `mini` decided alone, and gave noise): a row of pictures from dabs of colour to large forms.

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
    config.calibrate = "taps"
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
        ),
        baseline={"taps": "all"},
        repeats=("pair",),
    )


def _style(taps):
    return term("gram", taps, weight=20.0 / len(taps))
