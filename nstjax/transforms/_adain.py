"""Adaptive instance normalisation."""

import jax.numpy as jnp

from nstjax.ops.moments import Moments, area, masked_mean
from nstjax.transforms._base import Transform, by_moments


def adain(*, eps: float = 1e-5) -> Transform:
    r"""Channels moved and scaled to the means and standard deviations of a style.

    .. math:: \frac{\sigma_s}{\sigma_x} (x - \mu_x) + \mu_s, \quad \sigma = \sqrt{\mathrm{var} + \epsilon}

    Variances are divided by the number of positions. A blend of styles averages means and deviations,
    which is the interpolation of the features transformed to each.

    Args:
      eps: added to the variances of both sides.

    Returns:
      A `Transform`. A style is (whether there is one [], (mean [c], deviation [c])); `map` takes features
      [h, w, c] of any size.

    Differs from the code: xunhuang1995/AdaIN-style adds eps to the variance of x alone; with it on both
    sides features are unchanged by their own statistics.

    References:
      Huang & Belongie 2017, eq. 8, https://arxiv.org/abs/1703.06868

    >>> import jax.numpy as jnp
    >>> transform, x = adain(), jnp.array([0.0, 2.0]).reshape(1, 2, 1)
    >>> transform.apply(x, transform.style(3 * x + 1)).ravel().round().tolist()
    [1.0, 7.0]
    """

    def accumulate(x, *, where=None):
        mean = masked_mean(x, where)
        return Moments(area(x, where), mean, masked_mean(jnp.square(x - mean[None, None]), where))

    def statistics(moments):
        return moments.mean, jnp.sqrt(moments.spread + eps)

    def apply(x, content, style):
        (mean, std), (mean_, std_) = content, style
        return (x - mean[None, None]) * (std_ / std)[None, None] + mean_[None, None]

    return by_moments(accumulate, statistics, statistics, apply)
