"""Universal style transfer: pictures encoded, moved to the statistics of a style, decoded, level by level."""

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from nstjax.networks import masks
from nstjax.transforms import Transform
from nstjax.universal.levels import Level


class StyleRegion(NamedTuple):
    """A part of a picture and its style.

    Attributes:
      style: the statistics of the style, a pytree for each level, from `style` or `blend`. For `transfer` and
        `stylize` also the style itself, [H, W, 3] sRGB in [0, 1]: of a single transfer, this is faster.
      where: soft mask [H, W] in [0, 1] of the picture; None for all of it.
    """

    style: Any
    where: jax.Array | None = None


def encode(level: Level, image: jax.Array) -> jax.Array:
    """Features [h, w, c] of an image [H, W, 3] of any size: h is H / `level.unit`, rounded up.

    The picture's mirror image continues it below and to the right, to multiples of the unit.
    """
    return level.encode(continued(image, level.unit))


def style(
    levels: Sequence[Level],
    transform: Transform,
    image: jax.Array,
    *,
    where: jax.Array | None = None,
    mask_mode: str = "area",
) -> tuple:
    """The statistics of a style that a transform needs, taken once for any number of contents.

    Args:
      levels: of `transfer`, in the same order.
      transform: a `Transform` of features.
      image: the style [H, W, 3] sRGB in [0, 1], any size.
      where: soft mask [H, W] in [0, 1] of the part to read; None for all of it.
      mask_mode: how the mask goes through the encoder, one of `nstjax.networks.masks.MODES`.

    Returns:
      A pytree per level.
    """
    return tuple(
        transform.style(encode(level, image), where=mask_at(level, where, mask_mode)) for level in levels
    )


def blend(transform: Transform, styles: Sequence[tuple], weights: Sequence[float]) -> tuple:
    """Several styles as one.

    Args:
      transform: a `Transform` of features.
      styles: results of `style` for the same levels.
      weights: one per style; they sum to 1.

    Returns:
      A pytree per level, as `style` returns it.
    """
    return tuple(transform.blend(each, weights) for each in zip(*styles, strict=True))


def transfer(
    levels: Sequence[Level],
    transform: Transform,
    image: jax.Array,
    regions: Sequence[StyleRegion],
    *,
    alpha: jax.typing.ArrayLike = 1.0,
    mask_mode: str = "area",
    key: jax.Array | None = None,
) -> jax.Array:
    r"""A picture with the statistics of a style, at one level after the other.

    .. math:: I_{l+1} = D_l\big(x + \alpha_l \sum_r m_r (T(x, s_{rl}) - x)\big), \quad x = E_l(I_l)

    E and D are the encoder and the decoder of a level, T the transform, m the masks of the regions. Outside
    all masks a picture is only encoded and decoded. Masks are expected to sum to at most 1 anywhere.

    Args:
      levels: in the order of their application: the paper goes from 5 to 1.
      transform: a `Transform` of features.
      image: the content [H, W, 3] sRGB in [0, 1], any size.
      regions: `StyleRegion`s.
      alpha: how far features are moved, in [0, 1]; a number, or one per level.
      mask_mode: how masks go through the encoder, one of `nstjax.networks.masks.MODES`.
      key: PRNG key for a transform that draws at random.

    Returns:
      [H, W, 3], about [0, 1], not clipped.

    Differs from the paper: a picture with sides that are no multiples of 2^(level - 1) is continued by its
    mirror image, and the result is cut to its size; the authors' code rounds up and returns a larger one.

    References:
      Li et al. 2017, https://arxiv.org/abs/1705.08086
    """
    key = jax.random.key(0) if key is None else key
    height, width = image.shape[:2]
    regions = [
        region._replace(style=style(levels, transform, region.style))
        if hasattr(region.style, "ndim")
        else region
        for region in regions
    ]
    for i, (level, share) in enumerate(zip(levels, shares(alpha, len(levels)), strict=True)):
        here = [StyleRegion(region.style[i], region.where) for region in regions]
        draw = jax.random.fold_in(key, i)
        x = moved(level, transform, image, here, alpha=share, mask_mode=mask_mode, key=draw)
        image = level.decode(x)[:height, :width]
    return image


def moved(
    level: Level,
    transform: Transform,
    image: jax.Array,
    regions: Sequence[StyleRegion],
    *,
    alpha: jax.typing.ArrayLike = 1.0,
    mask_mode: str = "area",
    key: jax.Array | None = None,
) -> jax.Array:
    """Features [h, w, c] of an image at one level, moved towards the styles of its regions.

    Args: as of `transfer`, except that the `style` of a region is the pytree of this level alone.
    """
    key = jax.random.key(0) if key is None else key
    x = result = encode(level, image)
    for i, region in enumerate(regions):
        where, draw = mask_at(level, region.where, mask_mode), jax.random.fold_in(key, i)
        there = transform.apply(x, region.style, alpha=alpha, where=where, key=draw)
        result = there if len(regions) == 1 else result + (there - x)
    return result


def stylize(
    levels: Sequence[Level],
    transform: Transform,
    image: jax.Array,
    regions: Sequence[StyleRegion],
    *,
    alpha: jax.typing.ArrayLike = 1.0,
    passes: int = 1,
    mask_mode: str = "area",
    key: jax.Array | None = None,
) -> jax.Array:
    """`transfer`, compiled once for each size of picture, and repeated.

    Args: as of `transfer`, and
      passes: how often it is done, each time on the result of the last.
    """
    key = jax.random.key(0) if key is None else key
    alpha = shares(alpha, len(levels))
    for number in range(passes):
        draw = jax.random.fold_in(key, number)
        image = _transfer(
            tuple(levels), transform, image, tuple(regions), alpha=alpha, mask_mode=mask_mode, key=draw
        )
    return image


_transfer = jax.jit(transfer, static_argnames=("transform", "mask_mode"))
statistics = functools.partial(jax.jit, static_argnames=("transform", "mask_mode"))(style)


def shares(alpha: jax.typing.ArrayLike, count: int) -> jax.Array:
    """Alpha per level, [count] float32, of a number or of one per level."""
    alpha = jnp.asarray(alpha, jnp.float32)
    if alpha.shape not in ((), (count,)):
        raise ValueError(f"alpha must be a number or one for each of {count} levels; got {alpha.shape}")
    return jnp.broadcast_to(alpha, (count,))


def mask_at(level: Level, where: jax.Array | None, mode: str) -> jax.Array | None:
    """A mask at the features of a level.

    Args:
      level: a `Level`.
      where: [H, W] in [0, 1], of the picture; None for no mask.
      mode: one of `nstjax.networks.masks.MODES`.

    Returns:
      [h, w] in [0, 1], or None.
    """
    if where is None:
        return None
    return masks.propagate(continued(where, level.unit), (level.tap,), mode)[level.tap]


def continued(x: jax.Array, unit: int) -> jax.Array:
    """[H, W, ...] with its mirror image below and to the right, as far as the next multiples of a unit."""
    more = [(0, -side % unit) for side in x.shape[:2]]
    return jnp.pad(x, more + [(0, 0)] * (x.ndim - 2), mode="symmetric")
