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
    equal its gradient is 0. The target is raw moments, which average linearly.

    Args:
      orders: K.
      squash: whether features pass a sigmoid first, for which the paper's bound needs values between 0
        and 1. The published code reads taps before the ReLU, such as `conv1_1`.

    Returns:
      A `Loss`. Its target is raw moments [orders, c]; `score` takes features [h, w, c] of any size.

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
        return jnp.stack([masked_mean(values**k, where) for k in range(1, orders + 1)])

    def score(x, raw, *, where=None, key=None):
        differences = _central(target(x, where=where)) - _central(raw)
        return zero_if_empty(jnp.sum(safe_sqrt(jnp.sum(jnp.square(differences), -1))), x, where)

    return Loss(target=target, score=score)


def _central(raw):
    """The mean, then central moments [K, c], of raw ones."""
    mean, powers = raw[0], jnp.concatenate([jnp.ones_like(raw[:1]), raw])
    central = [
        sum(math.comb(k, j) * powers[j] * (-mean) ** (k - j) for j in range(k + 1))
        for k in range(2, len(raw) + 1)
    ]
    return jnp.stack([mean, *central])
