"""What a transform is."""

import dataclasses
import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from nstjax.ops.moments import area, average
from nstjax.ops.shapes import check_features, check_target


class Parts(NamedTuple):
    """How a transform is done part by part, for pictures that are too large for one.

    Attributes:
      gather: `gather(x, *, where=None) -> Moments` of a part; those of several are merged
        (`nstjax.ops.moments.merge`).
      style: `style(Moments) -> pytree`, what is known of a style.
      own: `own(Moments) -> pytree`, what is known of the picture that is moved.
      move: `move(x, own, style) -> [h, w, c]`, the transformed features of a part.
    """

    gather: Callable
    style: Callable
    own: Callable
    move: Callable


@dataclasses.dataclass(frozen=True)
class Transform:
    """Pure functions that give features what is known of a style.

    Attributes:
      style: `style(features, *, where=None) -> pytree`, run once on a style.
      map: `map(x, style, *, where=None, key=None) -> [h, w, c]`, the transformed features at every
        position, where only what the mask covers decides about the map.
      blend: `blend(styles, weights) -> style` of several, for weights that sum to 1.
      parts: the same part by part, or None where a transform must see all of a picture.

    `features` and `x` are `[h, w, c]` float32 and need not be of one size, `where` a soft mask `[h, w]`
    in [0, 1] or None for everywhere, `key` a PRNG key for transforms that draw at random. A style under
    an empty mask has no part in a blend; by itself it leaves features as they are.

    Both functions raise ValueError for features that are not `[h, w, c]` (`jax.vmap` maps over a batch), a
    mask of another size, and a style of another shape than the features' own; of samples, which may be
    of any number, with other channels.
    """

    style: Callable
    map: Callable
    blend: Callable = average
    parts: Parts | None = None

    def __post_init__(self):
        style, map, pooled = self.style, self.map, self.blend is not average

        @functools.wraps(style)
        def checked_style(x, *, where=None):
            check_features(x, where)
            return style(x, where=where)

        @functools.wraps(map)
        def checked_map(x, known, *, where=None, key=None):
            check_features(x, where)
            check_target(style, x, known, pooled=pooled)
            return map(x, known, where=where, key=key)

        object.__setattr__(self, "style", checked_style)
        object.__setattr__(self, "map", checked_map)

    def apply(self, x, style, *, alpha=1.0, where=None, key=None):
        """Features x moved towards a style.

        Args:
          x: [h, w, c].
          style: from `style` or `blend`.
          alpha: how far: 0 leaves x as it is, 1 replaces it.
          where: soft mask [h, w] of what is moved, by its own statistics; the rest stays.
          key: PRNG key.

        Returns:
          [h, w, c].
        """
        return mixed(x, self.map(x, style, where=where, key=key), alpha, where)


def mixed(x, moved, alpha, where):
    """Features x [h, w, c] and moved ones, of which alpha inside a soft mask [h, w] or None."""
    share = alpha if where is None else alpha * jnp.asarray(where, x.dtype)[..., None]
    return share * moved + (1 - share) * x


def by_statistics(statistics, map):
    """The `Transform` by statistics of a style that average linearly.

    Args:
      statistics: `statistics(features, *, where=None) -> pytree`.
      map: `map(x, statistics, *, where=None, key=None) -> [h, w, c]`.
    """

    def style(x, *, where=None):
        x = jnp.asarray(x)
        return _of_present(area(x, where), statistics(x, where=where))

    def of_those_present(x, style, *, where=None, key=None):
        x = jnp.asarray(x)
        return _where_present(x, style, lambda known: map(x, known, where=where, key=key))

    return Transform(style=style, map=of_those_present)


def by_moments(gather, style, own, move):
    """The `Transform` by what follows from moments, of a style and of what is moved; see `Parts`."""

    def known(moments):
        return _of_present(moments.n, style(moments))

    def moved(x, own, style):
        return _where_present(x, style, lambda known: move(x, own, known))

    return Transform(
        style=lambda x, *, where=None: known(gather(jnp.asarray(x), where=where)),
        map=lambda x, style, *, where=None, key=None: moved(x, own(gather(x, where=where)), style),
        parts=Parts(gather, known, own, moved),
    )


def _of_present(n, statistics):
    """(whether, statistics) of a style that covers n positions, nothing of one that covers none."""
    present = jnp.asarray(n > 0, jax.tree.leaves(statistics)[0].dtype)
    return present, jax.tree.map(lambda a: present * a, statistics)


def _where_present(x, style, map):
    """Features x mapped by the statistics of a style; as they are, where it covers nothing."""
    present, sums = style
    known = jax.tree.map(lambda a: a / jnp.where(present > 0, present, 1.0), sums)
    return jnp.where(present > 0, map(known), x)
