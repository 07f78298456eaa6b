"""Features as weighted samples, and how samples on a line are matched by rank."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from nstjax.ops.arithmetic import safe_divide


class Samples(NamedTuple):
    """A sample of features.

    Attributes:
      values: [n, c].
      weights: [n], at least 0, or None where all weigh the same. They need not sum to anything.
    """

    values: jax.Array
    weights: jax.Array | None


def as_samples(x: jax.Array, *, where: jax.Array | None = None) -> Samples:
    """The positions of features [h, w, c] as `Samples`, weighted by a soft mask [h, w]."""
    weights = None if where is None else jnp.asarray(where, x.dtype).reshape(-1)
    return Samples(jnp.asarray(x).reshape(-1, x.shape[-1]), weights)


def pool(samples: Sequence[Samples], weights: Sequence[float]) -> Samples:
    """The mixture of several `Samples`, each a share of the whole: the `blend` of losses on samples."""
    shares = [share * normalised(sample) for sample, share in zip(samples, weights, strict=True)]
    return Samples(jnp.concatenate([sample.values for sample in samples]), jnp.concatenate(shares))


def normalised(sample: Samples) -> jax.Array:
    """Weights [n] of `Samples` that sum to 1, or to 0 where all are 0."""
    n = len(sample.values)
    if sample.weights is None:
        return jnp.full(n, 1 / n, sample.values.dtype)
    return safe_divide(sample.weights, jnp.sum(sample.weights))


def draw(sample: Samples, count: int | None, key: jax.Array | None) -> Samples:
    """Some of the samples, drawn without replacement.

    Weighted samples are drawn in proportion to their weights and weigh the same afterwards; samples of
    weight 0 come last and still weigh nothing.

    Args:
      sample: `Samples`, n of them.
      count: how many to draw; None, or at least n, for all as they are.
      key: PRNG key; without one the draw is always the same.

    Returns:
      `Samples`, min(count, n) of them.
    """
    n, weights = len(sample.values), sample.weights
    if count is None or count >= n:
        return sample
    rank = jax.random.gumbel(jax.random.key(0) if key is None else key, (n,), sample.values.dtype)
    if weights is not None:
        there = weights > 0
        rank = jnp.where(there, rank + jnp.log(jnp.where(there, weights, 1.0)), -jnp.inf)
    chosen = jax.lax.top_k(rank, count)[1]
    return Samples(sample.values[chosen], None if weights is None else jnp.sign(weights[chosen]))


def check_counts(**counts: int | None) -> None:
    """Raises ValueError for a number of samples below 1; None stands for all there are."""
    for name, count in counts.items():
        if count is not None and count < 1:
            raise ValueError(f"{name} must be at least 1, or None for all; got {count}")


def argsort(x: jax.Array, *, ties: jax.Array | None = None) -> jax.Array:
    """The indices [n] that sort x [n]; -0 before 0, NaN at the ends.

    XLA sorts floats and pairs on a CPU several times slower than integers: bits of a float32 that order as
    it does, with a rank below them, are one.

    Args:
      x: [n].
      ties: all indices [n] in the order that equal values shall have; by default that of x.
    """
    n = len(x)
    if x.dtype != jnp.float32:
        return jnp.argsort(x) if ties is None else ties[jnp.argsort(x[ties])]
    bits = lax.bitcast_convert_type(lax.stop_gradient(x), jnp.int32)
    bits = jnp.where(bits < 0, bits ^ jnp.int32(0x7FFFFFFF), bits)
    rank = jnp.arange(n) if ties is None else jnp.zeros(n, int).at[ties].set(jnp.arange(n))
    with jax.enable_x64(True):
        high = lax.shift_left(bits.astype(jnp.int64), jnp.int64(32))
        low = lax.sort(high | rank.astype(jnp.int64), is_stable=False) & jnp.int64(0xFFFFFFFF)
        low = low.astype(jnp.int32)
    return low if ties is None else ties[low]


class Quantiles(NamedTuple):
    """The distribution of each channel of some `Samples`, by itself.

    Attributes:
      values: [n, c], each channel ascending.
      ends: [n, c], the share of all that is not above; or None where all weigh the same.
    """

    values: jax.Array
    ends: jax.Array | None


def quantiles(x: jax.Array, *, where: jax.Array | None = None) -> Quantiles:
    """`Quantiles` of features [h, w, c] under a soft mask [h, w]."""
    return sorted_channels(as_samples(x, where=where))


def sorted_channels(sample: Samples) -> Quantiles:
    """`Quantiles` of `Samples`."""
    if sample.weights is None:
        return Quantiles(jax.vmap(lambda x: x[argsort(x)], 1, 1)(sample.values), None)
    weights = jnp.broadcast_to(normalised(sample)[:, None], sample.values.shape)
    return _sorted(sample.values, weights)


def pool_quantiles(samples: Sequence[Quantiles], weights: Sequence[float]) -> Quantiles:
    """The mixture of several `Quantiles`, each a share of the whole: the `blend` of losses on them."""
    shares = [share * _shares(sample) for sample, share in zip(samples, weights, strict=True)]
    joined = jnp.concatenate(shares)
    joined = safe_divide(joined, jnp.sum(joined, axis=0, keepdims=True))
    return _sorted(jnp.concatenate([sample.values for sample in samples]), joined)


def _sorted(values, shares):
    order = jax.vmap(argsort, 1, 1)(values)
    values, shares = (jnp.take_along_axis(a, order, axis=0) for a in (values, shares))
    return Quantiles(values, jnp.cumsum(shares, axis=0))


def _shares(sample):
    if sample.ends is None:
        return jnp.full_like(sample.values, 1 / len(sample.values))
    return jnp.diff(sample.ends, axis=0, prepend=0)


def quantile_match(
    values: jax.Array,
    weights: jax.Array | None,
    target: jax.Array,
    ends: jax.Array | None,
    *,
    ties: jax.Array | None = None,
) -> tuple[jax.Array, jax.Array | float, jax.Array]:
    r"""A sample on a line beside the quantiles of another: the optimal transport between them.

    The quantile function Q(u) of the target is the smallest value that a share u of it does not exceed.
    It is read at the middle of each share of the sorted sample; with as many samples on both sides, all
    alike, that is the sorted target.

    Args:
      values: [n].
      weights: [n], or None where all weigh the same.
      target: [m], the values of a channel of `Quantiles`.
      ends: [m], its ends, or None.
      ties: as of `argsort`.

    Returns:
      (order, share, quantiles), each [n]: the indices that sort the sample, the share of each sorted
      value (a number, where weights are None), and the quantile it is transported to.
    """
    n, m = len(values), len(target)
    order = argsort(values, ties=ties)
    share: jax.Array | float
    if weights is None:
        share = 1 / n
        middle = (jnp.arange(n, dtype=values.dtype) + 0.5) / n
    else:
        share = normalised(Samples(values[:, None], weights))[order]
        middle = jnp.cumsum(share) - share / 2
    if ends is not None:
        rank = jnp.searchsorted(ends, middle)
    elif weights is None:
        # Exact, as float32 is not.
        rank = jnp.arange(n) if n == m else jnp.asarray([((2 * i + 1) * m - 1) // (2 * n) for i in range(n)])
    else:
        rank = jnp.ceil(middle * m).astype(int) - 1
    return order, share, target[jnp.clip(rank, 0, m - 1)]
