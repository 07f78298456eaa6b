"""Distance to features whose histograms, of so many bins, are those of a style."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from nstjax.losses._base import Loss, zero_if_empty
from nstjax.ops.arithmetic import safe_divide
from nstjax.ops.moments import masked_mean
from nstjax.ops.samples import Samples, as_samples, pool


def histogram_binned(*, bins: int = 256) -> Loss:
    r"""Squared distance of features to themselves, matched to a style by histograms: `histogram` with bins.

    .. math:: \frac{1}{NC} \sum_{pc} (F_{pc} - R_{pc})^2, \quad R_{pc} = H_{S,c}^{-1}(H_{F,c}(F_{pc}))

    H is the cumulated histogram of a channel from its least to its largest value, straight within a bin.
    A mean over positions and channels. R is held constant, so that the gradient is 2 (F - R) / (N C);
    values that are equal stay so, and no order is drawn. Where none are, it is `histogram` as the bins
    become many.

    Args:
      bins: 256 in the paper and in luanfujun/deep-painterly-harmonization.

    Returns:
      A `Loss`. Its target is the style's samples [n, c], their range [c] and cumulated histograms
      [bins + 1, c]; `score` takes features [h, w, c] of any size.

    Raises:
      ValueError: for `bins` below 1.

    Differs from the paper: it sums where this is a mean.

    References:
      Risser et al. 2017, eq. 9, https://arxiv.org/abs/1701.08893

    >>> import jax.numpy as jnp
    >>> loss, x = histogram_binned(), jnp.arange(12.0).reshape(2, 2, 3)
    >>> round(float(loss.score(x + 2, loss.target(x))), 4)
    4.0
    """
    if bins < 1:
        raise ValueError(f"bins must be at least 1; got {bins}")

    def target(x, *, where=None):
        return _histograms(as_samples(x, where=where), bins)

    def blend(targets, weights):
        return _histograms(pool([each.sample for each in targets], weights), bins)

    def match(values, low, width, shares, wanted, known):
        # All values are one: they are in the middle of the style's.
        bin, part = _place(values, low, width, bins)
        share = jnp.where(width > 0, shares[bin] + part * (shares[bin + 1] - shares[bin]), 0.5)
        return jnp.where(known[-1] > 0, jnp.interp(share, known, wanted), values)

    def score(x, target, *, where=None, key=None):
        sample = as_samples(jax.lax.stop_gradient(x), where=where)
        own = _histograms(sample, bins)
        wanted = target.low[None] + target.width[None] * jnp.arange(bins + 1, dtype=x.dtype)[:, None]
        columns = (sample.values, own.low, own.width, own.shares, wanted, target.shares)
        matched = jax.vmap(match, (1, 0, 0, 1, 1, 1), 1)(*columns)
        value = jnp.mean(masked_mean(jnp.square(x - matched.reshape(x.shape)), where))
        return zero_if_empty(value, x, where)

    return Loss(target=target, score=score, blend=blend)


class _Histograms(NamedTuple):
    """Bins of one width from the least value of each channel [c]; shares [bins + 1, c] below their edges."""

    sample: Samples
    low: jax.Array
    width: jax.Array
    shares: jax.Array


def _histograms(sample, bins):
    x = sample.values
    weights = jnp.ones(len(x), x.dtype) if sample.weights is None else sample.weights
    there = weights[:, None] > 0
    low = jnp.min(jnp.where(there, x, jnp.inf), axis=0, initial=jnp.inf)
    high = jnp.max(jnp.where(there, x, -jnp.inf), axis=0, initial=-jnp.inf)
    low, high = jnp.where(low <= high, low, 0.0), jnp.where(low <= high, high, 0.0)
    width = (high - low) / bins
    index, _ = _place(x, low[None], width[None], bins)
    counted = jax.vmap(lambda i: jnp.zeros(bins, x.dtype).at[i].add(weights), 1, 1)(index)
    below = jnp.pad(jnp.cumsum(counted, axis=0), ((1, 0), (0, 0)))
    # Divided at last: the counts of equal weights are exact.
    return _Histograms(sample, low, width, safe_divide(below, below[-1:]))


def _place(x, low, width, bins):
    """The bin that each value is in, and how far, from 0 to 1."""
    place = safe_divide(x - low, width)
    bin = jnp.floor(jnp.clip(place, 0, bins - 1))
    return bin.astype(int), jnp.clip(place - bin, 0, 1)
