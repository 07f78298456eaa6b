"""An objective one group of taps after the other, so that the features of one are in memory."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def by_groups(objective, groups, image, problem):
    """The objective and its report, one group of taps after the other.

    Args:
      objective: an `Objective`.
      groups: tuples of its taps.
      image: [H, W, 3] sRGB in [0, 1].
      problem: a `Problem`; it is taken as a constant.
    """
    return _one_by_one(lambda taps, image: objective.at(taps, image, problem), groups, image)


def _one_by_one(function, groups, image):
    """The sum of functions of groups and an image, and their reports in one."""
    total: Any = None
    report: dict[str, jax.Array] = {}
    for taps in groups:
        value, parts = function(taps, image)
        total = value if total is None else jax.tree.map(jnp.add, total, value)
        report |= parts
        # XLA drops a barrier before it orders the work, so the next group needs a number of this one.
        done = jax.tree.leaves(total)[-1].ravel()[0]
        image = jnp.where(done > jnp.inf, done, image)
    return total, report


def _forward(objective, groups, image, problem):
    """The gradient is made here, while the features of a group are there."""
    image, problem = jax.tree.map(lambda each: each.value, (image, problem))

    def graded(taps, image):
        scored = jax.value_and_grad(lambda image: objective.at(taps, image, problem), has_aux=True)
        (value, report), gradient = scored(image)
        return (value, gradient), report

    (total, gradient), report = _one_by_one(graded, groups, image)
    return (total, report), (gradient, image, problem)


def _backward(objective, groups, residuals, cotangents):
    (gradient, image, problem), (of_total, of_report) = residuals, cotangents
    of_image = _number(of_total) * gradient
    if not all(isinstance(each, SymbolicZero) for each in of_report.values()):
        taps = tuple(tap for group in groups for tap in group)
        _, back = jax.vjp(lambda image: objective.at(taps, image, problem)[1], image)
        of_image += back({name: _number(each) for name, each in of_report.items()})[0]
    return of_image, None


def _number(cotangent):
    return jnp.zeros((), cotangent.dtype) if isinstance(cotangent, SymbolicZero) else cotangent


by_groups.defvjp(_forward, _backward, symbolic_zeros=True)
