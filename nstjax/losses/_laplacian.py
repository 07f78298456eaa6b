"""Laplacian of the picture: keeping edges and fine detail of the content."""

import jax.numpy as jnp
from jax import lax

from nstjax.losses._base import Loss
from nstjax.ops.arithmetic import safe_divide
from nstjax.ops.moments import masked_mean

# How many rows and columns of blocks are left out along each border.
CONVENTIONS = {
    # none: blocks there have the neighbours that there are
    "all": 0,
    # blocks without four neighbours: askerlee/lapstyle (with pixel_range=256)
    "lapstyle": 1,
}


def laplacian(*, pool: int = 4, pixel_range: float = 255.0, convention: str = "all") -> Loss:
    r"""Mean squared difference between the Laplacians of two pooled pictures.

    .. math:: \frac{r^2}{N} \sum_p (\sum_c (\Delta \bar x_c)_p - \sum_c (\Delta \bar y_c)_p)^2, \quad
              (\Delta \bar x)_p = \sum_{q \sim p} \bar x_p - \bar x_q

    :math:`\bar x` is the average over blocks of pool x pool pixels, an incomplete last row or column left
    out; q are the up to four neighbours of block p in the picture and, under a mask, in it: the difference of
    two is multiplied by the smaller of their masks over the larger. Laplacians are summed over channels,
    squared differences averaged over the N blocks. A block is as much in a mask as its pixel that is least
    so. For the tap `image`.

    Args:
      pool: 4 in the paper, which combines several as several terms.
      pixel_range: r, the range of a pixel in the units of the network; 256 in lapstyle.
      convention: one of `CONVENTIONS`, which states the blocks that N counts: "all", or those that have all
        four neighbours, as the code of lapstyle has it. Of fewer than 3 x 3 blocks the latter is 0.

    Returns:
      A `Loss`. Its target is a Laplacian [h // pool, w // pool], 2 less on a side by "lapstyle"; `score`
      takes pictures [h, w, c] of that size.

    Raises:
      ValueError: for `pool` below 1, and for an unknown `convention`.

    References:
      Li et al. 2017, "Laplacian-Steered Neural Style Transfer", https://arxiv.org/abs/1707.01253
      askerlee/lapstyle, https://github.com/askerlee/lapstyle

    >>> import jax.numpy as jnp
    >>> loss, edge = laplacian(pool=1, pixel_range=1.0), jnp.eye(2, 4)[:1, :, None]
    >>> float(loss.score(edge, loss.target(0 * edge)))
    0.5
    """
    if pool < 1:
        raise ValueError(f"pool must be at least 1; got {pool}")
    if convention not in CONVENTIONS:
        raise ValueError(f"convention must be one of {', '.join(CONVENTIONS)}; got {convention!r}")
    border = CONVENTIONS[convention]

    def inside(blocks):
        h, w = blocks.shape
        return blocks[border : h - border, border : w - border]

    def target(x, *, where=None):
        blocks = _reduce(jnp.sum(x, -1), 0.0, lax.add, pool) * (pixel_range / pool**2)
        mask = None if where is None else _block_mask(where, pool)
        flow_down = _flow(blocks, mask, jnp.s_[:-1], jnp.s_[1:])
        flow_across = _flow(blocks, mask, jnp.s_[:, :-1], jnp.s_[:, 1:])
        down = jnp.diff(jnp.pad(flow_down, ((1, 1), (0, 0))), axis=0)
        across = jnp.diff(jnp.pad(flow_across, ((0, 0), (1, 1))), axis=1)
        return inside(-down - across)

    def score(x, wanted, *, where=None, key=None):
        if not wanted.size:
            return jnp.zeros((), x.dtype)
        square = jnp.square(target(x, where=where) - wanted)
        return masked_mean(square, None if where is None else inside(_block_mask(where, pool)))

    return Loss(target=target, score=score)


def _reduce(x, start, operation, pool):
    return lax.reduce_window(x, start, operation, (pool, pool), (pool, pool), "VALID")


def _block_mask(where, pool):
    return _reduce(where, jnp.inf, lax.min, pool)


def _flow(x, mask, near, far):
    """Differences between neighbours, times the smaller of their masks over the larger, 0 where both are."""
    difference = x[far] - x[near]
    if mask is None:
        return difference
    less, more = (f(mask[near], mask[far]) for f in (jnp.minimum, jnp.maximum))
    return difference * safe_divide(less, more)
