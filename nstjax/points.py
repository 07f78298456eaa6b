"""Features as weighted points, and how points on a line are matched by rank."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax


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
    """The mixture of several `Points`, each a share of the whole: the `blend` of what works on points."""
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


def argsort(x):
    """The indices [n] that sort x [n], equal values in the order they have; -0 before 0, NaN at the ends.

    XLA sorts floats on a CPU by a comparison five times slower than that of integers, and pairs slower
    still. The bits of a float32, all but the sign turned over where it is negative, order as it does; with
    the index below them they are one integer.
    """
    if x.dtype != jnp.float32:
        return jnp.argsort(x)
    bits = lax.bitcast_convert_type(lax.stop_gradient(x), jnp.int32)
    bits = jnp.where(bits < 0, bits ^ jnp.int32(0x7FFFFFFF), bits)
    with jax.enable_x64(True):
        high = lax.shift_left(bits.astype(jnp.int64), jnp.int64(32))
        index = lax.iota(jnp.int64, len(x))
        low = lax.sort(high | index, is_stable=False) & jnp.int64(0xFFFFFFFF)
        return low.astype(jnp.int32)


def quantile_match(values, weights, target, target_weights):
    r"""A sample on a line beside the quantiles of another: the optimal transport between them.

    The quantile function Q(u) of the target is the smallest value that a share u of it does not exceed.
    It is read at the middle of each share of the sorted sample; with as many points on both sides, all
    alike, that is the sorted target.

    Args:
      values: [n].
      weights: [n], or None.
      target: [m].
      target_weights: [m], or None.

    Returns:
      (order, share, quantiles), each [n]: the indices that sort the sample, what share of it each point
      then has (a number, where weights are None), and where it goes.
    """
    n, m = len(values), len(target)
    order, target_order = argsort(values), argsort(target)
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
        # Exact, as float32 is not.
        rank = jnp.arange(n) if n == m else jnp.asarray([((2 * i + 1) * m - 1) // (2 * n) for i in range(n)])
    else:
        rank = jnp.ceil(middle * m).astype(int) - 1
    return order, share, target[target_order][jnp.clip(rank, 0, m - 1)]
