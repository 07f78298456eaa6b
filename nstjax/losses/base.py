"""What a loss is, and the masked mean that every loss is built on."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp


def average(targets, weights):
    """The weighted sum of pytrees whose leaves have one shape."""
    return jax.tree.map(lambda *leaves: sum(w * x for w, x in zip(weights, leaves, strict=True)), *targets)


class Loss(NamedTuple):
    """Pure functions on the features of one tap.

    Attributes:
      target: `target(features, *, where=None) -> pytree`, run once on a reference.
      score: `score(features, target, *, where=None, key=None) -> scalar`, run every step.
      blend: `blend(targets, weights) -> target` of several styles, for weights that sum to 1. Statistics
        average linearly; samples are pooled, each style's weighted.

    `features` is `[h, w, c]` float32, `where` a soft mask `[h, w]` in [0, 1] or None for everywhere,
    `key` a PRNG key for losses that draw at random. A mask weights positions and is normalised by
    its area, so a mask of ones changes nothing and an empty mask scores 0 with a zero gradient.
    """

    target: Callable
    score: Callable
    blend: Callable = average


def area(x, where):
    """Number of positions of features [h, w, c] under a mask: a float, h * w without one."""
    return float(x.shape[0] * x.shape[1]) if where is None else jnp.sum(where)


def inverse_area(x, where):
    """1 / area, and 0 for an empty mask."""
    n = area(x, where)
    if where is None:
        return 1.0 / n
    return jnp.where(n > 0, 1.0 / jnp.where(n > 0, n, 1.0), 0.0)


def masked_mean(x, where=None):
    """Mean of values [h, w, ...] over the positions of a soft mask [h, w]; 0 under an empty mask."""
    if where is None:
        return jnp.mean(x, axis=(0, 1))
    weights = where.reshape(where.shape + (1,) * (x.ndim - 2))
    return jnp.sum(weights * x, axis=(0, 1)) * inverse_area(x, where)


def zero_if_empty(value, x, where):
    """A score of features [h, w, c], or 0 without a gradient where the mask is empty."""
    return value if where is None else jnp.where(area(x, where) > 0, value, 0.0)
