"""Exact histogram matching, channel by channel."""

import jax
import jax.numpy as jnp

from nstjax.points import points, pool, quantile_match
from nstjax.transforms.base import Transform


def histogram():
    r"""Each channel with the distribution that it has in a style, its values in their old order.

    .. math:: R(x)_{(i) c} = Q_c(\tfrac{i - 1/2}{N})

    :math:`Q_c` is the quantile function of channel c of the style, so that the numbers of positions may
    differ; there are no bins. Values that are equal are ranked in a random order drawn from `key`
    (without one, always the same): zeros after a ReLU would otherwise become a gradient across the
    picture. A blend of styles is the distribution of their pooled positions.

    Differs from the paper: Risser et al. match histograms of 256 bins.

    References:
      Risser et al. 2017, sec. 4.2, https://arxiv.org/abs/1701.08893

    >>> import jax.numpy as jnp
    >>> transform, x = histogram(), jnp.array([5.0, 1.0, 4.0, 2.0]).reshape(2, 2, 1)
    >>> transform.apply(x, transform.style(10 * jnp.arange(4.0).reshape(1, 4, 1))).ravel().tolist()
    [30.0, 0.0, 20.0, 10.0]
    """

    def map(x, style, *, where=None, key=None):
        sample = points(x, where=where)
        mixed = jax.random.permutation(jax.random.key(0) if key is None else key, len(sample.values))
        values, weights = jax.tree.map(lambda a: a[mixed], sample)
        matched = jax.vmap(_match, (1, None, 1, None), 1)(values, weights, *style)
        matched = jnp.zeros_like(matched).at[mixed].set(matched).reshape(x.shape)
        return matched if style.weights is None else jnp.where(jnp.sum(style.weights) > 0, matched, x)

    return Transform(style=points, map=map, blend=pool)


def _match(values, weights, target, target_weights):
    order, _, quantiles = quantile_match(values, weights, target, target_weights)
    return jnp.zeros_like(quantiles).at[order].set(quantiles)
