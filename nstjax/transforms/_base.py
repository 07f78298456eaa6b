"""The type of a transform, and two ways to build one."""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from nstjax.ops.moments import area, average
from nstjax.ops.shapes import as_dtype, as_features, checked, widened


class Tiled(NamedTuple):
    """The transform split into a reduction and a map, to process an image in tiles.

    Attributes:
      accumulate: `accumulate(x, *, where=None) -> Moments` of a tile [h, w, c]; `nstjax.ops.moments.merge`
        adds those of several.
      style: `style(Moments) -> pytree`, the statistics of a style.
      content: `content(Moments) -> pytree`, the statistics of the features to transform.
      apply: `apply(x, content, style) -> [h, w, c]`, the transformed features of a tile.
    """

    accumulate: Callable
    style: Callable
    content: Callable
    apply: Callable


@dataclasses.dataclass(frozen=True)
class Transform:
    """Pure functions that give features the statistics of a style.

    Attributes:
      style: `style(features, *, where=None) -> pytree`, run once on a style.
      map: `map(x, style, *, where=None, key=None) -> [h, w, c]`, the transformed features at every
        position; only positions under the mask decide about the map.
      blend: `blend(styles, weights) -> style` of several, for weights that sum to 1.
      tiled: the same in tiles, or None for a transform that must see the whole image.

    `features` and `x` are `[h, w, c]` float32 and need not be of one size, `where` a soft mask `[h, w]`
    in [0, 1], booleans, or None for everywhere, `key` a PRNG key for transforms that draw at random. Features
    of fewer bits are transformed in float32 and returned in their dtype. A style under
    an empty mask has no part in a blend; by itself it leaves features as they are.

    Raises:
      ValueError: from both functions, for features that are not `[h, w, c]` (`jax.vmap` maps over a batch),
        a mask of another size, and a style of another shape than the features' own; of samples, which may
        be of any number, with other channels; and for integers, such as pixels of 8 bits.
    """

    style: Callable
    map: Callable
    blend: Callable = average
    tiled: Tiled | None = None

    def __post_init__(self):
        style, map = checked(self.style, self.map, pooled=self.blend is not average)
        object.__setattr__(self, "style", style)
        object.__setattr__(self, "map", map)

    def apply(self, x, style, *, alpha=1.0, where=None, key=None):
        """Features x moved towards a style.

        Args:
          x: [h, w, c].
          style: from `style` or `blend`.
          alpha: how far: 0 leaves x as it is, 1 replaces it.
          where: soft mask [h, w] of the positions to move, by their own statistics; the rest stays.
          key: PRNG key.

        Returns:
          [h, w, c].
        """
        wide = widened(x)
        return as_dtype(mixed(wide, self.map(wide, style, where=where, key=key), alpha, where), x)


def mixed(x: jax.Array, moved: jax.Array, alpha: jax.Array | float, where: jax.Array | None) -> jax.Array:
    """Features and moved ones, mixed.

    Args:
      x, moved: [h, w, c].
      alpha: the share of moved ones.
      where: soft mask [h, w], which alpha is multiplied by, or None.

    Returns:
      [h, w, c].
    """
    share = jnp.asarray(alpha, x.dtype)
    share = share if where is None else share * jnp.asarray(where, x.dtype)[..., None]
    return share * moved + (1 - share) * x


def by_statistics(statistics: Callable, map: Callable) -> Transform:
    """The `Transform` by statistics of a style that average linearly.

    Args:
      statistics: `statistics(features, *, where=None) -> pytree`.
      map: `map(x, statistics, *, where=None, key=None) -> [h, w, c]`.
    """

    def style(x, *, where=None):
        return _of_present(area(x, where), statistics(x, where=where))

    def map_if_present(x, style, *, where=None, key=None):
        return _where_present(x, style, lambda known: map(x, known, where=where, key=key))

    return Transform(style=style, map=map_if_present)


def by_moments(accumulate: Callable, style: Callable, content: Callable, apply: Callable) -> Transform:
    """The `Transform` by moments of a style and of the content, which may be processed in tiles.

    Args:
      accumulate, style, content, apply: as of `Tiled`.
    """

    def known(moments):
        return _of_present(moments.n, style(moments))

    def moved(x, own, style):
        return _where_present(x, style, lambda known: apply(x, own, known))

    def accumulate_tile(x, *, where=None):
        x, where = as_features(x, where)
        return accumulate(x, where=where)

    def moved_tile(x, own, style):
        return as_dtype(moved(as_features(x)[0], own, style), x)

    return Transform(
        style=lambda x, *, where=None: known(accumulate(x, where=where)),
        map=lambda x, style, *, where=None, key=None: moved(x, content(accumulate(x, where=where)), style),
        tiled=Tiled(accumulate_tile, known, content, moved_tile),
    )


def _of_present(n, statistics):
    """(presence, statistics) of a style over n positions: 1 and the statistics, or zeros for n = 0."""
    present = jnp.asarray(n > 0, jax.tree.leaves(statistics)[0].dtype)
    return present, jax.tree.map(lambda a: present * a, statistics)


def _where_present(x, style, map):
    """Features x mapped by the statistics of a style; unchanged for a style over no positions."""
    present, sums = style
    known = jax.tree.map(lambda a: a / jnp.where(present > 0, present, 1.0), sums)
    return jnp.where(present > 0, map(known), x)
