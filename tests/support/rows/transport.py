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


def matched(x, s, weights, bins):
    """Channels of x through their cumulated histogram and back through that of s."""

    def cumulated(v):
        if v.min() == v.max():
            return np.array([v[0], v[0]]), np.array([0.0, 1.0])
        counts, edges = np.histogram(v, bins, (v.min(), v.max()), weights=weights)
        return edges, np.concatenate([[0], counts.cumsum() / weights.sum()])

    def one(a, b):
        (edges, shares), (wanted, known) = cumulated(a), cumulated(b)
        place = np.interp(a, edges, shares) if a.min() < a.max() else np.full_like(a, 0.5)
        return np.interp(place, known, wanted)

    pairs = zip(flat(x).T, flat(s).T, strict=True)
    return np.stack([one(a, b) for a, b in pairs], -1).reshape(x.shape)


def binned(x, s, bins=256):
    return ((x - matched(x, s, np.ones(x.shape[0] * x.shape[1]), bins)) ** 2).mean()


def binned_gradient(x, s, where, bins=256):
    weights = np.ones(x.shape[:2]) if where is None else where
    difference = x - matched(np.asarray(x), np.asarray(s), weights.ravel(), bins)
    return 2 * weights[..., None] * difference / weights.sum() / x.shape[-1]


ROWS = (
    Row("histogram", losses.histogram(), transport),
    Row("sliced_wasserstein", losses.sliced_wasserstein(), sliced),
    Row("sliced_wasserstein 20", losses.sliced_wasserstein(directions=20), lambda x, s: sliced(x, s, 20)),
    Row(
        "histogram_binned",
        losses.histogram_binned(),
        binned,
        rounding=1e-10,
        gradient=binned_gradient,
    ),
    Row(
        "histogram_binned 5",
        losses.histogram_binned(bins=5),
        lambda x, s: binned(x, s, 5),
        rounding=1e-10,
        gradient=lambda x, s, where: binned_gradient(x, s, where, 5),
    ),
)
