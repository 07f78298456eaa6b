"""A row of the shared table, and what tests of losses work on."""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np

from nstjax import losses


class Row(NamedTuple):
    """A loss and an independent transcription of it in float64, straight from its source.

    Attributes:
      name: the factory's, and whatever tells its arguments.
      loss: a `Loss`.
      formula: f(x, target features) -> float, of [h, w, c] arrays.
      compares: whether it compares with its target, and is 0 there.
      estimates: whether it is a random estimate, which may be negative and is not 0 at its target.
      cuts: whether a binary mask is the region cut out: not where a draw or a grid of patches depends on
        the size of the map.
      rounding: what float32 may leave of its 0 at its target, for features of unit variance.
      rtol: to which float32 agrees with float64.
      gradient: f(x, target features, mask of both) -> [h, w, c] for a loss that holds what it compares
        with constant, so that its gradient is not that of finite differences.
    """

    name: str
    loss: losses.Loss
    formula: Callable
    compares: bool = True
    estimates: bool = False
    cuts: bool = True
    rounding: float = 0.0
    rtol: float = 1e-5
    gradient: Callable | None = None


def flat(x):
    return x.reshape(-1, x.shape[-1])


def features(shape, seed, dtype=np.float32):
    # Shifted off zero so that no factory's value is small by accident.
    return (np.random.default_rng(seed).normal(size=shape) + 0.3).astype(dtype)


def eager_value(loss, x, s, where=None, target_where=None):
    """The score of features x with the target of features s; each mask [h, w] or None."""
    return loss.score(x, loss.target(s, where=target_where), where=where, key=jax.random.key(0))


@functools.partial(jax.jit, static_argnums=0)
def blended_value(loss, x, styles, weights):
    """The score of features x with the blend of the targets of several styles' features."""
    target = loss.blend([loss.target(s) for s in styles], weights)
    return loss.score(x, target, key=jax.random.key(0))


# Compiled once for a loss and the shapes of features.
value = jax.jit(eager_value, static_argnums=0)
