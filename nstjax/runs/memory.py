"""Whether a picture can fit in memory, by a bound that refuses only what is hopeless, and what was used."""

import functools
import math
import os
import resource
import sys

import jax

from nstjax.errors import UserError
from nstjax.networks import windows
from nstjax.networks.vgg import TAPS


def check(key, shape, params, taps, *, devices=1, **how):
    """Raises UserError where features of an image [H, W, 3] need more memory than there is.

    Args:
      key: of the config, for the message.
      shape: (H, W).
      params: {conv name: {"bias": [o], ...}}.
      taps: what is deeper than all of them is not computed.
      devices: that divide the image among them.
      how: as of `needed`.
    """
    bytes_needed, there = needed(shape, params, taps, **how), available(devices)
    if bytes_needed > there:
        raise UserError(
            f"{key}: {shape[1]} x {shape[0]} pixels need over {bytes_needed / 1e9:.0f} GB of memory "
            f"and there are {there / 1e9:.0f}; give a smaller one"
        )


def needed(shape, params, taps, *, backward, tile=0, kept=()):
    """Bytes that float32 features of an image [H, W, 3] take at the least.

    For a gradient the output of every convolution is kept: compiled programs take 2.4 to 6.5 times
    that, of which 2 are counted. Without a gradient two outputs at a time are enough. With a tile, a group of
    the kept taps of the whole picture is beside the outputs in one window; for a gradient, the ends of
    blocks too.

    Args:
      shape: (H, W).
      params: {conv name: {"bias": [o], ...}}.
      taps: what is deeper than all of them is not computed.
      backward: whether a gradient is wanted.
      tile: of the encoder, 0 for none.
      kept: those of the taps whose features are kept with a tile; of the others averages are.
    """
    h, w = shape
    blocks = windows.blocks(tuple(tap for tap in taps if tap in TAPS))
    outputs, maps = [[0]], [0.0]
    for block in blocks:
        map_shape = [-(-n >> block.number - 1) for n in shape]
        sides = [axis.length for axis in block.axes(map_shape, tile)] if tile else map_shape
        outputs.append([len(params[conv]["bias"]) * math.prod(sides) for conv in block.convolutions])
    if tile:
        ends = {block.end for block in blocks if block.end and backward}
        for group in windows.groups(params, kept) or ((),):
            held = [*group, *(group if backward else ()), *ends.difference(group)]
            maps.append(sum(windows.numbers_of(params, tap) for tap in held))
    of_blocks = [sum(each) if backward else max(each, default=0) for each in outputs]
    at_once = sum(of_blocks) if backward and not tile else max(of_blocks)
    return 4 * (3 * h * w + 2 * at_once + h * w * max(maps))


def bytes_of(tree):
    """Bytes of the arrays of a pytree, or of their shapes."""
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))


@functools.cache
def available(devices=1):
    """Bytes of memory that so many devices have: their own, or the machine's."""
    own = (jax.local_devices()[0].memory_stats() or {}).get("bytes_limit", 0)
    return devices * own or os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def peak():
    """Bytes of memory that were used at most: of the device's own, or by this process of the machine's."""
    own = (jax.local_devices()[0].memory_stats() or {}).get("peak_bytes_in_use")
    unit = 1 if sys.platform == "darwin" else 1024
    return own or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
