"""What a loss is."""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp

from nstjax.moments import area, average


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


def zero_if_empty(value, x, where):
    """A score of features [h, w, c], or 0 without a gradient where the mask is empty."""
    return value if where is None else jnp.where(area(x, where) > 0, value, 0.0)
