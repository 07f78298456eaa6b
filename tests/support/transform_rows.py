"""The shared table of transforms, and the helpers of their tests."""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np
import pytest
from rows import features, flat

from nstjax import transforms
from nstjax.transforms._colour import METHODS, YUV
from nstjax.transforms._wct import CONVENTIONS


class Row(NamedTuple):
    """A transform and an independent transcription of it in float64, straight from its source.

    Attributes:
      name: the factory's, and whatever tells its arguments.
      transform: a `Transform`.
      formula: f(x, style features) -> transformed features, all [h, w, c].
      picture: whether it is of pictures [H, W, 3] in [0, 1].
      identity: whether it leaves features as they are that have the style's statistics.
    """

    name: str
    transform: transforms.Transform
    formula: Callable
    picture: bool = False
    identity: bool = True


def moments(x, ridge=0.0, ddof=0):
    f = flat(x)
    centred = f - f.mean(0)
    return f.mean(0), centred.T @ centred / max(len(f) - ddof, 1) + ridge * np.eye(f.shape[1])


def power(a, exponent, cut=0.0):
    """Of a symmetric matrix, by its singular vectors, as the programs have it."""
    u, e, _ = np.linalg.svd(a)
    kept = e > max(cut, 1e-12 * e[0])
    return u[:, kept] * e[kept] ** exponent @ u[:, kept].T


def wct(x, s, ridges=(0.0, 0.0), cut=1e-5, ddof=1, clamp=False):
    (mean, a), (mean_s, b) = moments(x, ridges[0], ddof), moments(s, ridges[1], ddof)
    y = (power(b, 0.5, cut) @ power(a, -0.5, cut) @ (flat(x) - mean).T).T + mean_s
    return (np.clip(y, x.min(), x.max()) if clamp else y).reshape(x.shape)


def adain(x, s, eps=1e-5):
    f, g = flat(x), flat(s)
    y = (f - f.mean(0)) / np.sqrt(f.var(0) + eps) * np.sqrt(g.var(0) + eps) + g.mean(0)
    return y.reshape(x.shape)


def mean_shift(x, s):
    return x + (flat(s).mean(0) - flat(x).mean(0))


def histogram(x, s):
    f, g = flat(x), np.sort(flat(s), 0)
    n, m = len(f), len(g)
    y = np.empty_like(f)
    for c in range(f.shape[1]):
        for rank, i in enumerate(np.argsort(f[:, c])):
            y[i, c] = g[int(np.ceil(round((rank + 0.5) / n * m, 9))) - 1, c]
    return y.reshape(x.shape)


def colour(x, s, method, eps=1e-5):
    (mean, a), (mean_s, b) = moments(x, eps), moments(s, eps)
    matrix = {
        "cholesky": lambda: np.linalg.cholesky(b) @ np.linalg.inv(np.linalg.cholesky(a)),
        "symmetric": lambda: power(b, 0.5) @ np.linalg.inv(power(a, 0.5)),
        "optimal_transport": lambda: (
            power(a, -0.5) @ power(power(a, 0.5) @ b @ power(a, 0.5), 0.5) @ power(a, -0.5)
        ),
    }[method]()
    return np.clip((flat(x) - mean) @ matrix.T + mean_s, 0, 1).reshape(x.shape)


def luminance(x, s):
    yuv = x @ np.array(YUV).T
    yuv[..., 1:] = (s @ np.array(YUV).T)[..., 1:]
    return np.clip(yuv @ np.linalg.inv(np.array(YUV)).T, 0, 1)


TABLE = (
    Row("wct", transforms.wct(), wct),
    Row(
        "wct fast_photo_style",
        transforms.wct(ridge_content=1.0),
        lambda x, s: wct(x, s, (1, 0)),
        identity=False,
    ),
    Row("wct wct2", transforms.wct(**CONVENTIONS["wct2"]), lambda x, s: wct(x, s, (1, 1), clamp=True)),
    Row("wct cut", transforms.wct(cut=0.2), lambda x, s: wct(x, s, cut=0.2)),
    Row("wct biased", transforms.wct(cut=0.0, unbiased=False), lambda x, s: wct(x, s, cut=0, ddof=0)),
    Row(
        "wct newton_schulz",
        transforms.wct(ridge_content=0.1, ridge_style=0.1, iterations=20),
        lambda x, s: wct(x, s, (0.1, 0.1)),
    ),
    Row("adain", transforms.adain(), adain),
    Row("histogram", transforms.histogram(), histogram),
    Row("mean_shift", transforms.mean_shift(), mean_shift),
    *(
        Row(f"colour {m}", transforms.colour(method=m), lambda x, s, m=m: colour(x, s, m), picture=True)
        for m in METHODS
    ),
    Row("luminance", transforms.luminance(), luminance, picture=True),
)
ROWS = pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)


def sample(row, shape, seed, dtype=np.float32):
    """Features, or a muted picture: one that no transform takes out of [0, 1]."""
    x = features(shape, seed, dtype)
    return (0.5 + 0.05 * np.tanh(x)).astype(dtype) if row.picture else x


def pair(row, shape, dtype=np.float32):
    """Features and a style, of another size unless the reference must be of the picture's."""
    shape = (*shape[:2], 3) if row.picture else shape
    other = shape if row.name == "luminance" else (shape[0] + 1, shape[1] + 2, shape[2])
    return sample(row, shape, 0, dtype), sample(row, other, 1, dtype)


@functools.partial(jax.jit, static_argnums=0)
def moved(transform, x, s, where=None, style_where=None, alpha=1.0, key=None):
    """Features x moved to the style of features s; each mask [h, w] or None."""
    style = transform.style(s, where=style_where)
    return transform.apply(x, style, where=where, alpha=alpha, key=key)


# Not compiled as a whole: its operations are compiled once for all transforms.
eager = moved.__wrapped__
SHAPE = (6, 8, 3)


def alike(row):
    """Features and a style of one SHAPE, by which most tests share their programs."""
    return sample(row, SHAPE, 0), sample(row, SHAPE, 1)


def blended(transform, x, styles, masks, weights):
    """Features x moved to a blend of the styles of features under masks, each [h, w] or None."""
    pairs = zip(styles, masks, strict=True)
    style = transform.blend([transform.style(s, where=where) for s, where in pairs], weights)
    return transform.apply(x, style)
