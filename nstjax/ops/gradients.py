"""Gradient control: a term's gradient limited or normalised at the features that its loss reads."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp

from nstjax.ops.arithmetic import absolute

_EPSILON = 1e-8
NORMS = {"l1": lambda g: jnp.sum(absolute(g)), "l2": lambda g: jnp.sqrt(jnp.sum(jnp.square(g)))}


class Control(NamedTuple):
    """How the gradient of a weighted score with respect to its features is limited; its value is kept.

    Attributes:
      limit: the gradient's L2 norm is cut to this; 0 for no limit. Risser et al. limit every term so.
      normalise: "l1" or "l2": the gradient is divided by that norm + 1e-8 and multiplied by the term's
        weight alone; "" for as it is. neural-style has the L1 norm, deep-painterly-harmonization L2.

    References:
      Risser et al. 2017, sec. 4.4, https://arxiv.org/abs/1701.08893
      jcjohnson/neural-style, `normalize_gradients`, https://github.com/jcjohnson/neural-style
    """

    limit: float = 0.0
    normalise: str = ""


FREE = Control()


def controlled(x: jax.Array, control: Control, weight: jax.Array | float) -> jax.Array:
    """Features x themselves; their gradient is controlled.

    Args:
      x: any array.
      control: a `Control`.
      weight: scalar, the weight of the score of x.

    Returns:
      x.
    """
    if control.normalise:
        x = _normalised(control.normalise, x, weight)
    return _limited(control.limit, x) if control.limit else x


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _limited(limit, x):
    return x


def _limit(limit, _, gradient):
    norm = NORMS["l2"](gradient)
    return (gradient * jnp.where(norm > limit, limit / jnp.where(norm > limit, norm, 1.0), 1.0),)


_limited.defvjp(lambda limit, x: (x, None), _limit)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _normalised(norm, x, weight):
    return x


def _normalise(norm, weight, gradient):
    # The gradient holds the weight already.
    size = NORMS[norm](gradient) + _EPSILON * absolute(weight)
    return gradient * absolute(weight) / jnp.where(size > 0, size, 1.0), jnp.zeros_like(weight)


_normalised.defvjp(lambda norm, x, weight: (x, weight), _normalise)
