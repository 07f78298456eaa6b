"""Decoders: features of VGG-19 back to pictures."""

import functools
from collections.abc import Callable

import flax.linen as nn
import jax

from nstjax.networks.vgg import CONVS, WIDTHS, Conv3x3
from nstjax.ops.convolution import pad
from nstjax.ops.upsampling import doubled

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
        x, block = features, self.level
        for conv in reversed(CONVS[: CONVS.index(f"conv{self.level}_1") + 1]):
            larger, block = int(conv[4]) < block, int(conv[4])
            first, last, inner = conv.endswith("_1"), conv == "conv1_1", (3, *self.widths)
            channels = inner[block - 1] if first else inner[block]
            start = nn.initializers.zeros if last else nn.initializers.he_normal()
            made = _Doubled if larger else functools.partial(Conv3x3, pad_mode="reflect")
            x = made(channels, initializer=start, name=conv)(x)
            x = x if last else nn.relu(x)
        return x


class _Doubled(nn.Module):
    """Nearest-neighbour up-sampling by 2, then a `Conv3x3`: [..., h, w, c] -> [..., 2 h, 2 w, features]."""

    features: int
    initializer: Callable

    @nn.compact
    def __call__(self, x):
        kernel = self.param("kernel", self.initializer, (3, 3, x.shape[-1], self.features))
        bias = self.param("bias", nn.initializers.zeros_init(), (self.features,))
        return doubled(pad(x, "edge"), kernel) + bias
