"""Distance to features whose histograms, of so many bins, are those of a style."""

import jax
import jax.numpy as jnp

from nstjax.losses.base import Loss, masked_mean, zero_if_empty
from nstjax.points import Points, normalised, points, pool


def histogram_binned(*, bins=256):
    r"""Squared distance of features to themselves, matched to a style by histograms: `histogram` with bins.

    .. math:: \frac{1}{NC} \sum_{pc} (F_{pc} - R_{pc})^2, \quad R_{pc} = H_{S,c}^{-1}(H_{F,c}(F_{pc}))

    H is the cumulated histogram of a channel from its least to its largest value, straight within a bin.
    A mean over positions and channels. R is held constant, so that the gradient is 2 (F - R) / (N C);
    values that are equal stay so, and no order is drawn. Where none are, it is `histogram` as the bins
    become many.

    Args:
      bins: 256 in the paper and in luanfujun/deep-painterly-harmonization.

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

    def match(values, weights, target, target_weights):
        edges, shares = _cumulated(Points(values, weights), bins)
        wanted, known = _cumulated(Points(target, target_weights), bins)
        # All values are one: they are in the middle of the style's.
        place = jnp.where(edges[-1] > edges[0], jnp.interp(values, edges, shares), 0.5)
        return jnp.where(known[-1] > 0, jnp.interp(place, known, wanted), values)

    def score(x, target, *, where=None, key=None):
        sample = points(jax.lax.stop_gradient(x), where=where)
        matched = jax.vmap(match, (1, None, 1, None), 1)(*sample, *target)
        value = jnp.mean(masked_mean(jnp.square(x - matched.reshape(x.shape)), where))
        return zero_if_empty(value, x, where)

    return Loss(target=points, score=score, blend=pool)


def _cumulated(sample, bins):
    """Edges [bins + 1] of the histogram of values [n], and the shares [bins + 1] below them."""
    x, weights = sample.values, normalised(sample)
    there = weights > 0
    low = jnp.min(jnp.where(there, x, jnp.inf), initial=jnp.inf)
    high = jnp.max(jnp.where(there, x, -jnp.inf), initial=-jnp.inf)
    low, high = jnp.where(low <= high, low, 0.0), jnp.where(low <= high, high, 0.0)
    width = (high - low) / bins
    index = jnp.clip((x - low) / jnp.where(width > 0, width, 1.0), 0, bins - 1).astype(int)
    shares = jnp.cumsum(jnp.zeros(bins, x.dtype).at[index].add(weights))
    return low + width * jnp.arange(bins + 1, dtype=x.dtype), jnp.concatenate([jnp.zeros(1, x.dtype), shares])
