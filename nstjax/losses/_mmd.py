"""Maximum mean discrepancy: kernels between samples of features."""

import jax.numpy as jnp

from nstjax.losses._base import Loss, of_averages
from nstjax.ops.moments import gram_matrix, masked_mean


def mmd_linear() -> Loss:
    r"""Squared distance between the means of channels: the discrepancy under the kernel x'y.

    .. math:: \sum_c (\mu_c - \mu'_c)^2

    A sum over channels, not divided by anything.

    Returns:
      A `Loss`. Its target is a mean [c]; `score` takes features [h, w, c] of any size.

    References:
      Li et al. 2017, sec. 4.1, https://arxiv.org/abs/1701.01036

    >>> import jax.numpy as jnp
    >>> loss, x = mmd_linear(), jnp.ones((4, 4, 3))
    >>> float(loss.score(3 * x, loss.target(x)))
    12.0
    """

    def target(x, *, where=None):
        return masked_mean(x, where)

    return of_averages(target, lambda ours, theirs: jnp.sum(jnp.square(ours - theirs)))


def mmd_polynomial(*, c: float = 0.0) -> Loss:
    r"""The discrepancy under the kernel (x'y + c)^2, in closed form.

    .. math:: \|G - G'\|_F^2 + 2 c \|\mu - \mu'\|^2, \quad G = \frac1N F^T F

    Sums over entries and channels. With c = 0 it is C^2 times `gram`.

    Args:
      c: of the kernel, at least 0.

    Returns:
      A `Loss`. Its target is (Gram matrix [c, c], mean [c]); `score` takes features [h, w, c] of any size.

    Raises:
      ValueError: for `c` that is not at least 0.

    References:
      Li et al. 2017, eq. 8, https://arxiv.org/abs/1701.01036

    >>> import jax.numpy as jnp
    >>> loss, x = mmd_polynomial(c=1.0), jnp.ones((4, 4, 3))
    >>> float(loss.score(2 * x, loss.target(x)))
    87.0
    """
    if not c >= 0:
        raise ValueError(f"c must be at least 0; got {c}")

    def target(x, *, where=None):
        return gram_matrix(x, where=where), masked_mean(x, where)

    def distance(ours, theirs):
        second, first = (jnp.sum(jnp.square(a - b)) for a, b in zip(ours, theirs, strict=True))
        return second + 2 * c * first

    return of_averages(target, distance)
