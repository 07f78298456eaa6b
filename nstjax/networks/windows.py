"""Features block by block and window by window: exact, and most of them never in memory together."""

import dataclasses
import functools
import types
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from nstjax.networks.vgg import TAPS, Encoder, check_taps

STEP = 32  # of the side of a window
_PARTS = (1, 1, 2, 4, 4)  # of that side, in positions of each block
_ROOM = 80  # numbers per pixel of features at one time: relu1_1, or the other taps of Gatys together


def tiled(encoder: Encoder, tile: int) -> Encoder:
    """An encoder of the same features and gradients, made window by window, one block after the other.

    Args:
      encoder: of VGG-19, from `nstjax.networks.make_encoder`.
      tile: side of a window of the picture in pixels, a multiple of 32, without the halo that is added on
        every side; of deeper blocks' maps, as many positions or fewer. What is kept are the features of the
        taps that are asked for, and the pooled ends of blocks; backwards, each window is encoded again.

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

    def read(self, params, image, taps, masks=types.MappingProxyType({}), statistics=lambda *_: {}):
        """The features of some taps, and sums over windows of statistics of those of others.

        Args:
          params: of the encoder.
          image: [..., H, W, 3] sRGB in [0, 1].
          taps: names; their features are of the whole picture.
          masks: {tap: {key: [h, w]}} at every tap that the statistics are of, which has no leading axes then;
            None in the place of a mask of ones. They are taken as constants.
          statistics: a function of features {tap: [h, w, c]} of a window and of the masks there of those of
            the taps that are in one block, which are 0 where a position is not the window's own, to
            {tap: a pytree of arrays}.

        Returns:
          `({tap: [..., h, w, c]}, {tap: statistics})`, in the memory of the first, of the pooled ends of
          blocks and of one window, forwards and backwards.
        """
        x, features, sums = image, {}, {}
        for block in blocks((*taps, *masks)):
            own = {tap: masks[tap] for tap in block.taps if tap in masks}
            kept = tuple(tap for tap in block.taps if tap in taps or tap == block.end)
            layers = _of_block(params, block)
            made, added = _read(self.apply, block, self.tile, statistics, kept, layers, x, own)
            features |= {tap: made[tap] for tap in kept if tap in taps}
            sums |= added
            x = made.get(block.end)
        return features, sums


class Block(NamedTuple):
    """A block of VGG-19, as far as taps need it.

    Attributes:
      number: from 1 on.
      taps: those that are read, shallow to deep.
      end: the one of them that the next block begins with; "" in the last block.
    """

    number: int
    taps: tuple[str, ...]
    end: str

    @property
    def start(self) -> str:
        """The tap that it begins with."""
        return f"pool{self.number - 1}" if self.number > 1 else "image"

    @property
    def convolutions(self) -> tuple[str, ...]:
        """Those that the deepest tap needs, each of which sees one position more on every side."""
        deepest = max((TAPS.index(tap) for tap in self.taps if tap in TAPS), default=-1)
        return tuple(tap for tap in TAPS[: deepest + 1] if tap.startswith(f"conv{self.number}"))

    def axes(self, shape: tuple[int, int], tile: int) -> list["Axis"]:
        """The windows of its map [h, w] along both axes, for a `tile` of the picture."""
        halo = -(-len(self.convolutions) // 2) * 2
        return [along(size, tile // _PARTS[self.number - 1], halo) for size in shape]


def blocks(taps: Sequence[str]) -> tuple[Block, ...]:
    """The blocks of VGG-19 from the first to that of the deepest of some taps."""
    number_of = {tap: 1 if tap == "image" else int(tap[4]) for tap in check_taps(taps, TAPS)}
    last, made = max(number_of.values(), default=0), []
    for number in range(1, last + 1):
        end = f"pool{number}" if number < last else ""
        within = {*filter(None, [end]), *(tap for tap in taps if number_of[tap] == number)}
        made.append(Block(number, tuple(sorted(within, key=("image", *TAPS).index)), end))
    return tuple(made)


def _of_block(params, block):
    """The params {kind: {conv: arrays}} of a block's convolutions."""
    return {
        kind: {name: each for name, each in layers.items() if name.startswith(f"conv{block.number}")}
        for kind, layers in params.items()
    }


class Axis(NamedTuple):
    """Windows along one axis of a map, all of one length.

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
    """Windows that cover an axis, each with a halo on both sides that is cut off at the map's borders.

    All begin at even positions and the last one ends with the axis, so that pooling falls on the same
    positions as in the whole map. `tile` and `halo` are even.
    """
    if size <= tile + 2 * halo:
        return Axis(size, *(np.array([n]) for n in (0, 0, size)))
    tile = -(-size // -(-size // tile * 2)) * 2  # as many windows, of nearly equal size
    length = tile + 2 * halo + size % 2
    lows = np.arange(0, size, tile)
    return Axis(length, np.clip(lows - halo, 0, size - length), lows, np.append(lows[1:], size))


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


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1, 2, 3, 4))
def _read(apply, block, tile, statistics, taps, params, x, masks):
    windows, read = _reader(apply, block, tile, statistics, taps, x, masks)
    first = jax.tree.map(lambda each: each[0], windows.places)
    sums = jax.eval_shape(read, params, windows.cut(x, first), first)[1]
    whole = jax.eval_shape(lambda params, x: apply(params, x, taps, block.start), params, x)

    def put(carry, place):
        features, added = read(params, windows.cut(x, place), place)
        maps = {tap: windows.put(carry[0][tap], features[tap], place, _scale(tap)) for tap in taps}
        return (maps, jax.tree.map(jnp.add, carry[1], added)), None

    # Every position is replaced.
    maps = {tap: _filled(x, each.shape, each.dtype) for tap, each in whole.items()}
    nothing = jax.tree.map(lambda each: jnp.zeros(each.shape, each.dtype), sums)
    return lax.scan(put, (maps, nothing), windows.places)[0]


def _filled(x, shape, dtype):
    """An array of a number of `x`; what depends on nothing would be made, and kept, before it is needed."""
    return jnp.broadcast_to(x.ravel()[0], shape).astype(dtype)


def _reader(apply, block, tile, statistics, taps, x, masks):
    """(the windows, a function of params, a window and its place: (features, statistics))."""
    windows = _Windows(x.shape, block.axes(x.shape[-3:-1], tile))

    def mask_of(mask, own, place, scale):
        if mask is None:
            return own
        return own * windows.cut(mask[..., None], place, (*own.shape, 1), scale)[..., 0]

    def read(params, part, place):
        features, inside = apply(params, part, block.taps, block.start), {}
        dtype = jnp.promote_types(part.dtype, jnp.float32)
        for tap, each in masks.items():
            scale = _scale(tap)
            own = _is_own((*features[tap].shape[:2], 1), place, scale)[..., 0].astype(dtype)
            inside[tap] = {key: mask_of(mask, own, place, scale) for key, mask in each.items()}
        return {tap: features[tap] for tap in taps}, statistics(features, inside)

    return windows, read


def _scale(tap):
    """Positions at the start of a block per position of a tap in it, along one axis."""
    return 2 if tap.startswith("pool") else 1


def _read_forward(apply, block, tile, statistics, taps, params, x, masks):
    return _read(apply, block, tile, statistics, taps, params, x, masks), (params, x, masks)


def _read_backward(apply, block, tile, statistics, taps, residuals, cotangents):
    params, x, masks = residuals
    windows, read = _reader(apply, block, tile, statistics, taps, x, masks)

    def add(totals, place):
        made, back = jax.vjp(lambda *both: read(*both, place), params, windows.cut(x, place))
        given = {tap: windows.own(cotangents[0][tap], made[0][tap].shape, place, _scale(tap)) for tap in taps}
        of_params, of_part = back((given, cotangents[1]))
        return (jax.tree.map(jnp.add, totals[0], of_params), windows.add(totals[1], of_part, place)), None

    some = jax.tree.leaves(cotangents)[0]
    nothing = jax.tree.map(jnp.zeros_like, params), 0 * _filled(some, x.shape, x.dtype)
    return *lax.scan(add, nothing, windows.places)[0], None


_read.defvjp(_read_forward, _read_backward)


class _Windows:
    """The windows of a map, and arrays read and written at the place of one, {name: [2], by axis}."""

    def __init__(self, shape, axes):
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
