"""The type of a loss."""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp

from nstjax.ops.moments import area, average
from nstjax.ops.shapes import checked


@dataclasses.dataclass(frozen=True)
class Loss:
    """Pure functions on the features of one tap.

    Attributes:
      target: `target(features, *, where=None) -> pytree`, run once on a reference.
      score: `score(features, target, *, where=None, key=None) -> scalar`, run every step.
      blend: `blend(targets, weights) -> target` of several styles, for weights that sum to 1. Statistics
        average linearly; samples are pooled, each style's weighted.
      distance: `distance(statistics, target) -> scalar`, where the score is that of `target(features)`, and
        this the mean over positions of something at each: then windows of a picture can be averaged. None
        for other losses. Made by `of_averages`.

    `features` is `[h, w, c]` float32, `where` a soft mask `[h, w]` in [0, 1] or of booleans, or None for
    everywhere, `key` a PRNG key for losses that draw at random. A mask weights positions and is normalised
    by its area, so a mask of ones changes nothing and an empty mask scores 0 with a zero gradient. With
    features of fewer bits everything is computed in float32: the target stays so, the score and its gradient
    are of the features' dtype.

    Raises:
      ValueError: from both functions, for features that are not `[h, w, c]` (`jax.vmap` maps over a batch),
        a mask of another size, and a target of another shape than the features' own; of samples, which may
        be of any number, with other channels; and for integers, such as pixels of 8 bits.
    """

    target: Callable
    score: Callable
    blend: Callable = average
    distance: Callable | None = None

    def __post_init__(self):
        target, score = checked(self.target, self.score, pooled=self.blend is not average)
        object.__setattr__(self, "target", target)
        object.__setattr__(self, "score", score)


def of_averages(target: Callable, distance: Callable) -> Loss:
    """The `Loss` that is a distance of averages over positions.

    Args:
      target: `target(features, *, where=None) -> pytree` of averages over positions, of outer products, say,
        weighted by the mask; 0 under an empty one.
      distance: `distance(averages, target) -> scalar`.
    """

    def score(x, given, *, where=None, key=None):
        return zero_if_empty(distance(target(x, where=where), given), x, where)

    return Loss(target=target, score=score, distance=distance)


def zero_if_empty(value: jax.Array, x: jax.Array, where: jax.Array | None) -> jax.Array:
    """A score, or 0 without a gradient under an empty mask.

    Args:
      value: the score, a scalar.
      x: its features [h, w, c].
      where: soft mask [h, w], or None.

    Returns:
      A scalar.
    """
    return value if where is None else jnp.where(area(x, where) > 0, value, 0.0)
