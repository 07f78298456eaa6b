"""The loss of decoders: the error of pictures that are encoded and decoded."""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp

from nstjax.networks import Encoder
from nstjax.networks.decoder import Decoder

_EPSILON = 1e-6
_RAREST = 0.1


def init(key: jax.Array, level: int, widths: Sequence[int]) -> dict:
    """Random params of the decoder of a level.

    Args:
      key: PRNG key.
      level: 1 to 5.
      widths: channels of the encoder's five blocks.

    Returns:
      {conv: {"kernel", "bias"}} float32.
    """
    features = jnp.zeros((2, 2, widths[level - 1]))
    return Decoder(level, widths).init(key, features)["params"]


def unit_scale(encoder: Encoder, level: int, images: jax.Array) -> jax.Array:
    """The factors [c] that bring the mean activation of each channel at relu{level}_1 to 1.

    Channels of published networks differ a thousandfold; learning rates are for those of about 1. Channels
    that hardly ever fire are taken as if their mean were a tenth of that of all.

    Args:
      encoder: an `Encoder`.
      level: 1 to 5.
      images: [batch, H, W, 3] sRGB in [0, 1].
    """
    tap = f"relu{level}_1"
    mean = jnp.mean(encoder.apply(encoder.params, images, (tap,))[tap], (0, 1, 2))
    return 1 / jnp.maximum(mean, _RAREST * jnp.mean(mean) + _EPSILON)


def folded(params: dict, level: int, scale: jax.Array) -> dict:
    """The params of a decoder of plain features, from those of one of `scale` [c] times the features."""
    first = f"conv{level}_1"
    return {**params, first: {**params[first], "kernel": scale[:, None] * params[first]["kernel"]}}


def make_loss(
    encoder: Encoder,
    level: int,
    widths: Sequence[int],
    feature_weight: float,
    scale: jax.Array | float = 1.0,
) -> Callable:
    r"""The loss of a decoder: squared errors of the decoded pictures and of their features.

    .. math:: \overline{(I' - I)^2} / \overline{(I - \bar I)^2}
              + \lambda \sum (\Phi(I') - \Phi(I))^2 / \sum \Phi(I)^2

    I' is picture I through its features :math:`\Phi` at relu{level}_1 and back; means and sums run over
    the batch, :math:`\bar I` is its mean colour.

    Args:
      encoder: an `Encoder` with reflection padding; its params stay as they are.
      level: 1 to 5.
      widths: channels of the encoder's five blocks.
      feature_weight: :math:`\lambda`.
      scale: what features are multiplied by before they are decoded, [c] or a number.

    Returns:
      `loss(params, images [batch, H, W, 3]) -> (scalar, {"pixel": mean squared error, "feature": second
      fraction})` for params as `init` returns them.
    """
    tap, decoder = f"relu{level}_1", Decoder(level, widths)

    def encode(images):
        return encoder.apply(encoder.params, images, (tap,))[tap]

    def loss(params, images):
        wanted = encode(images)
        decoded = decoder.apply({"params": params}, scale * wanted)
        spread = jnp.mean(jnp.square(images - jnp.mean(images, (0, 1, 2)))) + _EPSILON
        pixel = jnp.mean(jnp.square(decoded - images))
        feature = jnp.sum(jnp.square(encode(decoded) - wanted)) / (jnp.sum(jnp.square(wanted)) + _EPSILON)
        return pixel / spread + feature_weight * feature, {"pixel": pixel, "feature": feature}

    return loss
