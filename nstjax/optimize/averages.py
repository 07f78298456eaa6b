"""Statistics of a picture's features that are averages over positions, made window by window."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from nstjax.ops.arithmetic import safe_divide


def averages(
    apply: Any, params: Any, image: jax.Array, asked: Mapping[str, Mapping[Any, tuple[Callable, Any]]]
) -> dict:
    """{tap: {key: (statistics, area)}} of an image, in the memory of one window.

    Args:
      apply: of an `Encoder` in windows.
      params: of the encoder.
      image: [H, W, 3] sRGB in [0, 1].
      asked: {tap: {key: (the `target` of a `Loss` with a `distance`, mask [h, w] or None)}}.

    Returns:
      The statistics over the positions of a mask, and its sum; both are 0 under an empty one.
    """

    def weighted(statistics, x, where):
        area = jnp.sum(where)
        return jax.tree.map(lambda each: area * each, statistics(x, where=where)), area

    def of_window(features, inside):
        read = {tap: x.astype(image.dtype) for tap, x in features.items()}
        return {
            tap: {key: weighted(each[key][0], read[tap], inside[tap][key]) for key in each}
            for tap, each in asked.items()
        }

    masks = {tap: {key: mask for key, (_, mask) in each.items()} for tap, each in asked.items()}
    sums = apply.summed(of_window, params, image, masks)
    return {tap: {key: _divided(*of_tap[key]) for key in of_tap} for tap, of_tap in sums.items()}


def _divided(sums, area):
    return jax.tree.map(lambda each: safe_divide(each, area), sums), area
