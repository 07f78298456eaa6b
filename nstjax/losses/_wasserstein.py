"""Transport of features along lines: each channel by itself, or random directions."""

import jax
import jax.numpy as jnp

from nstjax.losses._base import Loss
from nstjax.ops.arithmetic import matmul
from nstjax.ops.samples import (
    Samples,
    as_samples,
    pool,
    pool_quantiles,
    quantile_match,
    quantiles,
    sorted_channels,
)


def histogram() -> Loss:
    r"""Squared distance of sorted features, channel by channel: the histogram loss, without bins.

    .. math:: \frac1C \sum_c \frac1N \sum_i (F_{(i) c} - Q_c(\tfrac{i - 1/2}{N}))^2

    :math:`F_{(i) c}` is the i-th smallest value of channel c, :math:`Q_c` the quantile function of that
    channel of the style, so that their numbers of positions may differ. A mean over positions and
    channels: the squared 1-D Wasserstein distance of each channel. Values that are equal are ranked in a
    random order drawn from `key`: zeros after a ReLU would otherwise be told apart by where they lie.

    Returns:
      A `Loss`. Its target is `Quantiles`, values [n, c] and shares [n, c] or None; `score` takes features
      [h, w, c] of any size.

    Differs from the paper: Risser et al. match histograms of 256 bins and read the distance to the
    matched features, which is the same but for the width of the bins.

    References:
      Risser et al. 2017, eq. 9, https://arxiv.org/abs/1701.08893

    >>> import jax.numpy as jnp
    >>> loss, x = histogram(), jnp.arange(12.0).reshape(2, 2, 3)
    >>> float(loss.score(x[::-1] + 2, loss.target(x)))
    4.0
    """

    def score(x, target, *, where=None, key=None):
        sample = as_samples(x, where=where)
        ties = None if key is None else jax.random.permutation(key, len(sample.values))
        return _mean_transport(sample, target, ties)

    return Loss(target=quantiles, score=score, blend=pool_quantiles)


def sliced_wasserstein(*, directions: int | None = None) -> Loss:
    r"""Squared distance of sorted projections onto random directions.

    .. math:: \frac1{|V|} \sum_{v \in V} \frac1N \sum_i ((F v)_{(i)} - Q_v(\tfrac{i - 1/2}{N}))^2

    The directions are drawn uniformly from the unit sphere with `key` (without one, always the same);
    :math:`Q_v` is the quantile function of the style's projection. A mean over directions and positions,
    so that a translation by t costs ||t||^2 / C in expectation.

    Args:
      directions: how many; by default as many as there are channels, as the authors' code has it.

    Returns:
      A `Loss`. Its target is `Samples`, values [n, c] and weights [n] or None; `score` takes features
      [h, w, c] of any size.

    Raises:
      ValueError: for `directions` below 1.

    References:
      Heitz et al. 2021, https://arxiv.org/abs/2006.07229

    >>> import jax.numpy as jnp
    >>> loss, x = sliced_wasserstein(), jnp.arange(4.0).reshape(2, 2, 1)
    >>> float(loss.score(x[::-1] + 3, loss.target(x)))
    9.0
    """
    if directions is not None and directions < 1:
        raise ValueError(f"directions must be at least 1; got {directions}")

    def score(x, target, *, where=None, key=None):
        key = jax.random.key(0) if key is None else key
        lines = jax.random.normal(key, (x.shape[-1], directions or x.shape[-1]), x.dtype)
        lines = lines / jnp.linalg.norm(lines, axis=0, keepdims=True)
        sample, style = (
            Samples(matmul(p.values, lines), p.weights) for p in (as_samples(x, where=where), target)
        )
        return _mean_transport(sample, sorted_channels(style))

    return Loss(target=as_samples, score=score, blend=pool)


def _mean_transport(sample, target, ties=None):
    """Squared 2-Wasserstein distance of `Samples` to `Quantiles`, mean over channels."""

    def squared(values, target, ends):
        order, share, quantiles = quantile_match(values, sample.weights, target, ends, ties=ties)
        return jnp.sum(share * jnp.square(values[order] - quantiles))

    return jnp.mean(jax.vmap(squared, (1, 1, 1))(sample.values, *target))
