"""A large picture through a network in windows of rows, whose statistics are those of the whole picture."""

import functools
import math

import jax
import jax.numpy as jnp
from jax import lax

from nstjax.networks.transformer import Condition, Transformer
from nstjax.ops.moments import Moments, masked_mean, merge

_POSITIONS = 2**20  # of a window at full size
_HALO = 8  # rows that a window reads before and after those it gives; no stage reaches further
# Rows that a stage gives for one that it reads: (numerator, denominator).
_RATES = {"first": (1, 1), "down1": (1, 2), "down2": (1, 2), "up1": (2, 1), "up2": (2, 1), "last": (1, 1)}
# Stages that run together, whether their output is kept, and the norm whose statistics are measured of it.
# What is as large as the picture is not kept, but made twice: once to measure it.
_GROUPS = (
    (("first",), False, "norm_first"),
    (("first", "down1"), True, "norm_down1"),
    (("down2",), True, ""),
    (("blocks",), True, ""),
    (("up1",), True, "norm_up1"),
    (("up2",), False, "norm_up2"),
    (("up2", "last"), True, ""),
)


def stylize(
    network: Transformer,
    variables: dict,
    image: jax.Array,
    condition: Condition,
    *,
    positions: int = _POSITIONS,
) -> jax.Array:
    """What a call of the network gives, to rounding, in the memory of its features at half size.

    Args:
      network: a `Transformer`.
      variables: of it.
      image: [H, W, 3] sRGB in [0, 1].
      condition: a `Condition` without leading axes.
      positions: of a window, at full size.

    Returns:
      [H', W', 3] sRGB; H' and W' are H and W rounded up to multiples of 4.
    """
    given = network.clone(norm="batch")  # whose norms take the statistics that they are given
    statistics = dict(variables.get("statistics", {}))
    x = _prepared(network, image)
    for stages, kept, norm in _GROUPS:
        if stages == ("blocks",):
            x = _whole(network, variables, x, condition)
            continue
        measured = bool(norm) and network.norm == "instance"
        if not (kept or measured):
            continue
        known = {"params": variables["params"], "statistics": statistics}
        y, moments = _in_windows(given, stages, known, x, condition, kept, measured, positions)
        if measured:
            statistics[norm] = {"mean": moments.mean, "variance": moments.spread}
        x = y if kept else x
    return _painted(network, variables, x, image, condition)


def _in_windows(network, stages, variables, x, condition, kept, measured, positions):
    """(output of stages, or a number where it is not kept; its `Moments` where they are measured)."""
    height, width, _ = x.shape
    run = functools.partial(_run, network, stages)
    shape = jax.eval_shape(run, variables, x, condition).shape
    up, down = (math.prod(_RATES[stage][i] for stage in stages) for i in (0, 1))
    # As many rows as, at the larger of the two sizes, have so many positions; as odd as the height, so that
    # the last window starts at an even row.
    rows = max(positions * width // max(width, shape[1]) ** 2 // 2 * 2, 4 * _HALO) + height % 2
    rows = min(rows, height)
    out = jnp.zeros(shape if kept else (1, 1, 1))
    moments, done, start = None, 0, 0
    while done < shape[0]:
        start = min(start, height - rows)
        last = start + rows == height
        end = shape[0] if last else (start + rows - _HALO) * up // down
        place = jnp.array([start, start * up // down, done, end])
        given = kept, measured, out, variables, x, condition, place
        out, found = _window(network, stages, rows, *given)
        moments = merge(moments, found) if moments else found
        done, start = end, start + rows // 2 * 2 - 2 * _HALO
    return out, moments


@functools.partial(jax.jit, static_argnums=(0, 1, 2, 3, 4), donate_argnums=5)
def _window(network, stages, rows, kept, measured, out, variables, x, condition, place):
    """(out with the rows of a window in it, their `Moments` or None).

    Args:
      place: [4], the first row of the window in `x` and in the output, and the rows of the output that it
        gives: the first and that after the last.
    """
    start, to, done, end = place
    y = _run(network, stages, variables, lax.dynamic_slice_in_dim(x, start, rows), condition)
    new = (jnp.arange(len(y)) + to >= done) & (jnp.arange(len(y)) + to < end)
    moments = None
    if measured:
        where = jnp.broadcast_to(new[:, None].astype(y.dtype), y.shape[:2])
        mean = masked_mean(y, where)
        moments = Moments(jnp.sum(where), mean, masked_mean(jnp.square(y - mean), where))
    if kept:
        y = jnp.where(new[:, None, None], y, lax.dynamic_slice_in_dim(out, to, len(y)))
        out = lax.dynamic_update_slice_in_dim(out, y, to, 0)
    return out, moments


def _run(network, stages, variables, x, condition):
    for stage in stages:
        x = network.apply(variables, stage, x, condition, method="stage")
    return x


_whole = jax.jit(lambda network, *rest: _run(network, ("blocks",), *rest), static_argnums=0)
_prepared = jax.jit(lambda network, image: network.apply({}, image, method="prepared"), static_argnums=0)


@functools.partial(jax.jit, static_argnums=0, donate_argnums=2)
def _painted(network, variables, y, image, condition):
    return network.apply(variables, y, image, condition, method="painted")
