"""Gram matrices of features with themselves some way off."""

from collections.abc import Sequence

import jax.numpy as jnp

from nstjax.losses._base import Loss, zero_if_empty
from nstjax.ops.arithmetic import matmul
from nstjax.ops.moments import inverse_area


def shifted_gram(*, shifts: Sequence[int] = (4, 8, 16)) -> Loss:
    r"""Squared distance between Gram matrices of features and their shifted selves.

    .. math:: \frac{1}{|D|} \sum_{\delta \in D} \frac12 (E_\delta^x + E_\delta^y), \quad
              E_\delta = \frac{1}{C^2} \sum_{ij} (G^\delta_{ij} - A^\delta_{ij})^2, \quad
              G^\delta = \frac{1}{N_\delta} \sum_p F_p^T F_{p + \delta}

    x shifts along rows, y along columns; N_delta is the number of positions in the overlap of a map and
    its shifted self, each picture's own. A mask weights two positions by the one that is less in it.
    Captures at which distance features occur together, such as the period of a pattern; `gram` sees only
    one position at a time.

    Args:
      shifts: distances in positions of the tap, above 0. Where a picture is no larger than a shift along
        an axis its Gram matrix there is 0. The paper takes powers of two, up to 64 at conv1_1 and half
        as far after each pooling.

    Returns:
      A `Loss`. Its target is matrices [2 |D|, c, c]; `score` takes features [h, w, c] of any size.

    Raises:
      ValueError: for no `shifts`, and for one below 1.

    Differs from the paper: it divides the sums by 4 C^2 N^2; here they are means as in `gram`.

    References:
      Berger & Memisevic 2017, https://arxiv.org/abs/1606.01286

    >>> import jax.numpy as jnp
    >>> loss, stripes = shifted_gram(shifts=(1,)), jnp.tile(jnp.arange(2.0)[None, :, None], (4, 2, 1))
    >>> float(loss.score(stripes, loss.target(jnp.full((4, 4, 1), 0.5))))
    0.0625
    """
    if not shifts or min(shifts) < 1:
        raise ValueError(f"shifts must be positions above 0; got {shifts!r}")

    def target(x, *, where=None):
        return jnp.stack([_shifted(x, where, d, axis) for d in shifts for axis in (1, 0)])

    def score(x, target_matrices, *, where=None, key=None):
        value = jnp.mean(jnp.square(target(x, where=where) - target_matrices))
        return zero_if_empty(value, x, where)

    return Loss(target=target, score=score)


def _shifted(x, where, shift, axis):
    """Gram matrix [c, c] of features [h, w, c] with those `shift` positions further along an axis."""
    if x.shape[axis] <= shift:
        return jnp.zeros((x.shape[-1],) * 2, x.dtype)
    near, far = (_cut(x, start, shift, axis) for start in (0, shift))
    if where is None:
        overlap = None
    else:
        overlap = jnp.minimum(_cut(where, 0, shift, axis), _cut(where, shift, shift, axis))
        near = near * overlap[..., None]
    near, positions = (x.reshape(-1, x.shape[-1]) for x in (near, far))
    return matmul(near.T, positions) * inverse_area(far, overlap)


def _cut(x, start, shift, axis):
    length = x.shape[axis] - shift
    return x[start : start + length] if axis == 0 else x[:, start : start + length]
