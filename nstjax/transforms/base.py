"""What a transform is."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from nstjax.moments import area, average


class Transform(NamedTuple):
    """Pure functions that give features what is known of a style.

    Attributes:
      style: `style(features, *, where=None) -> pytree`, run once on a style.
      map: `map(x, style, *, where=None, key=None) -> [h, w, c]`, the transformed features at every
        position, where only what the mask covers decides about the map.
      blend: `blend(styles, weights) -> style` of several, for weights that sum to 1.

    `features` and `x` are `[h, w, c]` float32 and need not be of one size, `where` a soft mask `[h, w]`
    in [0, 1] or None for everywhere, `key` a PRNG key for transforms that draw at random. A style under
    an empty mask has no part in a blend; by itself it leaves features as they are.
    """

    style: Callable
    map: Callable
    blend: Callable = average

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
        share = alpha if where is None else alpha * jnp.asarray(where, x.dtype)[..., None]
        return share * self.map(x, style, where=where, key=key) + (1 - share) * x


def by_statistics(statistics, map):
    """The `Transform` by statistics of a style that average linearly.

    Args:
      statistics: `statistics(features, *, where=None) -> pytree`.
      map: `map(x, statistics, *, where=None, key=None) -> [h, w, c]`.
    """

    def style(x, *, where=None):
        x = jnp.asarray(x)
        present = jnp.asarray(area(x, where) > 0, x.dtype)
        return present, jax.tree.map(lambda a: present * a, statistics(x, where=where))

    def of_those_present(x, style, *, where=None, key=None):
        x, (present, sums) = jnp.asarray(x), style
        known = jax.tree.map(lambda a: a / jnp.where(present > 0, present, 1.0), sums)
        return jnp.where(present > 0, map(x, known, where=where, key=key), x)

    return Transform(style=style, map=of_those_present)
