"""Pictures through a trained network."""

import functools

import jax
import jax.numpy as jnp

from nstjax.networks.stylizers import Stylizer
from nstjax.networks.transformer import Condition, Transformer


def stylize(stylizer: Stylizer, image: jax.Array, condition: Condition | None = None) -> jax.Array:
    """A picture through a trained network.

    Args:
      stylizer: a `Stylizer`.
      image: [H, W, 3] sRGB in [0, 1].
      condition: from `Stylizer.condition`; the first style at strength 1 by default.

    Returns:
      [H, W, 3] sRGB in [0, 1].
    """
    condition = stylizer.condition() if condition is None else condition
    return _stylized(stylizer.network, stylizer.variables, jnp.asarray(image), condition)


@functools.partial(jax.jit, static_argnums=0)
def _stylized(network: Transformer, variables, image, condition):
    h, w, _ = image.shape
    return jnp.clip(network.apply(variables, image, condition)[:h, :w], 0, 1)
