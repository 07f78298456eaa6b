"""Measures the claims of Li et al. 2017 for universal style transfer, over pairs of contents and styles.

    python -m experiments.claims --config=configs/wct.py --contents=a.jpg,b.jpg --styles=c.jpg,d.jpg \\
        --out=runs/claims

Pictures are cropped to squares. Writes claims.json and prints a table. A distance is the squared Frobenius
norm between covariances of features at relu1_1 ... relu5_1 of the levels' own encoders, as a share of the
content's distance, a geometric mean over the pairs. It is taken of pictures, each transferred at one level
and encoded anew, and of the moved features before they are decoded. "holds" counts the pairs in the claimed
order.
"""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags
from ml_collections import config_flags

from experiments import command
from nstjax import files, images, transforms, universal
from nstjax.errors import notify
from nstjax.images import read_aloud
from nstjax.ops.moments import covariance_matrix, raw_moments
from nstjax.progress import progress_bar
from nstjax.universal import levels

_CONFIG = config_flags.DEFINE_config_file("config", None, "For weights, decoders, levels, size and alpha.")
_PICTURES = [
    f"example:{name}" for name in images.PHOTOGRAPHS if name in ("astronaut", "chelsea", "coffee", "rocket")
]
_PAINTINGS = [f"example:{name}" for name in images.example_names() if name not in images.PHOTOGRAPHS]
_CONTENTS = flags.DEFINE_list("contents", _PICTURES, "Content pictures.")
_STYLES = flags.DEFINE_list("styles", _PAINTINGS, "Style pictures.")
_OUT = command.define_path("out", "The folder to write to.")
# Made once: programs are compiled for a transform.
TRANSFORMS = {"wct": transforms.wct(), "adain": transforms.adain(), "mean_shift": transforms.mean_shift()}
ALPHAS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)


def main(_):
    config = _CONFIG.value
    numbers = sorted(config.levels, reverse=True)
    options = {"decoders": config.decoders, "preprocessing": config.preprocessing}
    known = levels.load(config.weights, tuple(sorted(numbers)), **options)
    for note in known.notes:
        notify(f"note: {note}")
    loaded = known.levels
    pairs = list(itertools.product(*(map(_read, names) for names in (_CONTENTS.value, _STYLES.value))))
    files.make_folder(_OUT.value)
    found = [_pair([loaded[n] for n in numbers], *pair) for pair in progress_bar(pairs, unit="pair")]
    result = {"weights": config.weights, "size": config.size, "pairs": len(pairs)} | _summary(found)
    files.write_json(_OUT.value / "claims.json", result)
    return _table(result)


def _read(name):
    return images.resize_to_cover(read_aloud(name).pixels, _CONFIG.value.size, _CONFIG.value.size)


def _pair(down, content, style):
    """The measures of one pair: {"levels": {tap: {transform: share}}, "order": ..., "alpha": ...}."""
    wanted = [_covariance(level, style) for level in down]
    start = [_distance(level, content, c) for level, c in zip(down, wanted, strict=True)]

    def shares(image):
        return np.array([_distance(*of) for of in zip(down, itertools.repeat(image), wanted)]) / start

    def made(order, name, alpha):
        known = universal.statistics(order, TRANSFORMS[name], style)
        image = universal.stylize(
            order, TRANSFORMS[name], content, [universal.StyleRegion(known)], alpha=alpha
        )
        return np.clip(image, 0, 1)

    found = {"levels": {}}
    for i, level in enumerate(down):
        by = {name: float(shares(made([level], name, 1.0))[i]) for name in TRANSFORMS}
        by["decoded"] = float(shares(made([level], "wct", 0.0))[i])
        for name, transform in TRANSFORMS.items():
            distance = _moved_distance(level, transform, content, style, wanted[i])
            by[f"{name} features"] = float(distance / start[i])
        found["levels"][level.tap] = by
    alpha = _CONFIG.value.alpha[0]
    found["order"] = {
        name: _style(shares(made(order, "wct", alpha)))
        for name, order in (("coarse to fine", down), ("fine to coarse", down[::-1]))
    }
    results = [made(down, "wct", alpha) for alpha in ALPHAS]
    deep = down[min(1, len(down) - 1)]
    found["alpha"] = {"style": [_style(shares(image)) for image in results]}
    found["alpha"]["content"] = [float(_content(deep, image, content)) for image in results]
    return found


def _style(shares):
    """Geometric mean over the levels."""
    return float(np.exp(np.mean(np.log(shares))))


@jax.jit
def _covariance(level, image):
    return covariance_matrix(raw_moments(universal.encode(level, image)))


@jax.jit
def _distance(level, image, wanted):
    return jnp.sum(jnp.square(_covariance(level, image) - wanted))


@functools.partial(jax.jit, static_argnames="transform")
def _moved_distance(level, transform, content, style, wanted):
    (known,) = universal.style([level], transform, style)
    moved = universal.moved(level, transform, content, [universal.StyleRegion(known)])
    return jnp.sum(jnp.square(covariance_matrix(raw_moments(moved)) - wanted))


@jax.jit
def _content(level, image, content):
    """Squared distance of features, as a share of the content's squares."""
    x, y = universal.encode(level, image), universal.encode(level, content)
    return jnp.sum(jnp.square(x - y)) / jnp.sum(jnp.square(y))


def _summary(found):
    def mean(values):
        return float(np.exp(np.mean(np.log(values))))

    levels = {}
    for tap in found[0]["levels"]:
        rows = [each["levels"][tap] for each in found]
        levels[tap] = {name: mean([row[name] for row in rows]) for name in rows[0]}
        levels[tap]["holds"] = sum(row["wct"] < row["adain"] < row["mean_shift"] < 1 for row in rows)
    orders = {name: mean([each["order"][name] for each in found]) for name in found[0]["order"]}
    orders["holds"] = sum(each["order"]["coarse to fine"] < each["order"]["fine to coarse"] for each in found)
    alpha = {"alpha": ALPHAS}
    for name, sign in (("style", -1), ("content", 1)):
        rows = np.array([each["alpha"][name] for each in found])
        alpha[name] = np.exp(np.mean(np.log(rows), 0)).tolist()
        alpha[f"{name} holds"] = int(np.sum(np.all(sign * np.diff(rows) > 0, axis=1)))
    return {"levels": levels, "order": orders, "alpha": alpha}


def _table(result):
    names = (*TRANSFORMS, "decoded", "holds", *(f"{name} features" for name in TRANSFORMS))
    lines = [f"| level | {' | '.join(names)} |", "|" + "---|" * (len(names) + 1)]
    for tap, row in result["levels"].items():
        lines.append(f"| {tap} | {' | '.join(f'{row[name]:.3g}' for name in names)} |")
    lines += ["", f"order: {result['order']}", f"alpha: {result['alpha']}", f"pairs: {result['pairs']}"]
    return "\n".join(lines)


if __name__ == "__main__":
    command.run(main, required=["config", "out"])
