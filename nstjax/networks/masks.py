"""Masks of regions, carried through the network to its taps."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from nstjax.networks.vgg import TAPS


def _nearest(mask, shape):
    return jax.image.resize(mask, shape, "nearest")


def _window(start, operation):
    """A 3 x 3 window of stride 1 over [h, w], cut off at the border of the picture."""

    def apply(mask):
        return lax.reduce_window(mask, start, operation, (3, 3), (1, 1), "SAME")

    return apply


def _pooled(start, operation):
    """2 x 2 windows of stride 2, of which an odd last row or column is one of its own or none."""

    def apply(mask, shape):
        more = [(0, max(0, 2 * half - side)) for half, side in zip(shape, mask.shape, strict=True)]
        even = jnp.pad(mask, more, mode="edge")
        return lax.reduce_window(even, start, operation, (2, 2), (2, 2), "VALID")

    return apply


def _mean_pooled(mask, shape):
    return _pooled(0.0, lax.add)(mask, shape) / 4


def _box_average(mask, shape):
    """Means over the boxes, with parts of pixels, that divide the mask into a shape."""
    down, along = (_shares(*sides) for sides in zip(mask.shape, shape, strict=True))
    return jnp.matmul(jnp.matmul(down, mask, precision="highest"), along.T, precision="highest")


def _shares(count, boxes):
    """[boxes, count]: how much of each box is of each of so many pixels in a row."""
    edges = np.arange(boxes + 1) * count / boxes
    first, last = edges[:-1, None], edges[1:, None]
    pixels = np.arange(count)
    overlap = np.minimum(last, pixels + 1) - np.maximum(first, pixels)
    return jnp.asarray(np.maximum(overlap, 0) / (last - first), jnp.float32)


def _same(mask):
    return mask


# The operation on a mask at a convolution, and the one, to a shape, at a pooling.
MODES = {
    # the value at the middle of each position's pixels; `simple` of leongatys/NeuralImageSynthesis is
    # a zoom by cubic splines instead
    "simple": (_same, None),
    # positions that see any pixel of the region: leongatys/NeuralImageSynthesis, `all`
    "all": (_window(-jnp.inf, lax.max), _pooled(-jnp.inf, lax.max)),
    # positions that see no other pixel: the same, `inside`
    "inside": (_window(jnp.inf, lax.min), _pooled(jnp.inf, lax.min)),
    # the share of a position's own pixels
    "area": (_same, _mean_pooled),
    # blurred at each convolution, dark outside: luanfujun/deep-photo-styletransfer
    "deep_photo": (lambda mask: _window(0.0, lax.add)(mask) / 9, _box_average),
}


def propagate(
    mask: jax.Array, taps: Sequence[str], mode: str, pooling_size: str = "floor"
) -> dict[str, jax.Array]:
    """A mask of a picture at taps of VGG-19.

    Args:
      mask: [H, W] in [0, 1], of the picture.
      taps: names; a composite tap has the mask of its first part.
      mode: one of `MODES`.
      pooling_size: "floor" or "ceil", as of the network.

    Returns:
      {tap: [h, w] in [0, 1]}.
    """
    first = {tap: tap.split("+")[0] for tap in taps}
    deepest = max((TAPS.index(tap) for tap in first.values() if tap != "image"), default=-1)
    convolve, halve = MODES[mode]
    found, current = {"image": mask}, mask
    for tap in TAPS[: deepest + 1]:
        if tap.startswith("conv"):
            current = convolve(current)
        elif tap.startswith("pool"):
            up = pooling_size == "ceil"
            half = tuple(max(1, (side + up) // 2) for side in current.shape)
            current = _nearest(mask, half) if halve is None else halve(current, half)
        found[tap] = current
    return {tap: found[part] for tap, part in first.items()}
