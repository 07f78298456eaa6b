"""Features as weighted points: what losses between distributions compare."""

import jax
import jax.numpy as jnp

from nstjax.points import Points, normalised, points, pool, quantile_match

__all__ = ["Points", "normalised", "points", "pool", "squared_transport"]


def draw(sample, count, key):
    """`count` of the points, drawn with `key` and without replacement; None for all.

    Weighted points are drawn in proportion to their weights and weigh the same then; those of weight 0
    come last and still weigh nothing. Without a key the draw is always the same.
    """
    n, weights = len(sample.values), sample.weights
    if count is None or count >= n:
        return sample
    rank = jax.random.gumbel(jax.random.key(0) if key is None else key, (n,), sample.values.dtype)
    if weights is not None:
        there = weights > 0
        rank = jnp.where(there, rank + jnp.log(jnp.where(there, weights, 1.0)), -jnp.inf)
    chosen = jax.lax.top_k(rank, count)[1]
    return Points(sample.values[chosen], None if weights is None else jnp.sign(weights[chosen]))


def check_samples(**counts):
    """Raises ValueError for a number of samples below 1; None stands for all there are."""
    for name, count in counts.items():
        if count is not None and count < 1:
            raise ValueError(f"{name} must be at least 1, or None for all; got {count}")


def squared_transport(values, weights, target, target_weights):
    r"""Squared 2-Wasserstein distance of samples on a line.

    .. math:: \sum_i w_i (x_{(i)} - Q(u_i))^2

    Q(u) is the smallest value of the target that a share u of it does not exceed, and u_i the middle of
    the i-th share of the sorted sample. With as many points on both sides, all alike, it is the mean
    squared difference of the sorted values, and exact.

    Args:
      values: [n].
      weights: [n], or None.
      target: [m].
      target_weights: [m], or None.

    Returns:
      A scalar; 0 with a gradient of 0 where all weights are 0.
    """
    order, share, quantiles = quantile_match(values, weights, target, target_weights)
    return jnp.sum(share * jnp.square(values[order] - quantiles))
