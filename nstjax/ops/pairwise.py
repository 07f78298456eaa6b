"""Every position of one sample beside every position of another, a block of rows at a time.

A matrix of pairs of 16384 positions would take 1 GB, and a gradient several of them.
"""

import jax
import jax.numpy as jnp

ENTRIES = 2**22  # of a block: 16 MB


def by_rows(f, columns, *arrays):
    """f(row, ...) of every row of arrays [n, ...], stacked, in blocks of about ENTRIES / columns rows.

    A block is computed again for the gradient, so what f compares its row with costs no memory.
    """
    block = min(len(arrays[0]), max(1, ENTRIES // columns))
    # A loop needs no barriers against common subexpressions, which crash jaxlib 0.10.2 on a CPU.
    again = jax.checkpoint(lambda row: f(*row), prevent_cse=False)
    return jax.lax.map(again, arrays, batch_size=block)


def squared_distances(row, points):
    """Squared Euclidean distances [m] of a row [c] from points [m, c]; rounding makes none negative."""
    products = jnp.matmul(row, points.T, precision="highest")
    return jnp.maximum(jnp.sum(row * row) + jnp.sum(points * points, -1) - 2 * products, 0.0)


def unit(x):
    """Rows [..., c] divided by their lengths; one shorter than 1e-8 has no direction, and becomes 0.

    Half the squared distance of two of them is 1 - cos, 0 between two without a direction, and 1/2
    between one with and one without. Where there is no direction there is no gradient.
    """
    square = jnp.sum(jnp.square(x), -1, keepdims=True)
    short = square < 1e-16
    return jnp.where(short, 0.0, x / jnp.sqrt(jnp.where(short, 1.0, square)))


def nearest(x, points, weights, distances):
    """Index [n] of the point that is nearest to each row; it has no gradient.

    Args:
      x: [n, c].
      points: [m, c].
      weights: [m], or None; a point of weight 0 is nobody's nearest, unless all are.
      distances: f(row [c], points) -> [m].
    """
    x, points = jax.lax.stop_gradient((x, points))

    def row(a):
        d = distances(a, points)
        return jnp.argmin(d if weights is None else jnp.where(weights > 0, d, jnp.inf))

    return by_rows(row, len(points), x)
