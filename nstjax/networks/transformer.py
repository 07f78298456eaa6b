"""The residual network that stylises a picture in one pass, and its published forms."""

import dataclasses
import functools
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from nstjax.networks.vgg import CAFFE, Preprocessing
from nstjax.ops.convolution import convolve, pad
from nstjax.ops.upsampling import MEETINGS, doubled, spread

BATCH_AXIS = "batch"  # of the devices that share one
NORMS = ("instance", "batch")
PADDINGS = ("start", "reflect")
OUTPUTS = ("tanh", "sigmoid", "linear")
EPSILON = 1e-5
# The parts of the network, and the norms that some of them begin with, a ReLU after each.
STAGES = ("first", "down1", "down2", "blocks", "up1", "up2", "last")
NORMS_BEFORE = {
    "down1": "norm_first",
    "down2": "norm_down1",
    "blocks": "norm_down2",
    "up2": "norm_up1",
    "last": "norm_up2",
}
_HIDDEN = 64
SLOPE = 0.2  # of a leaky ReLU, below 0
INSIDE = 0.98  # of the range of an output, where it is not yet flat
_FEW = 16  # channels of an output for which `_in_squares` is faster
UPSAMPLINGS = (*MEETINGS, "bilinear", "subpixel")


class Condition(NamedTuple):
    """What a network is told beside the picture.

    Attributes:
      styles: [..., S], the share of each of its styles; of one alone, 1 at its place.
      strengths: [..., K], log2 of the factors of the loss weights that it takes as inputs.
    """

    styles: jax.Array
    strengths: jax.Array


class Transformer(nn.Module):
    """The image transformation network.

    A 9 x 9 convolution, two of stride 2, residual blocks of two 3 x 3 convolutions, two up-samplings by 2 and
    a 9 x 9 convolution. A norm and a ReLU follow all but the second of a block, which has no ReLU, and the
    last, which has neither. Convolutions before a norm have no bias, which it would subtract.

    Attributes:
      widths: channels at full, half and quarter size.
      blocks: how many residual blocks.
      norm: "instance" (a picture's statistics) or "batch" (those of the batch in training, over all devices
        of the axis `BATCH_AXIS`; afterwards those in the collection "statistics").
      padding: "start" (reflection once, zeros at convolutions, residual blocks without) or "reflect"
        (reflection before every convolution).
      upsampling: "transposed3" and "transposed4" (transposed convolutions of 3 x 3 and 4 x 4 with stride 2),
        "nearest" and "bilinear" (interpolation, then a 3 x 3 convolution) or "subpixel" (a 3 x 3 convolution
        to four times the channels).
      output: "tanh" (`amplitude` times it, in the colour space of `preprocessing`), "linear" (in that
        space) or "sigmoid" (sRGB).
      preprocessing: of the picture.
      amplitude: of "tanh".
      styles: how many styles; each has a scale and a shift of its own after every norm.
      strengths: how many loss weights are inputs. With the style, they scale and shift after every norm as
        well, and say how much of the picture itself is added to the output.

    Differs from Dosovitskiy & Djolonga: scales and shifts are not a tenth of what the loss weights' network
    says; it is told the style too; and the share of the picture in the output is ours.

    References:
      Johnson et al. 2016, https://arxiv.org/abs/1603.08155, and its supplement
      Dumoulin et al. 2017, https://arxiv.org/abs/1610.07629 (scale and shift a style)
      Dosovitskiy & Djolonga 2020, https://openreview.net/forum?id=HyxY6JHKwr (loss weights as inputs)
    """

    widths: tuple[int, int, int] = (32, 64, 128)
    blocks: int = 5
    norm: str = "instance"
    padding: str = "reflect"
    upsampling: str = "nearest"
    output: str = "linear"
    preprocessing: Preprocessing = CAFFE
    amplitude: float = 150.0
    styles: int = 1
    strengths: int = 0

    def setup(self):
        first, second, third = self.widths
        border = "reflect" if self.padding == "reflect" else "constant"
        conv = functools.partial(_Conv, mode=border)
        block = functools.partial(_Conv, third, 3, mode="reflect" if self.padding == "reflect" else "none")
        up = functools.partial(
            _Upsample, self.upsampling, "edge" if self.padding == "reflect" else "constant"
        )
        self.first, self.last = conv(first, 9), conv(3, 9, bias=True)
        self.down1, self.down2 = conv(second, 3, stride=2), conv(third, 3, stride=2)
        self.up1, self.up2 = up(second), up(first)
        if self.strengths:
            self.strength1, self.strength2 = nn.Dense(_HIDDEN), nn.Dense(_HIDDEN)
            spread = nn.initializers.normal(1.0)
            self.strength_style = nn.Dense(_HIDDEN, use_bias=False, kernel_init=spread)
            self.skip = nn.Dense(3, kernel_init=nn.initializers.zeros_init())
        for name in ("_first", "_down1", "_down2", "_up1", "_up2"):
            setattr(self, f"norm{name}", _Norm(self.norm, self.styles))
        for i in range(1, self.blocks + 1):
            for j in (1, 2):
                setattr(self, f"block{i}_{j}", block())
                setattr(self, f"norm{i}_{j}", _Norm(self.norm, self.styles))

    def __call__(
        self,
        image: jax.Array,
        condition: Condition,
        *,
        training: bool = False,
        size: tuple[jax.Array, jax.Array] | None = None,
    ) -> jax.Array:
        """Stylised pictures [..., H', W', 3] sRGB; H' and W' are H and W rounded up to multiples of 4.

        Args:
          image: [..., H, W, 3] sRGB in [0, 1].
          condition: with the leading axes of `image`, or none.
          training: whether "batch" takes the statistics of this batch.
          size: the height and width of the picture in the top left of `image`, traced, where that is larger:
            there, the result is that of the picture alone. For the padding "reflect". None for all.
        """
        x = self.prepared(image)
        for name in STAGES:
            x = self.stage(name, x, condition, training=training, size=_at(name, size))
        return self.painted(x, image, condition)

    def prepared(self, image: jax.Array) -> jax.Array:
        """What the first stage takes of pictures [..., H, W, 3] sRGB."""
        x = self.preprocessing(image)
        return x if self.padding == "reflect" else pad(x, "reflect", 8 * self.blocks)

    def stage(self, name: str, x: jax.Array, condition: Condition, *, training=False, size=None) -> jax.Array:
        """The output [..., h', w', c'] of one of `STAGES`; its norm is the beginning of the next one.

        Args:
          name: of the stage; the output of "last" is for `painted`.
          x: [..., h, w, c], the output of the stage before, or of `prepared`.
          condition, training: as of a call.
          size: rows and columns of `x` that belong to the picture; None for all.
        """
        told = condition.styles, self._hidden(condition), training, size
        if name in NORMS_BEFORE:
            x = nn.relu(getattr(self, NORMS_BEFORE[name])(x, *told))
        if name == "last":
            return self.last(x, size)
        return self._blocks(x, told, size) if name == "blocks" else getattr(self, name)(x, size)

    def _blocks(self, x, told, size):
        for i in range(1, self.blocks + 1):
            y, cut = x, 0 if self.padding == "reflect" else 2
            for j in (1, 2):
                y = getattr(self, f"norm{i}_{j}")(getattr(self, f"block{i}_{j}")(y, size), *told)
                y = nn.relu(y) if j == 1 else y
            x = x[..., cut : x.shape[-3] - cut, cut : x.shape[-2] - cut, :] + y
        return x

    def _hidden(self, condition):
        """What all norms read the loss weights from: [..., hidden], or None."""
        if not self.strengths:
            return None
        x = self.strength1(condition.strengths / np.log2(10)) + self.strength_style(condition.styles)
        return nn.leaky_relu(self.strength2(nn.leaky_relu(x, SLOPE)), SLOPE)

    def painted(self, y: jax.Array, image: jax.Array, condition: Condition) -> jax.Array:
        """The result [..., H', W', 3] sRGB of the output of the last stage.

        Args:
          y: [..., H', W', 3].
          image, condition: as of a call.
        """
        if self.strengths:
            share = self.skip(self._hidden(condition))[..., None, None, :]
            more = [(0, n - m) for n, m in zip(y.shape[-3:-1], image.shape[-3:-1], strict=True)]
            image = jnp.pad(image, [(0, 0)] * (image.ndim - 3) + [*more, (0, 0)], "edge")
            y = y + share * self._unpainted(image)
        if self.output == "sigmoid":
            return nn.sigmoid(y)
        return self.preprocessing.inverse(self.amplitude * jnp.tanh(y) if self.output == "tanh" else y)

    def _unpainted(self, image):
        """The output of the last stage that gives a picture, but for the ends of a bounded range."""
        if self.output == "sigmoid":
            inside = jnp.clip(image, 1 - INSIDE, INSIDE)
            return jnp.log(inside) - jnp.log1p(-inside)
        x = self.preprocessing(image)
        return jnp.arctanh(jnp.clip(x / self.amplitude, -INSIDE, INSIDE)) if self.output == "tanh" else x


def _at(stage, size):
    """The size of the picture where a stage begins, for its size at the start."""
    if size is None:
        return None
    quarter = [(n + 3) // 4 for n in size]
    sizes = {"first": size, "down1": size, "down2": [(n + 1) // 2 for n in size]}
    factor = {"up2": 2, "last": 4}.get(stage, 1)
    return tuple(sizes.get(stage, [factor * n for n in quarter]))


class _Conv(nn.Module):
    """A convolution that keeps the size, or halves it and rounds up; the mode "none" loses the border."""

    features: int
    size: int
    stride: int = 1
    bias: bool = False
    mode: str = "reflect"

    @nn.compact
    def __call__(self, x, size=None):
        kernel = _kernel(self, self.size, x.shape[-1], self.features)
        border = 0 if self.mode == "none" else self.size // 2
        if self.mode == "reflect":
            x, border = pad(x, "reflect", border, size), 0
        few = self.size == 9 and self.features <= _FEW and not (border or x.shape[-3] % 2 or x.shape[-2] % 2)
        alike = _in_squares if few else functools.partial(convolve, border=border)
        y = alike(x, kernel) if self.stride == 1 else _halved(x, kernel, border)
        return y + self.param("bias", nn.initializers.zeros_init(), (self.features,)) if self.bias else y


def _kernel(module, size, channels, features):
    """Uniform up to 1 / sqrt(n n c), as PyTorch's and Torch's convolutions start."""
    initializer = nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform")
    return module.param("kernel", initializer, (size, size, channels, features))


def _halved(x, kernel, border):
    """A 3 x 3 convolution of stride 2, as one of 2 x 2 on squares of four positions."""
    *batch, h, w, c = x.shape
    h, w = h + 2 * border, w + 2 * border
    sides = [(border, border + n % 2) for n in (h, w)]
    squares = _squares(jnp.pad(x, [(0, 0)] * len(batch) + sides + [(0, 0)]))
    kernel = jnp.pad(kernel, ((0, 1), (0, 1), (0, 0), (0, 0)))
    kernel = kernel.reshape(2, 2, 2, 2, c, -1).transpose(0, 2, 1, 3, 4, 5).reshape(2, 2, 4 * c, -1)
    return convolve(squares, kernel, 0)


def _in_squares(x, kernel):
    """A convolution of 9 x 9 without a border, as one of 5 x 5 on squares of four positions.

    It multiplies 1.2 times as often, but with four times as many channels, which a CPU is busier with.
    """
    n, _, c, _ = kernel.shape
    meets = np.zeros((2, n, n // 2 + 1, 2), np.float32)  # place, row of the kernel, square, place in it
    for place in (0, 1):
        for row in range(n):
            meets[place, row, (place + row) // 2, (place + row) % 2] = 1
    of_squares = jnp.einsum("aiAr,bjBs,ijck->ABrscabk", meets, meets, kernel, precision=lax.Precision.HIGHEST)
    of_squares = of_squares.reshape(n // 2 + 1, n // 2 + 1, 4 * c, -1)
    return spread(convolve(_squares(x), of_squares, 0))


def _squares(x):
    """[..., 2 h, 2 w, c] to [..., h, w, 4 c], the channels of a square of four positions."""
    *batch, h, w, c = x.shape
    squares = x.reshape(*batch, h // 2, 2, w // 2, 2, c).swapaxes(-4, -3)
    return squares.reshape(*batch, h // 2, w // 2, 4 * c)


class _Upsample(nn.Module):
    """[..., h, w, c] to [..., 2 h, 2 w, features]."""

    kind: str
    mode: str
    features: int

    @nn.compact
    def __call__(self, x, size=None):
        c, features = x.shape[-1], self.features
        if self.kind == "subpixel":
            kernel = _kernel(self, 3, c, 4 * features)
            return spread(convolve(pad(x, self.mode, size=size), kernel, 0))
        kernel = _kernel(self, 4 if self.kind == "transposed4" else 3, c, features)
        if self.kind == "bilinear":
            x = x if size is None else pad(x, "edge", 0, size)
            *batch, h, w, _ = x.shape
            x = jax.image.resize(x, (*batch, 2 * h, 2 * w, c), "linear")
            size = None if size is None else (2 * size[0], 2 * size[1])
            return convolve(pad(x, self.mode, size=size), kernel, 0)
        return doubled(pad(x, self.mode, size=size), kernel, self.kind)


class _Norm(nn.Module):
    """Normalised features, scaled and shifted by the styles and by the strengths."""

    kind: str
    styles: int

    @nn.compact
    def __call__(self, x, styles, hidden, training, size):
        c = x.shape[-1]
        mean, variance = self._statistics(x, training, size)
        scale = styles @ self.param("scale", nn.initializers.ones_init(), (self.styles, c))
        shift = styles @ self.param("shift", nn.initializers.zeros_init(), (self.styles, c))
        if hidden is not None:
            zeros = nn.initializers.zeros_init()
            factor, offset = jnp.split(nn.Dense(2 * c, kernel_init=zeros, name="strength")(hidden), 2, -1)
            scale, shift = scale * (1 + factor), shift + offset
        scale, shift = scale[..., None, None, :], shift[..., None, None, :]
        return (x - mean) * (lax.rsqrt(variance + EPSILON) * scale) + shift

    def _statistics(self, x, training, size):
        if self.kind == "instance":
            mean = _mean(x, size)
            return mean, _mean(jnp.square(x - mean), size)
        axes, c = tuple(range(x.ndim - 1)), x.shape[-1]
        mean = _over_devices(jnp.mean(x, axes))
        of_batch = mean, _over_devices(jnp.mean(jnp.square(x - mean), axes))
        kept = self.is_mutable_collection("statistics")
        if training and not kept:
            return of_batch
        mean = self.variable("statistics", "mean", jnp.zeros, (c,))
        variance = self.variable("statistics", "variance", jnp.ones, (c,))
        if training:
            mean.value, variance.value = of_batch
        return mean.value, variance.value


def _mean(x, size):
    """Means [..., 1, 1, c] over the positions of a picture."""
    if size is None:
        return jnp.mean(x, (-3, -2), keepdims=True)
    rows, columns = (jnp.arange(n) < m for n, m in zip(x.shape[-3:-1], size, strict=True))
    inside = (rows[:, None] & columns)[..., None]
    return jnp.sum(jnp.where(inside, x, 0), (-3, -2), keepdims=True) / (size[0] * size[1])


def _over_devices(x):
    """The mean over the devices that share a batch, where they do."""
    try:
        return lax.pmean(x, BATCH_AXIS)
    except NameError:  # as JAX says that no devices share one
        return x


def extended(params: dict, norms: dict) -> dict:
    """The params of a network with more styles.

    Args:
      params: of the network.
      norms: {layer: {"scale": [n, c], "shift": [n, c]}} of n styles that follow those it has, and
        {"strength_style": {"kernel": [n, hidden]}} where it takes strengths.
    """
    more = {
        name: {key: jnp.concatenate([params[name][key], row]) for key, row in rows.items()}
        for name, rows in norms.items()
    }
    return {name: {**of_layer, **more.get(name, {})} for name, of_layer in params.items()}


def mean_style(params: dict, count: int) -> dict:
    """The `norms` of `extended` for so many styles, each the mean of those that a network has."""
    tables = {
        name: {key: layer[key] for key in ("scale", "shift")}
        for name, layer in params.items()
        if "shift" in layer
    }
    if "strength_style" in params:
        tables["strength_style"] = params["strength_style"]
    return jax.tree.map(lambda table: jnp.tile(jnp.mean(table, 0), (count, 1)), tables)


_TO_255 = Preprocessing("rgb", 255.0, (0.0, 0.0, 0.0))

PRESETS = {
    # Johnson et al. 2016, supplement, table 1: batch norm, fractionally strided convolutions, "a scaled tanh
    # to ensure that the output has pixels in the range [0, 255]".
    "johnson2016": Transformer(
        norm="batch",
        padding="start",
        upsampling="transposed3",
        output="tanh",
        preprocessing=dataclasses.replace(_TO_255, mean=(127.5,) * 3),
        amplitude=127.5,
    ),
    # github.com/jcjohnson/fast-neural-style, train.lua: instance norm, tanh_constant 150, padding_type
    # reflect-start, colours as for the Caffe networks.
    "fast_neural_style": Transformer(padding="start", upsampling="transposed3", output="tanh"),
    # github.com/pytorch/examples, fast_neural_style/neural_style/transformer_net.py: colours in [0, 255],
    # reflection everywhere, nearest-neighbour interpolation, a linear end.
    "pytorch_examples": Transformer(preprocessing=_TO_255),
}
