"""Masks of regions, carried through the network to its taps."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import lax

from nstjax.networks.vgg import TAPS


def _nearest(mask, shape):
    return jax.image.resize(mask, shape, "nearest")


def _window(start, operation):
    """A 3 x 3 window of stride 1 over [h, w], cut off at the border of the picture."""

    def apply(mask):
        return lax.reduce_window(mask, start, operation, (3, 3), (1, 1), "SAME")

    return apply


def _halved(start, operation):
    """2 x 2 windows of stride 2, an odd last row or column dropped, a side of 1 left as it is."""

    def apply(mask):
        size = tuple(min(2, side) for side in mask.shape)
        return lax.reduce_window(mask, start, operation, size, size, "VALID")

    return apply


def _mean_halved(mask):
    size = min(2, mask.shape[0]) * min(2, mask.shape[1])
    return _halved(0.0, lax.add)(mask) / size


def _same(mask):
    return mask


# The operation on a mask at a convolution, and the one at a pooling.
MODES = {
    # the value at the middle of each position's pixels; `simple` of leongatys/NeuralImageSynthesis is
    # a zoom by cubic splines instead
    "simple": (_same, None),
    # positions that see any pixel of the region: leongatys/NeuralImageSynthesis, `all`
    "all": (_window(-jnp.inf, lax.max), _halved(-jnp.inf, lax.max)),
    # positions that see no other pixel: the same, `inside`
    "inside": (_window(jnp.inf, lax.min), _halved(jnp.inf, lax.min)),
    # the share of a position's own pixels
    "area": (_same, _mean_halved),
    # blurred at each convolution, dark outside: luanfujun/deep-photo-styletransfer
    "deep_photo": (lambda mask: _window(0.0, lax.add)(mask) / 9, _mean_halved),
}


def propagate(mask: jax.Array, taps: Sequence[str], mode: str) -> dict[str, jax.Array]:
    """A mask of a picture at taps of VGG-19.

    Args:
      mask: [H, W] in [0, 1], of the picture.
      taps: names; a composite tap has the mask of its first part.
      mode: one of `MODES`.

    Returns:
      {tap: [h, w] in [0, 1]}.

    Differs from the code: deep_photo halves by averages over 2 x 2, an odd row or column dropped as the
    features' is, where the original resizes bilinearly to half the side, rounded up.
    """
    first = {tap: tap.split("+")[0] for tap in taps}
    deepest = max((TAPS.index(tap) for tap in first.values() if tap != "image"), default=-1)
    convolve, halve = MODES[mode]
    found, current = {"image": mask}, mask
    for tap in TAPS[: deepest + 1]:
        if tap.startswith("conv"):
            current = convolve(current)
        elif tap.startswith("pool"):
            half = tuple(max(1, side // 2) for side in current.shape)
            current = _nearest(mask, half) if halve is None else halve(current)
        found[tap] = current
    return {tap: found[part] for tap, part in first.items()}
