"""VGG-19 in Flax Linen, cut off at the deepest tap that is asked for."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from nstjax.errors import nearest
from nstjax.ops import rows, winograd
from nstjax.ops.convolution import convolve, pad, pool

DEPTHS = (2, 2, 4, 4, 4)
WIDTHS = (64, 128, 256, 512, 512)
SLIM_WIDTHS = (16, 32, 64, 128, 128)
TINY_WIDTHS = (4, 6, 8, 8, 8)
CONVS = tuple(f"conv{b}_{i}" for b, n in enumerate(DEPTHS, 1) for i in range(1, n + 1))
# Every tap, shallow to deep.
TAPS = tuple(
    tap
    for b, n in enumerate(DEPTHS, 1)
    for tap in (
        *(f"{kind}{b}_{i}" for i in range(1, n + 1) for kind in ("conv", "relu")),
        f"pool{b}",
    )
)
POOLINGS = ("max", "average", "l2")
POOLING_SIZES = ("floor", "ceil")
PADDINGS = {"zero": "constant", "reflect": "reflect", "replicate": "edge"}
CONVOLUTIONS = ("auto", "direct", "winograd")
DTYPES = ("float32", "bfloat16")
# With so many numbers or more in a kernel, Winograd's algorithm is the faster on a CPU
# (`python -m benchmarks convolution`).
_MANY = 9 * 128 * 256


@dataclasses.dataclass(frozen=True)
class Preprocessing:
    """The input of a weight set, from RGB in [0, 1]: (scale * image - mean) / std.

    Attributes:
      order: "rgb" or "bgr", the channel order of the input and of `mean` and `std`.
      scale: the value of white before the mean is subtracted.
      mean: subtracted per channel.
      std: divided by per channel, last.
    """

    order: str
    scale: float
    mean: tuple[float, float, float]
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)

    def __call__(self, image: jax.Array) -> jax.Array:
        """Network input [h, w, 3] from an sRGB image [h, w, 3] in [0, 1]."""
        x = image[..., ::-1] if self.order == "bgr" else image
        mean, std = jnp.asarray(self.mean, x.dtype), jnp.asarray(self.std, x.dtype)
        return (x * self.scale - mean) / std

    def inverse(self, x: jax.Array) -> jax.Array:
        """The sRGB image [h, w, 3] in [0, 1] of a network input [h, w, 3]."""
        mean, std = jnp.asarray(self.mean, x.dtype), jnp.asarray(self.std, x.dtype)
        image = (x * std + mean) / self.scale
        return image[..., ::-1] if self.order == "bgr" else image


CAFFE = Preprocessing("bgr", 255.0, (103.939, 116.779, 123.68))
TORCHVISION = Preprocessing("rgb", 1.0, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
PREPROCESSINGS = {"caffe": CAFFE, "torchvision": TORCHVISION}


@dataclasses.dataclass(frozen=True)
class Encoder:
    """A network that losses read features from.

    Attributes:
      apply: `apply(params, image, taps) -> {tap: features [h, w, c]}`, image [H, W, 3] sRGB in [0, 1]. It may
        have a `prepare(params)`: params to apply many times, with what does not depend on the image made; and
        a `groups(params, taps)`: tuples of taps whose features are to be in memory at one time.
      params: a pytree of arrays.
      taps: the names of the taps that `params` reach, shallow to deep.
    """

    apply: Callable[[Any, jax.Array, tuple[str, ...]], dict[str, jax.Array]]
    params: Any
    taps: tuple[str, ...]


class VGG19(nn.Module):
    """The convolutional part of VGG-19.

    Attributes:
      preprocessing: applied to the image first.
      widths: channels of each of the five blocks.
      pooling: "max", "average" or "l2" (root of the sum of squares, as PyTorch's LPPool2d), 2 x 2
        with stride 2.
      pooling_size: "floor": an odd last row or column is dropped, a side of 1 stays 1; "ceil": it is pooled
        alone, as in Caffe and the programs that took its networks over.
      padding: of the 3 x 3 convolutions: "zero", "reflect" or "replicate". Where a map is a single
        row or column, "reflect" has nothing to reflect and replicates.
      dtype: of the features, "float32" or "bfloat16".
      row_devices: how many local devices divide the rows of the features among them.

    References:
      Simonyan & Zisserman 2015, https://arxiv.org/abs/1409.1556
    """

    preprocessing: Preprocessing = CAFFE
    widths: tuple[int, ...] = WIDTHS
    pooling: str = "max"
    padding: str = "zero"
    pooling_size: str = "floor"
    dtype: str = "float32"
    row_devices: int = 1

    @nn.compact
    def __call__(self, x: jax.Array, taps: Sequence[str], start: str = "image") -> dict[str, jax.Array]:
        """Features at `taps` of an image [H, W, 3] sRGB in [0, 1]; nothing deeper is computed.

        Args:
          x: [H, W, 3] float, any size from 1 x 1; leading axes of a batch stay in front.
          taps: names from `TAPS`: `conv4_2` is before the ReLU, `relu4_2` after it, `pool4` after the
            block; `image` is the picture itself.
          start: the tap that `x` is the features of.

        Returns:
          {tap: [h, w, c]}.
        """
        features = {start: x}
        wanted = [tap for tap in check_taps(taps, TAPS) if tap != "image"]
        deepest = max((TAPS.index(tap) for tap in wanted), default=-1)
        x = self.preprocessing(x) if start == "image" else x
        x = rows.divided(self.row_devices, x)
        x = x if self.dtype == "float32" else x.astype(self.dtype)
        first = 0 if start == "image" else TAPS.index(start) + 1
        for tap in TAPS[first : deepest + 1]:
            if tap.startswith("conv"):
                x = Conv3x3(self.widths[int(tap[4]) - 1], PADDINGS[self.padding], name=tap)(x)
            elif tap.startswith("relu"):
                x = nn.relu(x)
            else:
                x = rows.divided(self.row_devices, pool(x, self.pooling, self.pooling_size))
            features[tap] = x
        return {tap: features[tap] for tap in taps}


class Conv3x3(nn.Module):
    """3 x 3 convolution with stride 1 that keeps the size: [..., h, w, c] -> [..., h, w, features]."""

    features: int
    pad_mode: str
    initializer: Callable = nn.initializers.he_normal()

    @nn.compact
    def __call__(self, x):
        shape = (3, 3, x.shape[-1], self.features)
        kernel = self.param("kernel", self.initializer, shape)
        turned = self.get_variable("turned", "kernel")
        bias = self.param("bias", nn.initializers.zeros_init(), (self.features,))
        if self.pad_mode != "constant":
            x = pad(x, self.pad_mode)
        border = 1 if self.pad_mode == "constant" else 0
        return convolve(x, kernel.astype(x.dtype), border, turned) + bias.astype(x.dtype)


def make_encoder(
    params: Mapping[str, Any],
    preprocessing: Preprocessing,
    *,
    pooling: str = "max",
    padding: str = "zero",
    pooling_size: str = "floor",
    conv: str = "auto",
    dtype: str = "float32",
    row_devices: int = 1,
) -> Encoder:
    """An `Encoder` of VGG-19 params; `nstjax.networks.make_encoder` takes a whole weight set.

    Args:
      params: {conv name: {"kernel": [3, 3, i, o], "bias": [o]}}, from conv1_1 on without gaps; the
        widths are read off them.
      preprocessing: the `Preprocessing` the weights were trained with.
      pooling: "max", "average" or "l2".
      padding: "zero", "reflect" or "replicate".
      pooling_size: "floor" or "ceil", as of `VGG19`.
      conv: how optimisations and trainings convolve: "direct"; "winograd", equal to it to about 1e-5; "auto",
        on a CPU the faster of the two in each layer, else "direct".
      dtype: of the features, "float32" or "bfloat16".
      row_devices: how many local devices divide the rows of image and features among them; exact.

    Raises:
      ValueError: for an unknown pooling, padding, pooling size, conv or dtype, and "winograd" in "bfloat16"
        or on several devices.
    """
    for name, value, valid in (
        ("pooling", pooling, POOLINGS),
        ("padding", padding, PADDINGS),
        ("pooling_size", pooling_size, POOLING_SIZES),
        ("conv", conv, CONVOLUTIONS),
        ("dtype", dtype, DTYPES),
    ):
        if value not in valid:
            raise ValueError(f"{name} {value!r} is unknown{nearest(value, valid)}")
    if conv == "winograd" and dtype != "float32":
        raise ValueError(f"conv 'winograd' is for features in float32; got {dtype}")
    if conv == "winograd" and row_devices > 1:
        raise ValueError(f"conv 'winograd' is for one device; got row_devices={row_devices}")
    network = VGG19(preprocessing, widths(params), pooling, padding, pooling_size, dtype, row_devices)
    return Encoder(_Apply(network, conv), {"params": params}, reachable_taps(params))


@dataclasses.dataclass(frozen=True)
class _Apply:
    """`Encoder.apply` of a network; equal for equal networks, so that programs compile once."""

    network: VGG19
    conv: str

    def __call__(self, params, x, taps, start="image"):
        return self.network.apply(params, x, tuple(taps), start)

    def prepare(self, params):
        """Params with the kernels that Winograd's algorithm takes."""
        kernels = {name: conv["kernel"] for name, conv in params["params"].items()}
        if self.network.dtype != "float32":
            kernels = {}
        elif self.conv == "auto":
            suits = jax.default_backend() == "cpu" and self.network.row_devices == 1
            kernels = {name: kernel for name, kernel in kernels.items() if suits and kernel.size >= _MANY}
        elif self.conv == "direct":
            kernels = {}
        return params | {"turned": {name: {"kernel": winograd.turn(k)} for name, k in kernels.items()}}


def widths(params: Mapping[str, Any]) -> tuple[int, ...]:
    """Channels of the blocks that params {conv name: {"kernel", "bias"}} reach."""
    return tuple(len(params[conv]["bias"]) for conv in CONVS if conv.endswith("_1") and conv in params)


def reachable_taps(params: Mapping[str, Any]) -> tuple[str, ...]:
    """The taps, shallow to deep, that a set of convolutions reaches without a gap."""
    taps = []
    for tap in TAPS:
        if tap.startswith("conv") and tap not in params:
            break
        taps.append(tap)
    return tuple(taps)


def check_taps(taps: Sequence[str], available: Sequence[str], source: str = "VGG-19") -> tuple[str, ...]:
    """Returns the taps, if a network reads them all.

    Args:
      taps: names.
      available: the taps of the network, shallow to deep.
      source: the network's name, for errors.

    Raises:
      ValueError: for the first tap that is unknown or too deep.
    """
    for tap in taps:
        if tap == "image" or tap in available:
            continue
        if tap in TAPS:
            raise ValueError(f"tap {tap!r} is deeper than {source}, which ends at {available[-1]!r}")
        raise ValueError(f"tap {tap!r} does not exist{nearest(tap, ('image', *available))}")
    return tuple(taps)


def random_params(seed: int, widths: Sequence[int] = WIDTHS) -> dict[str, dict[str, np.ndarray]]:
    """He-initialised weights: normal [3, 3, i, o] kernels of variance 2 / (9 i), zero biases.

    A ReLU network with them keeps the mean square of its activations from layer to layer.
    """
    rng, params, channels = np.random.default_rng(seed), {}, 3
    for conv in CONVS:
        width = widths[int(conv[4]) - 1]
        kernel = rng.normal(0, np.sqrt(2 / (9 * channels)), (3, 3, channels, width))
        params[conv] = {"kernel": kernel.astype(np.float32), "bias": np.zeros(width, np.float32)}
        channels = width
    return params
