"""Colours of the picture: how often each occurs, and whether they can be shown."""

import jax.numpy as jnp

from nstjax.losses._base import Loss, zero_if_empty
from nstjax.ops.arithmetic import absolute
from nstjax.ops.moments import masked_mean

# Distances [c] between two histograms [bins, c] with centres `step` apart.
DISTANCES = {
    "l2": lambda h, h_, step: jnp.sum(jnp.square(h - h_), 0),
    # area between the cumulated histograms: the 1-Wasserstein distance of the binned values
    "cumulative": lambda h, h_, step: step * jnp.sum(absolute(jnp.cumsum(h - h_, 0)), 0),
}


def colour_histogram(*, bins: int = 32, distance: str = "cumulative") -> Loss:
    r"""Distance between the soft histograms of each channel.

    .. math:: \frac1C \sum_c D(h_c, h'_c), \quad
              h_{bc} = \frac1N \sum_p \max(0, 1 - |x_{pc} - m_b| / \Delta)

    The centres :math:`m_b` lie :math:`\Delta` apart from 0 to 1; a value counts for the two on either
    side of it in proportion, so that a histogram sums to 1. Values beyond [0, 1] count as 0 and 1. A mean
    over channels. For the tap `image`; `sliced_wasserstein` there compares the channels jointly. It says
    nothing of where a colour lies: with a content loss alone beside it pixels are dithered, each pushed to a
    side, and only the mixture agrees (`configs/one_loss.py:loss=colour_histogram`).

    Args:
      bins: how many centres, at least 2.
      distance: one of `DISTANCES`: "l2", the squared differences summed over bins, does not see how far
        apart two colours are; "cumulative", the 1-Wasserstein distance, does.

    Returns:
      A `Loss`. Its target is histograms [bins, c]; `score` takes features [h, w, c] of any size.

    Raises:
      ValueError: for `bins` below 2, and for an unknown `distance`.

    >>> import jax.numpy as jnp
    >>> loss, grey = colour_histogram(), jnp.full((4, 4, 3), 0.25)
    >>> round(float(loss.score(grey, loss.target(3 * grey))), 6)
    0.5
    """
    if bins < 2:
        raise ValueError(f"bins must be at least 2; got {bins}")
    if distance not in DISTANCES:
        raise ValueError(f"distance must be one of {', '.join(DISTANCES)}; got {distance!r}")

    def target(x, *, where=None):
        # Written so that a value of exactly 0 or 1 still has a derivative.
        place = jnp.where(x < 0, 0.0, jnp.where(x > 1, 1.0, x)) * (bins - 1)
        below = jnp.minimum(jnp.floor(place), bins - 2)
        upper = place - below
        weights = jnp.ones(x.shape[:2], x.dtype) if where is None else where
        weights = weights / jnp.maximum(jnp.sum(weights), jnp.finfo(x.dtype).tiny)
        channel = jnp.broadcast_to(jnp.arange(x.shape[-1]), x.shape)
        empty, below = jnp.zeros((bins, x.shape[-1]), x.dtype), below.astype(int)
        counted = empty.at[below, channel].add(weights[..., None] * (1 - upper))
        return counted.at[below + 1, channel].add(weights[..., None] * upper)

    def score(x, wanted, *, where=None, key=None):
        value = jnp.mean(DISTANCES[distance](target(x, where=where), wanted, 1 / (bins - 1)))
        return zero_if_empty(value, x, where)

    return Loss(target=target, score=score)


def value_range(*, low: float = 0.0, high: float = 1.0) -> Loss:
    r"""Mean squared excess of values over a range.

    .. math:: \frac{1}{NC} \sum_{pc} \max(0, l - x_{pc})^2 + \max(0, x_{pc} - h)^2

    Divided by positions and channels, a mean. It does not read its target. For the tap `image`, where
    pixels are free of bounds during the optimisation (`project=False`).

    Args:
      low: l, below `high`.
      high: h.

    Returns:
      A `Loss`. Its target is empty; `score` takes features [h, w, c] of any size.

    Raises:
      ValueError: for `low` that is not below `high`.

    >>> import jax.numpy as jnp
    >>> loss, x = value_range(), jnp.array([[[-2.0, 0.5, 1.0, 1.0]]])
    >>> float(loss.score(x, loss.target(x)))
    1.0
    """
    if not low < high:
        raise ValueError(f"low must be below high; got {low} and {high}")

    def score(x, target, *, where=None, key=None):
        excess = jnp.maximum(low - x, 0) + jnp.maximum(x - high, 0)
        return jnp.mean(masked_mean(jnp.square(excess), where))

    return Loss(target=lambda x, *, where=None: (), score=score)
