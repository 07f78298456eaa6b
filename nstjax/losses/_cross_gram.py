"""Gram matrices between the features of two layers."""

import jax.numpy as jnp

from nstjax.losses._base import Loss, zero_if_empty
from nstjax.ops.arithmetic import matmul
from nstjax.ops.moments import inverse_area


def cross_gram(*, split: float) -> Loss:
    r"""Squared distance between matrices of co-activations of two layers.

    .. math:: \frac{1}{C_1 C_2} \sum_{ij} (G_{ij} - G'_{ij})^2, \quad G = \frac1N F_1^T F_2

    Each matrix is divided by its own number of positions; a mean over its C_1 C_2 entries. F_1 is the
    first channels of the features, F_2 the others: read it at a tap such as `relu2_1+relu1_1`, which is the
    features of relu2_1 and, resized to them, those of relu1_1.

    Args:
      split: C_1; or, below 1, its share of all channels: 2/3 where F_1 is of a layer with twice as many.

    Returns:
      A `Loss`. Its target is a matrix [C_1, C_2]; `score` takes features [h, w, c] of any size.

    Raises:
      ValueError: for `split` that is not above 0; from `target` and `score`, for one that leaves no
        channels on a side.

    References:
      Novak & Nikulin 2016, sec. 3.5, https://arxiv.org/abs/1605.04603
      Yeh & Tang 2018, https://arxiv.org/abs/1803.09781

    >>> import jax.numpy as jnp
    >>> loss, x = cross_gram(split=1), jnp.ones((4, 4, 3))
    >>> float(loss.score(2 * x, loss.target(x)))
    9.0
    """
    if split <= 0:
        raise ValueError(f"split must be above 0; got {split}")

    def target(x, *, where=None):
        channels = x.shape[-1]
        at = round(split * channels) if split < 1 else int(split)
        if not 0 < at < channels:
            raise ValueError(f"split must leave some of {channels} channels on both sides; got {split}")
        weighted = x if where is None else x * where[..., None]
        first, second = (a.reshape(-1, a.shape[-1]) for a in (weighted[..., :at], x[..., at:]))
        return matmul(first.T, second) * inverse_area(x, where)

    def score(x, matrix, *, where=None, key=None):
        difference = target(x, where=where) - matrix
        return zero_if_empty(jnp.mean(jnp.square(difference)), x, where)

    return Loss(target=target, score=score)
