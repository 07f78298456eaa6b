"""Pictures through a trained network."""

import functools

import jax
import jax.numpy as jnp

from nstjax.feedforward import windows
from nstjax.networks.stylizers import Stylizer
from nstjax.networks.transformer import Condition, Transformer

STEP = 64  # pixels; a program is compiled for each multiple of it, not for each size of picture
LARGEST = 2**27  # features at full size of a picture that goes through a network as a whole


def stylize(
    stylizer: Stylizer, image: jax.Array, condition: Condition | None = None, *, largest: int = LARGEST
) -> jax.Array:
    """A picture through a trained network.

    Args:
      stylizer: a `Stylizer`.
      image: [H, W, 3] sRGB in [0, 1].
      condition: from `Stylizer.condition`; the first style at strength 1 by default.
      largest: features at full size, above which the picture goes through in windows, with the same result
        to rounding.

    Returns:
      [H, W, 3] sRGB in [0, 1].
    """
    condition = stylizer.condition() if condition is None else condition
    given = stylizer.network, stylizer.variables, jnp.asarray(image), condition
    h, w, _ = image.shape
    if h * w * stylizer.network.widths[0] > largest:
        return jnp.clip(windows.stylize(*given)[:h, :w], 0, 1)
    below, right = -h % STEP, -w % STEP
    if stylizer.network.padding != "reflect" or not (below or right):
        return _whole(*given)[:h, :w]
    network, variables, image, condition = given
    image = jnp.pad(image, ((0, below), (0, right), (0, 0)))
    return _whole(network, variables, image, condition, (jnp.int32(h), jnp.int32(w)))[:h, :w]


@functools.partial(jax.jit, static_argnums=0)
def _whole(network: Transformer, variables, image, condition, size=None):
    return jnp.clip(network.apply(variables, image, condition, size=size), 0, 1)
