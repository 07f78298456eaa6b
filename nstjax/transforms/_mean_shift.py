"""Features moved by a constant."""

from nstjax.ops.moments import Moments, area, masked_mean
from nstjax.transforms._base import by_moments


def mean_shift():
    r"""Features moved to the mean of a style, and otherwise as they were.

    .. math:: x - \mu_x + \mu_s

    What `wct` does without whitening and colouring. A blend of styles averages means.

    References:
      Li et al. 2017, sec. 3.2, https://arxiv.org/abs/1705.08086

    >>> import jax.numpy as jnp
    >>> transform, x = mean_shift(), jnp.array([0.0, 2.0]).reshape(1, 2, 1)
    >>> transform.apply(x, transform.style(3 * x + 1)).ravel().tolist()
    [3.0, 5.0]
    """

    def gather(x, *, where=None):
        return Moments(area(x, where), masked_mean(x, where))

    def mean(moments):
        return moments.mean

    return by_moments(gather, mean, mean, lambda x, own, style: x - own + style)
