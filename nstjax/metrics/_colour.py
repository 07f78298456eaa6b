"""Colours of pictures."""

import jax
import jax.numpy as jnp

from nstjax.metrics._base import differences, measured, root
from nstjax.ops.arithmetic import absolute
from nstjax.ops.moments import inverse_area


@measured
def saturation(x: jax.Array) -> jax.Array:
    r"""Mean chroma: how colourful a picture is.

    .. math:: \frac1N \sum_p (\max_c x_{pc} - \min_c x_{pc})

    A mean over positions: 0 for greys, 1 for pure primaries and their mixtures of two. The chroma of
    HSV, not its saturation: that divides by the largest channel, and noise of dark pixels dominates it.

    Args:
      x: [h, w, 3] sRGB in [0, 1].

    Returns:
      A scalar in [0, 1].

    >>> import jax.numpy as jnp
    >>> float(saturation(jnp.array([[[1.0, 0.0, 0.5], [0.5, 0.5, 0.5]]])))
    0.5
    """
    return jnp.mean(jnp.max(x, axis=-1) - jnp.min(x, axis=-1))


@measured
def clipped(x: jax.Array) -> jax.Array:
    r"""Share of values at an end of the range, where detail is lost.

    .. math:: \frac1{3N} \sum_{pc} [x_{pc} \le \tfrac1{510} \text{ or } x_{pc} \ge 1 - \tfrac1{510}]

    Divided by positions and channels. The count includes values that round to 0 or 255 in a file of 8 bits,
    and values beyond. The gradient is 0.

    Args:
      x: [h, w, 3] sRGB, in [0, 1] or not.

    Returns:
      A scalar in [0, 1].

    >>> import jax.numpy as jnp
    >>> float(clipped(jnp.array([[[0.0, 0.25, 0.5], [0.75, 0.999, 1.2]]])))
    0.5
    """
    return jnp.mean((x <= 1 / 510) | (x >= 1 - 1 / 510), dtype=x.dtype)


@measured
def colour_gaps(
    x: jax.Array, style: jax.Array, *, where: jax.Array | None = None, style_where: jax.Array | None = None
) -> dict[str, jax.Array]:
    r"""Distances of the colours of a picture from the colours of a style, regardless of their positions.

    .. math:: \sqrt{\frac13 \sum_c (\mu_c - \mu'_c)^2}, \quad
              \sqrt{\frac13 \sum_c (\sigma_c - \sigma'_c)^2}, \quad
              \frac13 \sum_c \int |F_c(v) - F'_c(v)| \,dv

    Of the mean, the standard deviation and the distribution function F of each channel over all
    positions; sizes may differ. The third is the 1-Wasserstein distance: how far a value moves on average
    when one histogram is made into the other, exactly, without bins.

    Args:
      x: [h, w, 3] sRGB in [0, 1].
      style: [h', w', 3], the same.
      where: [h, w] in [0, 1], the positions that count; all by default.
      style_where: [h', w'], the same of the style.

    Returns:
      {"mean", "deviation", "wasserstein"}: scalars in units of the [0, 1] range, 0 for the same colours. A
      mask that is empty counts as black.

    >>> import jax.numpy as jnp
    >>> gaps = colour_gaps(jnp.full((2, 2, 3), 0.25), jnp.full((3, 1, 3), 0.75))
    >>> {name: float(gap) for name, gap in gaps.items()}
    {'mean': 0.5, 'deviation': 0.0, 'wasserstein': 0.5}
    """
    gaps = differences(x, style, where, style_where)
    found = {name: root(jnp.mean(jnp.square(gap))) for name, gap in gaps.items()}
    return {**found, "wasserstein": _transport(_values(x, where), _values(style, style_where))}


def _values(x, where):
    """(values [n, c], shares [n] that add up to 1); under an empty mask one value of 0 has all."""
    flat = x.reshape(-1, x.shape[-1])
    if where is None:
        return flat, jnp.full(len(flat), 1 / len(flat), x.dtype)
    shares = where.reshape(-1).astype(x.dtype) * inverse_area(x, where)
    empty = (jnp.sum(where) <= 0).astype(x.dtype)
    nothing = jnp.zeros((1, x.shape[-1]), x.dtype)
    return jnp.concatenate([flat, nothing]), jnp.concatenate([shares, empty[None]])


def _transport(ours, theirs):
    """1-Wasserstein distance of the values of each channel, mean over channels; (values, shares) each.

    The mean of the distance there and that back, which rank equal values the other way round: where values
    are those of the reference, their gradients cancel.
    """
    return (_moved(ours, theirs) + _moved(theirs, ours)) / 2


def _moved(ours, theirs):
    """The distance of values [n, c] and [m, c]; of equal values ours come first."""
    values = jnp.concatenate([ours[0], theirs[0]])
    order = jnp.argsort(values, axis=0)
    share = jnp.concatenate([ours[1], -theirs[1]])[order]
    difference = jnp.cumsum(share, axis=0)[:-1]
    steps = jnp.diff(jnp.take_along_axis(values, order, axis=0), axis=0)
    return jnp.mean(jnp.sum(absolute(difference) * steps, axis=0))
