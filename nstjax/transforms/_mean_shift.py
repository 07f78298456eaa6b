"""Features moved by a constant."""

from nstjax.ops.moments import Moments, area, masked_mean
from nstjax.transforms._base import Transform, by_moments


def mean_shift() -> Transform:
    r"""Features moved to the mean of a style, and otherwise as they were.

    .. math:: x - \mu_x + \mu_s

    This is `wct` without whitening and colouring. A blend of styles averages means.

    Returns:
      A `Transform`. A style is (whether there is one [], mean [c]); `map` takes features [h, w, c] of any
      size.

    References:
      Li et al. 2017, sec. 3.2, https://arxiv.org/abs/1705.08086

    >>> import jax.numpy as jnp
    >>> transform, x = mean_shift(), jnp.array([0.0, 2.0]).reshape(1, 2, 1)
    >>> transform.apply(x, transform.style(3 * x + 1)).ravel().tolist()
    [3.0, 5.0]
    """

    def accumulate(x, *, where=None):
        return Moments(area(x, where), masked_mean(x, where))

    def mean(moments):
        return moments.mean

    return by_moments(
        accumulate, mean, mean, lambda x, content, style: x - content[None, None] + style[None, None]
    )
