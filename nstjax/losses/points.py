"""Features as weighted points: what losses between distributions compare."""

from typing import NamedTuple

import jax
import jax.numpy as jnp


class Points(NamedTuple):
    """A sample of features.

    Attributes:
      values: [n, c].
      weights: [n], at least 0, or None where all weigh the same. They need not sum to anything.
    """

    values: jax.Array
    weights: jax.Array | None


def points(x, *, where=None):
    """The positions of features [h, w, c] as `Points`, weighted by a soft mask [h, w]."""
    weights = None if where is None else jnp.asarray(where, x.dtype).reshape(-1)
    return Points(jnp.asarray(x).reshape(-1, x.shape[-1]), weights)


def pool(samples, weights):
    """The mixture of several `Points`, each a share of the whole: the `blend` of losses on points."""
    shares = [share * normalised(sample) for sample, share in zip(samples, weights, strict=True)]
    return Points(jnp.concatenate([sample.values for sample in samples]), jnp.concatenate(shares))


def normalised(sample):
    """Weights [n] of `Points` that sum to 1, or to 0 where all are 0."""
    n = len(sample.values)
    if sample.weights is None:
        return jnp.full(n, 1 / n, sample.values.dtype)
    total = jnp.sum(sample.weights)
    return sample.weights / jnp.where(total > 0, total, 1.0)


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
    n, m = len(values), len(target)
    order, target_order = jnp.argsort(values), jnp.argsort(target)
    if weights is None:
        share = 1 / n
        middle = (jnp.arange(n, dtype=values.dtype) + 0.5) / n
    else:
        share = normalised(Points(values[:, None], weights))[order]
        middle = jnp.cumsum(share) - share / 2
    if target_weights is not None:
        ends = jnp.cumsum(normalised(Points(target[:, None], target_weights))[target_order])
        rank = jnp.searchsorted(ends, middle)
    elif weights is None:
        rank = jnp.asarray([((2 * i + 1) * m - 1) // (2 * n) for i in range(n)])  # exact, as float32 is not
    else:
        rank = jnp.ceil(middle * m).astype(int) - 1
    quantiles = target[target_order][jnp.clip(rank, 0, m - 1)]
    return jnp.sum(share * jnp.square(values[order] - quantiles))
