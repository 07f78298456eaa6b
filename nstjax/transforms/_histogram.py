"""Exact histogram matching, channel by channel."""

import jax
import jax.numpy as jnp

from nstjax.ops.samples import as_samples, pool_quantiles, quantile_match, quantiles
from nstjax.transforms._base import Transform


def histogram() -> Transform:
    r"""Each channel with the distribution that it has in a style, its values in their old order.

    .. math:: R(x)_{(i) c} = Q_c(\tfrac{i - 1/2}{N})

    :math:`Q_c` is the quantile function of channel c of the style, so that the numbers of positions may
    differ; there are no bins. Values that are equal are ranked in a random order drawn from `key`
    (without one, always the same): zeros after a ReLU would otherwise become a gradient across the
    picture. A blend of styles is the distribution of their pooled positions.

    Returns:
      A `Transform`. A style is `Quantiles`, values [n, c] and shares [n, c] or None; `map` takes features
      [h, w, c] of any size.

    Differs from the paper: Risser et al. match histograms of 256 bins.

    References:
      Risser et al. 2017, sec. 4.2, https://arxiv.org/abs/1701.08893

    >>> import jax.numpy as jnp
    >>> transform, x = histogram(), jnp.array([5.0, 1.0, 4.0, 2.0]).reshape(2, 2, 1)
    >>> transform.apply(x, transform.style(10 * jnp.arange(4.0).reshape(1, 4, 1))).ravel().tolist()
    [30.0, 0.0, 20.0, 10.0]
    """

    def map(x, style, *, where=None, key=None):
        values, weights = as_samples(x, where=where)
        ties = jax.random.permutation(jax.random.key(0) if key is None else key, len(values))

        def match(values, target, ends):
            order, _, matched = quantile_match(values, weights, target, ends, ties=ties)
            return jnp.zeros_like(matched).at[order].set(matched)

        matched = jax.vmap(match, (1, 1, 1), 1)(values, *style).reshape(x.shape)
        return matched if style.ends is None else jnp.where(style.ends[-1] > 0, matched, x)

    return Transform(style=quantiles, map=map, blend=pool_quantiles)
