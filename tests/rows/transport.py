"""Losses on sorted features."""

import jax
import numpy as np

from nstjax import losses
from rows.row import Row, flat


def transport(x, s):
    return ((np.sort(flat(x), 0) - np.sort(flat(s), 0)) ** 2).mean()


def sliced(x, s, directions=None):
    c = x.shape[-1]
    lines = np.asarray(jax.random.normal(jax.random.key(0), (c, directions or c)), float)
    lines /= np.linalg.norm(lines, axis=0)
    return transport(flat(x) @ lines, flat(s) @ lines)


ROWS = (
    Row("histogram", losses.histogram(), transport),
    Row("sliced_wasserstein", losses.sliced_wasserstein(), sliced),
    Row("sliced_wasserstein 20", losses.sliced_wasserstein(directions=20), lambda x, s: sliced(x, s, 20)),
)
