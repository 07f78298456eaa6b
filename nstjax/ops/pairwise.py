"""Every position of one sample beside every position of another, a block of rows at a time.

A matrix of pairs of 16384 positions would take 1 GB, and a gradient several of them.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from nstjax.ops.arithmetic import matmul

ENTRIES = 2**22  # of a block: 16 MB


def by_rows(f: Callable, columns: int, *arrays: jax.Array) -> Any:
    """f(row, ...) of every row of arrays [n, ...], stacked, in blocks of about ENTRIES / columns rows.

    The gradient computes a block again, so that the products of a row with all others cost no memory.

    Args:
      f: f(row, ...) -> pytree, of one row of each array.
      columns: how many entries f computes for a row.
      arrays: each [n, ...].

    Returns:
      The pytree of f, with an axis [n, ...] in front.
    """
    block = min(len(arrays[0]), max(1, ENTRIES // columns))
    # A loop needs no barriers against common subexpressions, which crash jaxlib 0.10.2 on a CPU.
    again = jax.checkpoint(lambda row: f(*row), prevent_cse=False)
    return jax.lax.map(again, arrays, batch_size=block)


def squared_distances(row: jax.Array, samples: jax.Array) -> jax.Array:
    """Squared Euclidean distances [m] of a row [c] from samples [m, c]; rounding makes none negative."""
    products = matmul(row, samples.T)
    return jnp.maximum(jnp.sum(row * row) + jnp.sum(samples * samples, -1) - 2 * products, 0.0)


def unit(x: jax.Array) -> jax.Array:
    """Rows [..., c] divided by their lengths; one shorter than 1e-8 has no direction, and becomes 0.

    Half the squared distance of two of them is 1 - cos, 0 between two without a direction, and 1/2
    between one with and one without. Where there is no direction there is no gradient.
    """
    square = jnp.sum(jnp.square(x), -1, keepdims=True)
    short = square < 1e-16
    return jnp.where(short, 0.0, x / jnp.sqrt(jnp.where(short, 1.0, square)))


def nearest(
    x: jax.Array,
    samples: jax.Array,
    weights: jax.Array | None,
    distances: Callable[[jax.Array, jax.Array], jax.Array],
) -> jax.Array:
    """The index of the sample nearest to each row, without a gradient.

    Args:
      x: [n, c].
      samples: [m, c].
      weights: [m], or None; a sample of weight 0 is nobody's nearest, unless all are.
      distances: f(row [c], samples) -> [m].

    Returns:
      Indices [n] of samples.
    """
    x, samples = jax.lax.stop_gradient((x, samples))

    def row(a):
        d = distances(a, samples)
        return jnp.argmin(d if weights is None else jnp.where(weights > 0, d, jnp.inf))

    return by_rows(row, len(samples), x)
