"""Central moment discrepancy."""

import math

import jax
import jax.numpy as jnp

from nstjax.losses._base import Loss, zero_if_empty
from nstjax.ops.arithmetic import safe_sqrt
from nstjax.ops.moments import masked_mean


def cmd(*, orders: int = 5, squash: bool = True) -> Loss:
    r"""Distances between the central moments of channels, from the mean to the fifth.

    .. math:: \sum_{k=1}^K \|c_k(F) - c_k(S)\|_2, \quad c_1 = \overline{f}, \quad
              c_k = \overline{(f - \overline{f})^k}, \quad f = \mathrm{sigmoid}(F)

    Each norm runs over the C channels and is not squared, nor divided by anything; where two moments are
    equal its gradient is 0. A blend of styles has the moments of their mixture.

    Args:
      orders: K.
      squash: whether features pass a sigmoid first, for which the paper's bound needs values between 0
        and 1. The published code reads taps before the ReLU, such as `conv1_1`.

    Returns:
      A `Loss`. Its target is the mean and central moments [orders, c]; `score` takes features [h, w, c] of
      any size.

    Raises:
      ValueError: for `orders` below 1.

    References:
      Kalischek et al. 2021, https://arxiv.org/abs/2103.07208

    >>> import jax.numpy as jnp
    >>> loss, coin = cmd(squash=False), jnp.array([0.0, 1.0]).reshape(1, 2, 1)
    >>> float(loss.score(coin, loss.target(jnp.full((1, 1, 1), 0.5))))
    0.3125
    """
    if orders < 1:
        raise ValueError(f"orders must be at least 1; got {orders}")

    def target(x, *, where=None):
        values = jax.nn.sigmoid(x) if squash else x
        mean = masked_mean(values, where)
        centred = values - mean[None, None]
        return jnp.stack([mean, *(masked_mean(centred**k, where) for k in range(2, orders + 1))])

    def score(x, moments, *, where=None, key=None):
        differences = target(x, where=where) - moments
        return zero_if_empty(jnp.sum(safe_sqrt(jnp.sum(jnp.square(differences), -1))), x, where)

    return Loss(target=target, score=score, blend=_mixture)


def _mixture(targets, weights):
    """The mean and the central moments [K, c] of a mixture of distributions, of theirs."""
    mean = sum(w * t[0] for w, t in zip(weights, targets, strict=True))
    moments = [mean]
    for k in range(2, len(targets[0]) + 1):
        # About the mixture's mean, by the binomial theorem; the zeroth moment is 1, the first is 0.
        moments.append(
            sum(
                w
                * (
                    sum(math.comb(k, j) * t[j - 1] * (t[0] - mean) ** (k - j) for j in range(2, k + 1))
                    + (t[0] - mean) ** k
                )
                for w, t in zip(weights, targets, strict=True)
            )
        )
    return jnp.stack(moments)
