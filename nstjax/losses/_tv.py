"""Total variation of the picture, in the four forms in use. No form reads its target.

A difference counts as much as its pixel that is least in a mask; a sum under a mask is that over its area,
times the number of pixels.
"""

import jax.numpy as jnp

from nstjax.losses._base import Loss
from nstjax.ops.moments import inverse_area


def tv_anisotropic() -> Loss:
    r"""Sum of squared differences of neighbours.

    .. math:: \sum (x_{y,x+1} - x_{y,x})^2 + \sum (x_{y+1,x} - x_{y,x})^2

    A sum over all pairs of neighbours and over channels, not divided by anything.

    Returns:
      A `Loss`. Its target is empty; `score` takes pictures [h, w, c] of any size.

    >>> import jax.numpy as jnp
    >>> loss, ramp = tv_anisotropic(), jnp.tile(jnp.arange(4.0)[None, :, None], (4, 1, 1))
    >>> float(loss.score(ramp, loss.target(ramp)))
    12.0
    """

    def score(x, target, *, where=None, key=None):
        down = _masked(jnp.square(x[1:] - x[:-1]), where, (1, 0))
        across = _masked(jnp.square(x[:, 1:] - x[:, :-1]), where, (0, 1))
        return (jnp.sum(down) + jnp.sum(across)) * _per_area(x, where)

    return Loss(target=_nothing, score=score)


def tv_isotropic(*, beta: float = 2.0) -> Loss:
    r"""Sum of gradient magnitudes to a power.

    .. math:: \sum ((x_{y,x+1} - x_{y,x})^2 + (x_{y+1,x} - x_{y,x})^2)^{\beta / 2}

    A sum over the (H-1) x (W-1) positions that have both neighbours and over channels. Finite gradient
    at flat pictures for every beta > 0: where both differences are 0 the gradient is 0.

    Args:
      beta: 2 in pystiche, 2.5 in titu1994/Neural-Style-Transfer (written there as a power of 1.25).

    Returns:
      A `Loss`. Its target is empty; `score` takes pictures [h, w, c] of any size.

    References:
      Mahendran & Vedaldi 2015, eq. 3, https://arxiv.org/abs/1412.0035

    >>> import jax.numpy as jnp
    >>> loss, ramp = tv_isotropic(), jnp.tile(jnp.arange(4.0)[None, :, None], (4, 1, 1))
    >>> float(loss.score(ramp, loss.target(ramp)))
    9.0
    """

    def score(x, target, *, where=None, key=None):
        square = _corner(x)
        flat = square == 0
        power = jnp.where(flat, 0.0, jnp.where(flat, 1.0, square) ** (beta / 2))
        return jnp.sum(_masked(power, where, (1, 1))) * _per_area(x, where)

    return Loss(target=_nothing, score=score)


def tv_corner(*, pixel_range: float = 255.0) -> Loss:
    r"""The objective whose gradient the Torch7 programs add: half of `tv_isotropic` at beta 2.

    .. math:: \frac12 r^2 \sum (x_{y,x+1} - x_{y,x})^2 + (x_{y+1,x} - x_{y,x})^2

    A sum over the (H-1) x (W-1) positions that have both neighbours, in the units of the network there.

    Args:
      pixel_range: r, the range of a pixel in those units: 255, or 256 for neural-style and
        deep-photo-styletransfer.

    Returns:
      A `Loss`. Its target is empty; `score` takes pictures [h, w, c] of any size.

    Differs from the code: jcjohnson/neural-style and its relatives add the gradient and leave the value
    out of the reported loss; here both agree.

    References:
      jcjohnson/neural-style, https://github.com/jcjohnson/neural-style

    >>> import jax.numpy as jnp
    >>> loss = tv_corner(pixel_range=1.0)
    >>> ramp = jnp.tile(jnp.arange(4.0)[None, :, None], (4, 1, 1))
    >>> float(loss.score(ramp, loss.target(ramp)))
    4.5
    """

    def score(x, target, *, where=None, key=None):
        square = _masked(_corner(x), where, (1, 1))
        return 0.5 * pixel_range**2 * jnp.sum(square) * _per_area(x, where)

    return Loss(target=_nothing, score=score)


def tv_nine_point() -> Loss:
    r"""Mean squared differences along both axes and both diagonals.

    .. math:: 2 \left(\tfrac13 \overline{d_x^2} + \tfrac13 \overline{d_y^2} +
              \tfrac1{12} \overline{d_\searrow^2} + \tfrac1{12} \overline{d_\swarrow^2}\right)

    Edges are replicated on all sides: the means run over the H x W pixels along the axes, over the
    (H+1) x (W+1) corners along the diagonals, and over channels. The size of the picture does not
    change the scale.

    Returns:
      A `Loss`. Its target is empty; `score` takes pictures [h, w, c] of any size.

    References:
      crowsonkb/style-transfer-pytorch, https://github.com/crowsonkb/style-transfer-pytorch

    >>> import jax.numpy as jnp
    >>> loss, ramp = tv_nine_point(), jnp.tile(jnp.arange(4.0)[None, :, None], (4, 1, 1))
    >>> round(float(loss.score(ramp, loss.target(ramp))), 5)
    0.7
    """
    across = jnp.s_[:, :-1], jnp.s_[:, 1:]
    down = jnp.s_[:-1], jnp.s_[1:]
    falling = jnp.s_[:-1, :-1], jnp.s_[1:, 1:]
    rising = jnp.s_[1:, :-1], jnp.s_[:-1, 1:]

    def score(x, target, *, where=None, key=None):
        h, w, c = x.shape

        def squares(pair):
            near, far = pair
            square = jnp.square(x[far] - x[near])
            return square if where is None else square * jnp.minimum(where[near], where[far])[..., None]

        rows, columns = squares(across), squares(down)
        axes = jnp.sum(rows) + jnp.sum(columns)
        # In the replicated border both diagonals are differences along the edge.
        edges = sum(jnp.sum(edge) for edge in (rows[0], rows[-1], columns[:, 0], columns[:, -1]))
        diagonals = jnp.sum(squares(falling)) + jnp.sum(squares(rising)) + 2 * edges
        total = axes / (3 * h * w * c) + diagonals / (12 * (h + 1) * (w + 1) * c)
        return 2 * total * _per_area(x, where)

    return Loss(target=_nothing, score=score)


def _nothing(x, *, where=None):
    return ()


def _corner(x):
    """Squared differences to the right and down, summed, at positions that have both: [h-1, w-1, c]."""
    across = x[:-1, 1:] - x[:-1, :-1]
    down = x[1:, :-1] - x[:-1, :-1]
    return jnp.square(across) + jnp.square(down)


def _masked(square, where, reach):
    """Squared differences weighted by the least of the mask at the pixel and at those `reach` away."""
    if where is None:
        return square
    h, w = where.shape
    weights = where[: h - reach[0], : w - reach[1]]
    if reach[0]:
        weights = jnp.minimum(weights, where[1:, : w - reach[1]])
    if reach[1]:
        weights = jnp.minimum(weights, where[: h - reach[0], 1:])
    return square * weights[..., None]


def _per_area(x, where):
    """The factor from a masked sum to one over the whole picture: positions / area, 0 if empty."""
    return x.shape[0] * x.shape[1] * inverse_area(x, where)
