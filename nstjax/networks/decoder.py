"""Decoders: features of VGG-19 back to pictures."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from nstjax.networks.vgg import CONVS, WIDTHS, Conv3x3

LEVELS = (1, 2, 3, 4, 5)


class Decoder(nn.Module):
    """The mirror image of VGG-19 up to relu{level}_1.

    Every convolution of the encoder is answered by one of 3 x 3 in the opposite direction, of the same name,
    with reflection padding and a ReLU; every pooling by a nearest-neighbour upsampling by 2, right after
    the first convolution of a block. The last convolution has no ReLU and starts at zero.

    Attributes:
      level: 1 to 5.
      widths: channels of the five blocks of the encoder.

    References:
      Li et al. 2017, https://arxiv.org/abs/1705.08086
    """

    level: int
    widths: tuple[int, ...] = WIDTHS

    @nn.compact
    def __call__(self, features: jax.Array) -> jax.Array:
        """Images [..., H, W, 3] sRGB, about [0, 1], of features [..., h, w, c] at relu{level}_1.

        H is h * 2^(level - 1), and so for W.
        """
        x = features
        for conv in reversed(CONVS[: CONVS.index(f"conv{self.level}_1") + 1]):
            block, first = int(conv[4]), conv.endswith("_1")
            inner = (3, *self.widths)
            channels, last = inner[block - 1] if first else inner[block], conv == "conv1_1"
            start = nn.initializers.zeros if last else nn.initializers.he_normal()
            x = Conv3x3(channels, "reflect", start, name=conv)(x)
            x = x if last else nn.relu(x)
            x = upsample(x) if first and block > 1 else x
        return x


def upsample(x: jax.Array) -> jax.Array:
    """Repeats every position of [..., h, w, c] in both directions: [..., 2 h, 2 w, c]."""
    *batch, h, w, c = x.shape
    x = jnp.broadcast_to(x[..., :, None, :, None, :], (*batch, h, 2, w, 2, c))
    return x.reshape(*batch, 2 * h, 2 * w, c)
