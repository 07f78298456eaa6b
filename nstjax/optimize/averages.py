"""Statistics of a picture's features that are averages over positions, made window by window."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from nstjax.ops.arithmetic import safe_divide


def averages(
    apply: Any,
    params: Any,
    image: jax.Array,
    taps: Sequence[str],
    asked: Mapping[str, Mapping[Any, tuple[Callable, Any]]],
) -> tuple[dict, dict]:
    """Features of some taps of an image, and averages of those of others.

    Args:
      apply: of an `Encoder` in windows.
      params: of the encoder.
      image: [H, W, 3] sRGB in [0, 1].
      taps: names.
      asked: {tap: {key: (the `target` of a `Loss` with a `distance`, mask [h, w] or None)}}.

    Returns:
      `({tap: [h, w, c]}, {tap: {key: (averages, area)}})`: the averages over the positions of a mask, and its
      sum; both are 0 under an empty one.
    """

    def weighted(statistics, x, where):
        area = jnp.sum(where)
        return jax.tree.map(lambda each: area * each, statistics(x, where=where)), area

    def of_window(features, inside):
        read = {tap: features[tap].astype(image.dtype) for tap in inside}
        return {
            tap: {key: weighted(asked[tap][key][0], read[tap], where) for key, where in masks.items()}
            for tap, masks in inside.items()
        }

    masks = {tap: {key: mask for key, (_, mask) in each.items()} for tap, each in asked.items()}
    features, sums = apply.read(params, image, taps, masks, of_window)
    return features, {tap: {key: _divided(*each[key]) for key in each} for tap, each in sums.items()}


def _divided(sums, area):
    return jax.tree.map(lambda each: safe_divide(each, area), sums), area
