"""Training decoders: pictures encoded and decoded again."""

import jax
import jax.numpy as jnp

from nstjax import nets

_EPSILON = 1e-6


def init(key, widths):
    """Random weights of a decoder a level: {"decoder1": {conv: {"kernel", "bias"}}, ...}."""
    params = {}
    for level, k in zip(nets.LEVELS, jax.random.split(key, len(nets.LEVELS)), strict=True):
        features = jnp.zeros((2, 2, widths[level - 1]))
        params[f"decoder{level}"] = nets.Decoder(level, widths).init(k, features)["params"]
    return params


def make_loss(encoder, widths, feature_weight):
    r"""How far decoded pictures are from those that were encoded.

    .. math:: \sum_k \overline{(I_k - I)^2} / \overline{(I - \bar I)^2}
              + \lambda \sum (\Phi_k(I_k) - \Phi_k(I))^2 / \sum \Phi_k(I)^2

    I_k is picture I through the features at relu{k}_1, :math:`\Phi_k`, and back; means and sums run over
    the batch, :math:`\bar I` is its mean colour.

    Args:
      encoder: an `Encoder` with reflection padding; its weights stay as they are.
      widths: channels of its five blocks.
      feature_weight: :math:`\lambda`.

    Returns:
      `loss(params, images [batch, H, W, 3]) -> (scalar, report)` for params as `init` returns them; the
      report has {"decoder1/pixel": mean squared error, "decoder1/feature": second fraction, ...}.
    """
    taps = tuple(f"relu{level}_1" for level in nets.LEVELS)

    def loss(params, images):
        wanted = encoder.apply(encoder.params, images, taps)
        spread = jnp.mean(jnp.square(images - jnp.mean(images, (0, 1, 2)))) + _EPSILON
        total, report = 0.0, {}
        for level, tap in zip(nets.LEVELS, taps, strict=True):
            decoder = nets.Decoder(level, widths)
            decoded = decoder.apply({"params": params[f"decoder{level}"]}, wanted[tap])
            pixel = jnp.mean(jnp.square(decoded - images))
            again = encoder.apply(encoder.params, decoded, (tap,))[tap]
            feature = jnp.sum(jnp.square(again - wanted[tap]))
            feature = feature / (jnp.sum(jnp.square(wanted[tap])) + _EPSILON)
            report |= {f"decoder{level}/pixel": pixel, f"decoder{level}/feature": feature}
            total += pixel / spread + feature_weight * feature
        return total, report

    return loss
