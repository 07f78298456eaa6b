"""Losses on covariances and their square roots."""

import numpy as np
import scipy.linalg

from nstjax import losses
from rows.row import Row, flat


def gaussian(x, ridge):
    f = flat(x)
    return f.mean(0), np.cov(f.T, bias=True).reshape(x.shape[-1], -1) + ridge * np.eye(x.shape[-1])


def wasserstein(x, s, ridge=0.0):
    (mean, a), (mean_s, b) = gaussian(x, ridge), gaussian(s, ridge)
    # The trace of (b^1/2 a b^1/2)^1/2 is the sum of the singular values of any roots' product.
    roots = [e * np.sqrt(np.maximum(v, 0)) for v, e in map(np.linalg.eigh, (a, b))]
    cross = np.linalg.svd(roots[1].T @ roots[0], compute_uv=False).sum()
    return ((mean - mean_s) ** 2).sum() + np.trace(a) + np.trace(b) - 2 * cross


def iterated_root(a, iterations):
    norm = np.linalg.norm(a)
    y, z = a / norm, np.eye(len(a))
    for _ in range(iterations):
        t = (3 * np.eye(len(a)) - z @ y) / 2
        y, z = y @ t, t @ z
    return y * np.sqrt(norm)


def crowsonkb(x, s):
    (mean, a), (mean_s, b) = gaussian(x, 1e-4), gaussian(s, 1e-4)
    half = iterated_root(b, 12)
    cross = iterated_root(half @ a @ half, 12)
    return ((mean - mean_s) ** 2).mean() + np.diag(a + b - 2 * cross).mean()


def whitened_and_coloured(x, s, where, where_s):
    """In float64, with the statistics of masks."""

    def moments(f, weights):
        weights = np.ones(len(f)) if weights is None else weights.ravel()
        weights = weights / weights.sum()
        mean, n = weights @ f, 1 / (weights**2).sum()
        return mean, (f - mean).T * weights @ (f - mean) * n / max(n - 1, 1)

    def power(a, exponent):
        u, e, _ = scipy.linalg.svd(a)
        return u[:, e >= 1e-5] * e[e >= 1e-5] ** exponent @ u[:, e >= 1e-5].T

    (mean, a), (mean_s, b) = moments(flat(x), where), moments(flat(s), where_s)
    return ((flat(x) - mean) @ (power(b, 0.5) @ power(a, -0.5)).T + mean_s).reshape(x.shape)


def wct_distance(x, s):
    return ((x - whitened_and_coloured(x, s, None, None)) ** 2).mean()


def wct_gradient(x, s, where):
    weights = np.ones(x.shape[:2]) if where is None else where
    difference = x - whitened_and_coloured(x, s, where, where)
    return 2 * weights[..., None] * difference / weights.sum() / x.shape[-1]


ROWS = (
    Row("wasserstein_gaussian", losses.wasserstein_gaussian(), wasserstein, rounding=1e-10),
    Row(
        "wasserstein_gaussian ridge",
        losses.wasserstein_gaussian(convention="crowsonkb"),
        lambda x, s: wasserstein(x, s, 1e-4) / x.shape[-1],
        rounding=1e-10,
    ),
    Row(
        "wasserstein_gaussian newton_schulz",
        losses.wasserstein_gaussian(convention="crowsonkb", iterations=12),
        crowsonkb,
        rounding=1e-5,  # a difference of traces
    ),
    Row("wct_distance", losses.wct_distance(), wct_distance, rounding=1e-10, gradient=wct_gradient),
)
