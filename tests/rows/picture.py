"""Losses on the picture itself."""

import numpy as np

from nstjax import losses
from rows.row import Row


def tv(x, s):
    return ((x[1:] - x[:-1]) ** 2).sum() + ((x[:, 1:] - x[:, :-1]) ** 2).sum()


def corner(x):
    return (x[:-1, 1:] - x[:-1, :-1]) ** 2 + (x[1:, :-1] - x[:-1, :-1]) ** 2


def nine_point(x, s):
    p = np.pad(x, ((1, 1), (1, 1), (0, 0)), mode="edge")
    axes = ((p[1:-1, 2:] - p[1:-1, 1:-1]) ** 2).mean() + ((p[2:, 1:-1] - p[1:-1, 1:-1]) ** 2).mean()
    diagonals = ((p[1:, 1:] - p[:-1, :-1]) ** 2).mean() + ((p[1:, :-1] - p[:-1, 1:]) ** 2).mean()
    return 2 * (axes / 3 + diagonals / 12)


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
)
