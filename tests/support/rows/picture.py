"""Losses on the picture itself."""

import numpy as np
import scipy.signal
import scipy.stats

from nstjax import losses
from rows.row import Row, flat


def tv(x, s):
    return ((x[1:] - x[:-1]) ** 2).sum() + ((x[:, 1:] - x[:, :-1]) ** 2).sum()


def corner(x):
    return (x[:-1, 1:] - x[:-1, :-1]) ** 2 + (x[1:, :-1] - x[:-1, :-1]) ** 2


def nine_point(x, s):
    p = np.pad(x, ((1, 1), (1, 1), (0, 0)), mode="edge")
    axes = ((p[1:-1, 2:] - p[1:-1, 1:-1]) ** 2).mean() + ((p[2:, 1:-1] - p[1:-1, 1:-1]) ** 2).mean()
    diagonals = ((p[1:, 1:] - p[:-1, :-1]) ** 2).mean() + ((p[1:, :-1] - p[:-1, 1:]) ** 2).mean()
    return 2 * (axes / 3 + diagonals / 12)


def laplacian(x, s):
    kernel = np.array([[0, -1, 0], [-1, 4, -1], [0, -1, 0]])
    padded = np.pad((x - s).sum(-1), 1, mode="edge")
    return 255**2 * (scipy.signal.convolve2d(padded, kernel, "valid") ** 2).mean()


def matting_laplacian(guide, epsilon):
    """Levin's L [n, n] of a picture, dense."""
    h, w, c = guide.shape
    found, places = np.zeros((h * w, h * w)), np.arange(h * w).reshape(h, w)
    for window in np.lib.stride_tricks.sliding_window_view(places, (3, 3)).reshape(-1, 9):
        apart = flat(guide)[window] - flat(guide)[window].mean(0)
        inverse = np.linalg.inv(apart.T @ apart / 9 + epsilon / 9 * np.eye(c))
        found[np.ix_(window, window)] += np.eye(9) - (1 + apart @ inverse @ apart.T) / 9
    return found


def matting(x, s, epsilon=1e-7):
    if min(x.shape[:2]) < 3:
        return 0.0
    return np.trace(flat(x).T @ matting_laplacian(s, epsilon) @ flat(x)) / len(flat(x))


def soft_histogram(x, bins):
    centres = np.linspace(0, 1, bins)[:, None]
    values = np.clip(flat(x), 0, 1)[:, None]
    return np.maximum(0, 1 - np.abs(values - centres) * (bins - 1)).mean(0)


def colours(x, s, bins=32):
    def moved(c):
        a, b = (soft_histogram(i[..., [c]], bins)[:, 0] for i in (x, s))
        return scipy.stats.wasserstein_distance(*[np.linspace(0, 1, bins)] * 2, a, b)

    return np.mean([moved(c) for c in range(x.shape[-1])])


def excess(x, s):
    return (np.where(x < 0, x, 0) ** 2 + np.where(x > 1, x - 1, 0) ** 2).mean()


ROWS = (
    Row("tv_anisotropic", losses.tv_anisotropic(), tv, compares=False),
    Row("tv_isotropic", losses.tv_isotropic(), lambda x, s: corner(x).sum(), compares=False),
    Row(
        "tv_isotropic 2.5",
        losses.tv_isotropic(beta=2.5),
        lambda x, s: (corner(x) ** 1.25).sum(),
        compares=False,
    ),
    Row(
        "tv_isotropic 1", losses.tv_isotropic(beta=1.0), lambda x, s: (corner(x) ** 0.5).sum(), compares=False
    ),
    Row("tv_corner", losses.tv_corner(), lambda x, s: 0.5 * 255**2 * corner(x).sum(), compares=False),
    Row("tv_nine_point", losses.tv_nine_point(), nine_point, compares=False),
    Row("value_range", losses.value_range(), excess, compares=False),
    Row("laplacian", losses.laplacian(pool=1), laplacian),
    Row("matting", losses.matting(), matting, rounding=1e-6),
    Row("colour_histogram", losses.colour_histogram(), colours),
    Row(
        "colour_histogram l2",
        losses.colour_histogram(bins=5, distance="l2"),
        lambda x, s: ((soft_histogram(x, 5) - soft_histogram(s, 5)) ** 2).sum(0).mean(),
    ),
)
