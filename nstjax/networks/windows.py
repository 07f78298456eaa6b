"""Features window by window: exact, in the memory of one window and of the taps that are asked for."""

import dataclasses
import functools
import types
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from nstjax.networks.vgg import TAPS, Encoder

STEP = 32  # pixels per position of the deepest tap: windows begin at multiples of it
_ROOM = 80  # numbers per pixel of features at one time: relu1_1, or the other taps of Gatys together


def tiled(encoder: Encoder, tile: int) -> Encoder:
    """An encoder of the same features and gradients, made window by window.

    Args:
      encoder: of VGG-19, from `nstjax.networks.make_encoder`.
      tile: side of a window in pixels, a multiple of 32, without the halo that is added on every side. What
        is kept are the features of the taps that are asked for; backwards, each window is encoded again.

    Raises:
      ValueError: for a `tile` that is not a multiple of 32 above 0.
    """
    if tile <= 0 or tile % STEP:
        raise ValueError(f"tile must be a multiple of {STEP} above 0; got {tile}")
    return dataclasses.replace(encoder, apply=_Tiled(encoder.apply, tile))


@dataclasses.dataclass(frozen=True)
class _Tiled:
    """`Encoder.apply` in windows; equal for equal ones, so that programs compile once."""

    apply: Callable
    tile: int

    def __call__(self, params, image, taps):
        return self.read(params, image, taps)[0]

    def prepare(self, params):
        return self.apply.prepare(params)

    def groups(self, params, taps):
        return groups(params["params"], taps)

    def read(self, params, image, taps, masks=types.MappingProxyType({}), statistics=lambda *_: ()):
        """The features of some taps, and sums over windows of statistics of those of others.

        Args:
          params: of the encoder.
          image: [..., H, W, 3] sRGB in [0, 1].
          taps: names; their features are of the whole picture.
          masks: {tap: {key: [h, w]}} at every tap that the statistics are of, which has no leading axes then;
            None in the place of a mask of ones. They are taken as constants.
          statistics: a function of the features {tap: [h, w, c]} of a window and of these masks there, which
            are 0 where a position is not the window's own, to a pytree of arrays.

        Returns:
          `({tap: [..., h, w, c]}, statistics)`, in the memory of the first and of one window, forwards and
          backwards.
        """
        return _read(self.apply, self.tile, statistics, tuple(taps), params, image, dict(masks))


class Axis(NamedTuple):
    """Windows along one axis of a picture, all of one length.

    Attributes:
      length: of a window.
      starts: [n], where each begins.
      lows, highs: [n], the positions that are a window's own, from one to before the other.
    """

    length: int
    starts: np.ndarray
    lows: np.ndarray
    highs: np.ndarray


def along(size: int, tile: int, halo: int) -> Axis:
    """Windows that cover an axis, each with a halo on both sides that is cut off at the picture's borders.

    All begin at multiples of `STEP` and the last one ends with the axis, so that poolings fall on the same
    positions as in the whole picture.
    """
    if size <= tile + 2 * halo:
        return Axis(size, *(np.array([n]) for n in (0, 0, size)))
    tile = -(-size // -(-size // tile * STEP)) * STEP  # as many windows, of nearly equal size
    length = tile + 2 * halo + (size - tile) % STEP
    lows = np.arange(0, size, tile)
    return Axis(length, np.clip(lows - halo, 0, size - length), lows, np.append(lows[1:], size))


def reach(taps) -> int:
    """How many pixels beyond its own a position of the taps sees, rounded up to a multiple of `STEP`."""
    deepest = max((TAPS.index(tap) for tap in taps if tap in TAPS), default=-1)
    seen = sum(scale_of(tap) for tap in TAPS[: deepest + 1] if tap.startswith("conv"))
    return -(-seen // STEP) * STEP


def scale_of(tap: str) -> int:
    """Pixels of the picture per position of a tap, along one axis."""
    return 1 if tap == "image" else 2 ** (int(tap[4]) - (not tap.startswith("pool")))


def numbers_of(params, tap: str) -> float:
    """Features of a tap per pixel of the picture, with the params {conv name: {"bias": [o], ...}}."""
    return 0 if tap == "image" else params[f"conv{tap[4]}_1"]["bias"].shape[0] / scale_of(tap) ** 2


def groups(params: Mapping, taps: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """The taps, shallow to deep, in groups whose features are to be in memory at one time.

    Args:
      params: {conv name: {"bias": [o]}}.
      taps: names; "a+b" is a and b together.
    """
    made, room = [], 0.0
    for tap in sorted(taps, key=lambda tap: max(map(("image", *TAPS).index, tap.split("+")))):
        numbers = sum(numbers_of(params, part) for part in tap.split("+"))
        room -= numbers
        if not made or room < 0:
            made.append(())
            room = _ROOM - numbers
        made[-1] += (tap,)
    return tuple(made)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1, 2, 3))
def _read(apply, tile, statistics, taps, params, image, masks):
    windows, read = _reader(apply, tile, statistics, taps, image, masks)
    first = jax.tree.map(lambda each: each[0], windows.places)
    sums = jax.eval_shape(read, params, windows.cut(image, first), first)[1]
    whole = jax.eval_shape(lambda params, image: apply(params, image, taps), params, image) if taps else {}

    def put(carry, place):
        features, added = read(params, windows.cut(image, place), place)
        maps = {tap: windows.put(carry[0][tap], features[tap], place, scale_of(tap)) for tap in taps}
        return (maps, jax.tree.map(jnp.add, carry[1], added)), None

    # Every position is replaced. What depends on nothing would be made, and kept, before it is needed.
    some = image.ravel()[0]
    maps = {tap: jnp.broadcast_to(some, each.shape).astype(each.dtype) for tap, each in whole.items()}
    nothing = jax.tree.map(lambda each: jnp.zeros(each.shape, each.dtype), sums)
    return lax.scan(put, (maps, nothing), windows.places)[0]


def _reader(apply, tile, statistics, taps, image, masks):
    """(the windows, a function of params, a window and its place: (features, statistics))."""
    encoded = tuple(dict.fromkeys((*taps, *masks)))
    windows = _Windows(image.shape, encoded, tile)

    def mask_of(mask, own, place, scale):
        if mask is None:
            return own
        return own * windows.cut(mask[..., None], place, (*own.shape, 1), scale)[..., 0]

    def read(params, part, place):
        features, inside = apply(params, part, encoded), {}
        for tap, each in masks.items():
            scale = scale_of(tap)
            own = _is_own((*features[tap].shape[:2], 1), place, scale)[..., 0].astype(part.dtype)
            inside[tap] = {key: mask_of(mask, own, place, scale) for key, mask in each.items()}
        return {tap: features[tap] for tap in taps}, statistics(features, inside)

    return windows, read


def _read_forward(apply, tile, statistics, taps, params, image, masks):
    return _read(apply, tile, statistics, taps, params, image, masks), (params, image, masks)


def _read_backward(apply, tile, statistics, taps, residuals, cotangents):
    params, image, masks = residuals
    windows, read = _reader(apply, tile, statistics, taps, image, masks)

    def add(totals, place):
        made, back = jax.vjp(lambda *both: read(*both, place), params, windows.cut(image, place))
        given = {
            tap: windows.own(cotangents[0][tap], made[0][tap].shape, place, scale_of(tap)) for tap in taps
        }
        of_params, of_part = back((given, cotangents[1]))
        return (jax.tree.map(jnp.add, totals[0], of_params), windows.add(totals[1], of_part, place)), None

    return *lax.scan(add, jax.tree.map(jnp.zeros_like, (params, image)), windows.places)[0], None


_read.defvjp(_read_forward, _read_backward)


class _Windows:
    """The windows of a picture, and arrays read and written at the place of one, {name: [2], by axis}."""

    def __init__(self, shape, taps, tile):
        axes = [along(size, tile, reach(taps)) for size in shape[-3:-1]]
        self._shape = (*shape[:-3], *(axis.length for axis in axes), shape[-1])
        rows, columns = (axis.starts.size for axis in axes)
        y, x = np.divmod(np.arange(rows * columns), columns)
        self.places = {
            name: np.stack([getattr(axes[0], name)[y], getattr(axes[1], name)[x]], -1)
            for name in ("starts", "lows", "highs")
        }

    def cut(self, x, place, shape=None, scale=1):
        """The part of an array of a given scale that is in a window."""
        return lax.dynamic_slice(x, _corner(x, place, scale), shape or self._shape)

    def add(self, x, part, place):
        """An array with a part added in a window."""
        return lax.dynamic_update_slice(x, self.cut(x, place) + part, _corner(x, place, 1))

    def put(self, x, part, place, scale):
        """An array with the positions that are a window's own replaced by those of a part."""
        there = self.cut(x, place, part.shape, scale)
        part = jnp.where(_is_own(part.shape, place, scale), part, there)
        return lax.dynamic_update_slice(x, part, _corner(x, place, scale))

    def own(self, x, shape, place, scale):
        """The part of an array that is in a window, 0 where it is not the window's own."""
        return jnp.where(_is_own(shape, place, scale), self.cut(x, place, shape, scale), 0)


def _corner(x, place, scale):
    return (*[0] * (x.ndim - 3), *place["starts"] // scale, 0)


def _is_own(shape, place, scale):
    """[h, w, 1], whether positions are a window's own."""
    owns = []
    for axis, size in enumerate(shape[-3:-1]):
        at = place["starts"][axis] + scale * jnp.arange(size)
        owns.append((at >= place["lows"][axis]) & (at < place["highs"][axis]))
    return (owns[0][:, None] & owns[1])[..., None]
