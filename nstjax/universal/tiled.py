"""Universal style transfer of pictures of any size: those too large for one pass window by window."""

import functools
import itertools
from typing import NamedTuple

import jax
import numpy as np

from nstjax import universal
from nstjax.networks.vgg import CONVS
from nstjax.ops.moments import merge
from nstjax.transforms._base import mixed
from nstjax.universal.transfer import Region, continued, mask_at


def stylize(levels, transform, image, regions, *, alpha=1.0, passes=1, mask_mode="area", key=None, tile=None):
    """`universal.stylize`, of a picture with a side above `tile` window by window.

    The statistics are of all of the picture, and windows overlap by what networks see: the result is that
    of one pass, to rounding, in the memory that a window takes.

    Args: as of `universal.stylize`; image and the masks of regions as NumPy arrays, where memory counts; and
      tile: side of a window in pixels; None for one pass whatever the size.

    Raises:
      ValueError: for a transform without `parts`, and a tile that is no multiple of the levels' units or
        hardly larger than their overlap (`smallest_tile`).
    """
    if tile is None or max(image.shape[:2]) <= tile:
        options = {"alpha": alpha, "passes": passes, "mask_mode": mask_mode, "key": key}
        return universal.stylize(levels, transform, image, regions, **options)
    _check(levels, transform, tile)
    for _ in range(passes):
        for i, (level, share) in enumerate(zip(levels, universal.shares(alpha, len(levels)), strict=True)):
            here = [Region(region.style[i], region.where) for region in regions]
            image = _transfer(level, transform, image, here, share, mask_mode, tile)
    return image


def statistics(levels, transform, image, *, where=None, mask_mode="area", tile=None):
    """`universal.statistics`, of a picture with a side above `tile` window by window."""
    if tile is None or max(image.shape[:2]) <= tile:
        return universal.statistics(levels, transform, image, where=where, mask_mode=mask_mode)
    _check(levels, transform, tile)
    gathered = [_gather(level, transform, image, [where], mask_mode, tile)[0] for level in levels]
    return tuple(transform.parts.style(moments) for moments in gathered)


def smallest_tile(levels):
    """The least side of a window for some levels: a fourth of it is kept of each window."""
    least = max(8 * halo(level.level, decoded=True) // 3 for level in levels)
    unit = max(level.unit for level in levels)
    return -(-least // unit) * unit


def halo(level, *, decoded):
    """How far what is outside of a window matters, for features at relu{level}_1 or what is decoded of them.

    Pixels, a multiple of 2^(level - 1).
    """
    unit = 2 ** (level - 1)
    radius = sum(2 ** (int(conv[4]) - 1) for conv in CONVS[: CONVS.index(f"conv{level}_1") + 1])
    reach = 2 * radius + unit - 1 if decoded else radius
    return -(-reach // unit) * unit


class Window(NamedTuple):
    """A part of a picture that a network sees at once, and the part of it that is right then.

    Attributes:
      seen, kept: ((top, bottom), (left, right)) in pixels of the picture; kept parts cover it once.
    """

    seen: tuple
    kept: tuple

    def crop(self, x, unit=1):
        """What is seen of features [h, w, ...] of the picture, `unit` pixels a position."""
        return x[tuple(slice(a // unit, b // unit) for a, b in self.seen)]

    def inside(self, unit=1):
        """The slices of what is kept in features of what is seen."""
        both = zip(self.seen, self.kept, strict=True)
        return tuple(slice((a - start) // unit, (b - start) // unit) for (start, _), (a, b) in both)


def windows(shape, side, halo):
    """`Window`s of one size that cover a picture.

    Args:
      shape: (H, W), multiples of the unit of the features.
      side: of a window where the picture is as large, a multiple of the unit, over 2 * halo.
      halo: how far into a window what is outside of it matters, a multiple of the unit. At a border of the
        picture nothing is outside.
    """
    rows, columns = (_spans(length, min(side, length), halo) for length in shape)
    pairs = itertools.product(rows, columns)
    return [Window((seen, seen_), (kept, kept_)) for (seen, kept), (seen_, kept_) in pairs]


def _spans(length, side, halo):
    """[((start, end), (first, last))] of windows along one axis: what is seen, what is kept."""
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
    owns = [transform.parts.own(moments) for moments in gathered]
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
    return [transform.parts.gather(x, where=where) for where in wheres]


@jax.jit
def _merge(several, others):
    return [merge(a, b) for a, b in zip(several, others, strict=True)]


@functools.partial(jax.jit, static_argnames="transform")
def _move(level, transform, image, owns, styles, wheres, alpha):
    x = result = level.encode(image)
    for own, style, where in zip(owns, styles, wheres, strict=True):
        result = result + (mixed(x, transform.parts.move(x, own, style), alpha, where) - x)
    return level.decode(result)


def _check(levels, transform, tile):
    if transform.parts is None:
        raise ValueError("the transform must see all of a picture; give one with `parts`, or tile=None")
    unit, least = max(level.unit for level in levels), smallest_tile(levels)
    if tile < least or tile % unit:
        raise ValueError(f"tile must be a multiple of {unit}, at least {least}; got {tile}")
