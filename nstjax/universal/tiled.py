"""Universal style transfer of pictures of any size; a large picture goes through window by window."""

import functools
import itertools
from collections.abc import Sequence
from typing import NamedTuple

import jax
import numpy as np

from nstjax import universal
from nstjax.networks.vgg import CONVS
from nstjax.ops.moments import merge
from nstjax.transforms import Transform
from nstjax.transforms._base import mixed
from nstjax.universal.levels import Level
from nstjax.universal.transfer import StyleRegion, continued, mask_at


def stylize(
    levels: Sequence[Level],
    transform: Transform,
    image: jax.typing.ArrayLike,
    regions: Sequence[StyleRegion],
    *,
    alpha: jax.typing.ArrayLike = 1.0,
    passes: int = 1,
    mask_mode: str = "area",
    key: jax.Array | None = None,
    tile: int | None = None,
) -> jax.typing.ArrayLike:
    """`universal.stylize`, window by window for a picture with a side above `tile`.

    Statistics are gathered from the whole picture, and windows overlap by the networks' field of view: the
    result equals that of one pass, to rounding, in the memory of a window.

    Args: as of `universal.stylize`; image and the masks of regions as NumPy arrays, where memory counts; and
      tile: side of a window in pixels; None for one pass whatever the size.

    Raises:
      ValueError: for a transform that cannot be done in tiles, and a tile that is no multiple of the levels'
        units or hardly larger than their overlap (`smallest_tile`).
    """
    if tile is None or max(image.shape[:2]) <= tile:
        options = {"alpha": alpha, "passes": passes, "mask_mode": mask_mode, "key": key}
        return universal.stylize(levels, transform, image, regions, **options)
    _check(levels, transform, tile)
    for _ in range(passes):
        for i, (level, share) in enumerate(zip(levels, universal.shares(alpha, len(levels)), strict=True)):
            here = [StyleRegion(region.style[i], region.where) for region in regions]
            image = _transfer(level, transform, image, here, share, mask_mode, tile)
    return image


def statistics(
    levels: Sequence[Level],
    transform: Transform,
    image: jax.typing.ArrayLike,
    *,
    where: jax.typing.ArrayLike | None = None,
    mask_mode: str = "area",
    tile: int | None = None,
) -> tuple:
    """`universal.statistics`, window by window for a picture with a side above `tile`.

    Args: as of `universal.style`, and
      tile: as of `stylize`.
    """
    if tile is None or max(image.shape[:2]) <= tile:
        return universal.statistics(levels, transform, image, where=where, mask_mode=mask_mode)
    _check(levels, transform, tile)
    gathered = [_gather(level, transform, image, [where], mask_mode, tile)[0] for level in levels]
    return tuple(transform.tiled.style(moments) for moments in gathered)


def smallest_tile(levels: Sequence[Level]) -> int:
    """The least side of a window in pixels for some levels, of which a fourth is kept."""
    least = max(8 * halo(level.level, decoded=True) // 3 for level in levels)
    unit = max(level.unit for level in levels)
    return -(-least // unit) * unit


def halo(level: int, *, decoded: bool) -> int:
    """The margin of a window that pixels outside of it can change.

    Args:
      level: 1 to 5.
      decoded: whether features at relu{level}_1 are decoded as well.

    Returns:
      Pixels, a multiple of 2^(level - 1).
    """
    unit = 2 ** (level - 1)
    radius = sum(2 ** (int(conv[4]) - 1) for conv in CONVS[: CONVS.index(f"conv{level}_1") + 1])
    reach = 2 * radius + unit - 1 if decoded else radius
    return -(-reach // unit) * unit


class Window(NamedTuple):
    """A part of a picture that a network sees at once, and the inner part with correct results.

    Attributes:
      seen, kept: ((top, bottom), (left, right)) in pixels of the picture; kept parts cover it once.
    """

    seen: tuple
    kept: tuple

    def crop(self, x: jax.typing.ArrayLike, unit: int = 1) -> jax.typing.ArrayLike:
        """The seen part of features [h, w, ...] of the picture, `unit` pixels per position."""
        return x[tuple(slice(a // unit, b // unit) for a, b in self.seen)]

    def inside(self, unit: int = 1) -> tuple[slice, slice]:
        """The slices of the kept part in features of the seen part."""
        both = zip(self.seen, self.kept, strict=True)
        return tuple(slice((a - start) // unit, (b - start) // unit) for (start, _), (a, b) in both)


def windows(shape: tuple[int, int], side: int, halo: int) -> list[Window]:
    """`Window`s of one size that cover a picture.

    Args:
      shape: (H, W), multiples of the unit of the features.
      side: of a window, cut to the picture's; a multiple of the unit, over 2 * halo.
      halo: the margin that is dropped, except at a border of the picture; a multiple of the unit.
    """
    rows, columns = (_spans(length, min(side, length), halo) for length in shape)
    pairs = itertools.product(rows, columns)
    return [Window((seen, seen_), (kept, kept_)) for (seen, kept), (seen_, kept_) in pairs]


def _spans(length, side, halo):
    """[((start, end), (first, last))] of windows along one axis: the seen part, the kept part."""
    spans, first = [], 0
    while first < length:
        start = min(max(0, first - halo), length - side)
        last = length if start + side == length else start + side - halo
        spans.append(((start, start + side), (first, last)))
        first = last
    return spans


def _transfer(level, transform, image, regions, alpha, mask_mode, tile):
    """A picture [H, W, 3], a NumPy array, moved to the styles of its regions at one level."""
    gathered = _gather(level, transform, image, [region.where for region in regions], mask_mode, tile)
    owns = [transform.tiled.content(moments) for moments in gathered]
    styles = [region.style for region in regions]
    wheres = [mask_at(level, region.where, mask_mode) for region in regions]
    wide = np.asarray(continued(image, level.unit))
    result = np.empty_like(wide)
    for window in windows(wide.shape[:2], tile, halo(level.level, decoded=True)):
        here = [where if where is None else window.crop(where, level.unit) for where in wheres]
        seen = _move(level, transform, window.crop(wide), owns, styles, here, alpha)
        rows, columns = (slice(*span) for span in window.kept)
        result[rows, columns] = np.asarray(seen)[window.inside()]
    return result[: image.shape[0], : image.shape[1]]


def _gather(level, transform, image, wheres, mask_mode, tile):
    """The `Moments` of a picture's features under each of some masks."""
    wheres = [mask_at(level, where, mask_mode) for where in wheres]
    wide = np.asarray(continued(image, level.unit))
    total = None
    for window in windows(wide.shape[:2], tile, halo(level.level, decoded=False)):
        kept = np.zeros([(b - a) // level.unit for a, b in window.seen], np.float32)
        kept[window.inside(level.unit)] = 1
        here = [kept if where is None else kept * window.crop(where, level.unit) for where in wheres]
        part = _moments(level, transform, window.crop(wide), here)
        total = part if total is None else _merge(total, part)
    return total


@functools.partial(jax.jit, static_argnames="transform")
def _moments(level, transform, image, wheres):
    x = level.encode(image)
    return [transform.tiled.accumulate(x, where=where) for where in wheres]


@jax.jit
def _merge(several, others):
    return [merge(a, b) for a, b in zip(several, others, strict=True)]


@functools.partial(jax.jit, static_argnames="transform")
def _move(level, transform, image, owns, styles, wheres, alpha):
    x = result = level.encode(image)
    for own, style, where in zip(owns, styles, wheres, strict=True):
        result = result + (mixed(x, transform.tiled.apply(x, own, style), alpha, where) - x)
    return level.decode(result)


def _check(levels, transform, tile):
    if transform.tiled is None:
        raise ValueError("the transform must see all of a picture; give one with `tiled`, or tile=None")
    unit, least = max(level.unit for level in levels), smallest_tile(levels)
    if tile < least or tile % unit:
        raise ValueError(f"tile must be a multiple of {unit}, at least {least}; got {tile}")
