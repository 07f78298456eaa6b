"""Encoders to relu1_1 ... relu5_1 with the decoders that turn their features back into pictures."""

import dataclasses
import functools
import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from nstjax import files
from nstjax.errors import UserError, nearest
from nstjax.networks import headers, layouts, pretrained, torch_file, vgg
from nstjax.networks.decoder import LEVELS, Decoder

_VGG = "vgg_normalised_conv5_1.pth"
RGB = vgg.Preprocessing("rgb", 1.0, (0.0, 0.0, 0.0))


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=("encoder", "decoder"),
    meta_fields=("level", "apply", "widths", "rectified"),
)
@dataclasses.dataclass(frozen=True)
class Level:
    """An encoder and its decoder; a pytree of their params, with everything else static.

    Attributes:
      level: 1 to 5: the features are those at relu{level}_1.
      apply: of an `nstjax.networks.Encoder`.
      widths: channels of the encoder's blocks, up to the level's or further.
      rectified: whether the decoder ends with a ReLU.
      encoder, decoder: params.
    """

    level: int
    apply: Callable
    widths: tuple[int, ...]
    rectified: bool
    encoder: Any
    decoder: Any

    @property
    def tap(self) -> str:
        """The tap of the features."""
        return f"relu{self.level}_1"

    @property
    def unit(self) -> int:
        """Side in pixels of a position of the features."""
        return 2 ** (self.level - 1)

    def encode(self, image: jax.Array) -> jax.Array:
        """Features [h, w, c] of an image [H, W, 3] whose sides are multiples of `unit`."""
        return self.apply(self.encoder, image, (self.tap,))[self.tap]

    def decode(self, features: jax.Array) -> jax.Array:
        """Image [H, W, 3] sRGB, about [0, 1], of features [h, w, c]."""
        image = Decoder(self.level, self.widths).apply({"params": self.decoder}, features)
        return jnp.maximum(image, 0) if self.rectified else image


@dataclasses.dataclass(frozen=True)
class Levels:
    """A set of levels.

    Attributes:
      levels: {number: Level}.
      label: names the set in outputs.
      sha256: of the files together.
      preprocessing: the input of the encoders.
      notes: lines on how the files were read, for people.
    """

    levels: Mapping[int, Level]
    label: str
    sha256: str
    preprocessing: vgg.Preprocessing = RGB
    notes: tuple[str, ...] = ()


def load(
    name: str, numbers: Sequence[int] = LEVELS, *, decoders: str = "", preprocessing: str = ""
) -> Levels:
    """Levels of a set by name or path.

    Args:
      name: a weight set that comes with decoders; any other one, given `decoders`; or the path of
        - an encoder F.safetensors, with its decoders beside it as F_decoders.safetensors;
        - a folder of slim models as they were published with Wang et al. 2020,
          wct16x_{1..5}s{e,d}.safetensors, each level on its own;
        - a folder of the original VGG-19 models as PyTorch files in the layout of irasin/Pytorch_WCT,
          vgg_normalised_conv5_1.pth and decoder_relu{1..5}_1.pth.
      numbers: of the levels, some of 1 to 5.
      decoders: path of a file that `nstjax.networks.save_decoders` wrote, such as an output of
        `configs/decoder.py`.
      preprocessing: of an encoder that is a weight set, as of `nstjax.networks.load`.

    Returns:
      `Levels`.

    Raises:
      UserError: for an unknown name, and for files that are missing, broken or hold something else.

    References:
      Wang et al. 2020, https://arxiv.org/abs/2003.08436
    """
    path = files.user_path(name)
    if decoders or name in pretrained.SHIPPED:
        return _of_a_weight_set(name, decoders or name, numbers, preprocessing)
    with files.reading(path):
        is_folder = path.is_dir()
    if is_folder:
        if preprocessing:
            raise UserError(f"preprocessing has no meaning for the folder {name}, whose files contain theirs")
        is_torch = (path / _VGG).exists() or any(path.glob("decoder_relu?_1.pth"))
        return (_pytorch_wct if is_torch else _published)(path, numbers)
    if files.is_file(path):
        beside = str(path.with_name(f"{path.stem}_decoders.safetensors"))
        return _of_a_weight_set(name, beside, numbers, preprocessing)
    if name in pretrained.NAMES:
        valid = ", ".join(pretrained.SHIPPED)
        raise UserError(
            f"weights {name!r} have no decoders; give decoders, as configs/decoder.py trains them, or the "
            f"weights {valid}, or the path of some that come with theirs"
        )
    valid = nearest(name, pretrained.SHIPPED)
    raise UserError(f"weights {name!r}: no such folder, file or weight set with decoders{valid}")


def _of_a_weight_set(name, decoders_name, numbers, preprocessing):
    loaded = pretrained.load(name, preprocessing=preprocessing)
    decoders = pretrained.load_decoders(decoders_name)
    # Decoders are trained with this pooling and this padding.
    encoder = pretrained.make_encoder(loaded, pooling="max", padding="reflect")
    for n in numbers:
        if f"relu{n}_1" not in encoder.taps:
            raise UserError(f"weights {name}: end at {encoder.taps[-1]}, before relu{n}_1")
        if f"decoder{n}" not in decoders.params:
            there = ", ".join(decoders.params)
            raise UserError(f"decoders {decoders_name}: hold {there}; levels ask for decoder{n}")
    widths = vgg.widths(loaded.params)[: max(numbers)]
    if decoders.widths[: len(widths)] != widths:
        raise UserError(
            f"decoders {decoders_name}: are for an encoder of widths {decoders.widths}; that of {name} has "
            f"{widths}"
        )
    if decoders.about.get("encoder", loaded.sha256) != loaded.sha256:
        raise UserError(
            f"decoders {decoders_name}: were trained for an encoder with another SHA-256 than that of {name}"
        )
    if decoders.about.get("preprocessing", str(loaded.preprocessing)) != str(loaded.preprocessing):
        raise UserError(
            f"decoders {decoders_name}: were trained for another preprocessing than {name} is read with"
        )
    levels = {
        n: Level(n, encoder.apply, decoders.widths, False, encoder.params, decoders.params[f"decoder{n}"])
        for n in numbers
    }
    digest = _digest(loaded.sha256.encode(), decoders.sha256.encode())
    return Levels(levels, loaded.label, digest, loaded.preprocessing, loaded.notes)


def _published(folder, numbers):
    levels, parts = {}, []
    for n in numbers:
        pair = [folder / f"wct16x_{n}s{kind}.safetensors" for kind in "ed"]
        params, _ = read_slim_encoder(pair[0], n)
        encoder = vgg.make_encoder(params, RGB, pooling="max", padding="reflect")
        widths = vgg.widths(params)
        decoder = read_slim_decoder(pair[1], n, widths)
        levels[n] = Level(n, encoder.apply, widths, True, encoder.params, decoder)
        parts += [path.read_bytes() for path in pair]
    return Levels(levels, f"wct16x ({folder.name})", _digest(*parts))


def _pytorch_wct(folder, numbers):
    path = folder / _VGG
    arrays = torch_file.read_state_dict(path)
    before = _take_conv(path, arrays, "0", (3, 3, 1, 1))
    names = _sequential(_convs(5), first=2, pooled=True)
    params = _folded(_take_convs(path, arrays, names), *before)
    _check_empty(path, arrays, "that encoder")
    encoder = vgg.make_encoder(params, RGB, pooling="max", padding="reflect")
    levels, digests = {}, [path.read_bytes()]
    for n in numbers:
        path, widths = folder / f"decoder_relu{n}_1.pth", vgg.widths(params)[:n]
        arrays = torch_file.read_state_dict(path)
        decoder = _take_decoder(path, arrays, n, widths, _sequential(_convs(n)[::-1], first=1, pooled=False))
        levels[n] = Level(n, encoder.apply, widths, False, encoder.params, decoder)
        digests.append(path.read_bytes())
    return Levels(levels, f"vgg19 ({folder.name})", _digest(*digests))


def _sequential(convs, *, first, pooled):
    """{conv: number} of convolutions in a `torch.nn.Sequential` of padding, convolution, ReLU and, between
    blocks, another layer: a pooling before the first of a block, or an upsampling after it.
    """
    numbers = {}
    for conv in convs:
        between = conv.endswith("_1") and conv != "conv1_1"
        first += between and pooled
        numbers[conv] = str(first)
        first += 3 + (between and not pooled)
    return numbers


def _digest(*parts):
    """SHA-256 of bytes, one part after the other."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()


def read_slim_encoder(path: str | Path, level: int) -> tuple[dict, dict]:
    """A slim encoder of Wang et al. 2020 to relu{level}_1.

    Args:
      path: a safetensors file in PyTorch's layout: convolutions `conv11` ..., a 1 x 1 layer `conv0` before
        them, and 1 x 1 maps `conv11_aux`, `conv21_aux` ... to the features of the full network.
      level: 1 to 5.

    Returns:
      ({conv: {"kernel", "bias"}} with `conv0` folded into conv1_1, {tap: map}), for pictures in [0, 1].

    Raises:
      UserError: for a file that is missing, or an array that is missing, misshapen or extra.
    """
    arrays, names = _read(path), {conv: conv.replace("_", "") for conv in _convs(level)}
    before = _take_conv(path, arrays, "conv0", (3, 3, 1, 1))
    params, maps = _take_convs(path, arrays, names), {}
    for conv in filter(lambda conv: conv.endswith("_1"), params):
        width = len(params[conv]["bias"])
        weight, bias = _take_conv(path, arrays, f"{names[conv]}_aux", (None, width, 1, 1))
        maps[conv.replace("conv", "relu")] = {"kernel": weight[:, :, 0, 0].T, "bias": bias}
    _check_empty(path, arrays, "a slim model")
    return _folded(params, *before), maps


def read_slim_decoder(path: str | Path, level: int, widths: Sequence[int]) -> dict:
    """A slim decoder of Wang et al. 2020, as params of a `Decoder`.

    Args:
      path: a safetensors file in PyTorch's layout: convolutions `conv11` ...
      level: 1 to 5.
      widths: channels of the encoder's blocks.

    Returns:
      {conv: {"kernel", "bias"}}.

    Raises:
      UserError: for a file that is missing, or an array that is missing, misshapen or extra.
    """
    names = {conv: conv.replace("_", "") for conv in _convs(level)}
    return _take_decoder(path, _read(path), level, widths, names)


def _convs(level):
    """The convolutions of VGG-19 up to relu{level}_1."""
    return vgg.CONVS[: vgg.CONVS.index(f"conv{level}_1") + 1]


def _folded(params, weight, bias):
    """Convolutions with a 1 x 1 layer before them folded into the first."""
    first = params["conv1_1"]
    offset = np.einsum("hwio,i->o", first["kernel"], bias)
    kernel = np.einsum("hwio,ij->hwjo", first["kernel"], weight[:, :, 0, 0])
    return params | {"conv1_1": {"kernel": kernel, "bias": first["bias"] + offset}}


def _take_convs(path, arrays, names):
    """Params of an encoder, taken out of arrays in PyTorch's layout; blocks may be of any width."""
    params, channels = {}, 3
    for conv, name in names.items():
        width = None if conv.endswith("_1") else channels
        weight, bias = _take_conv(path, arrays, name, (width, channels, 3, 3))
        params[conv], channels = {"kernel": weight.transpose(2, 3, 1, 0), "bias": bias}, len(bias)
    return params


def _take_decoder(path, arrays, level, widths, names):
    features, params = jnp.zeros((2, 2, widths[level - 1])), {}
    shapes = jax.eval_shape(Decoder(level, widths).init, jax.random.key(0), features)["params"]
    for conv, like in shapes.items():
        *_, i, o = like["kernel"].shape
        weight, bias = _take_conv(path, arrays, names[conv], (o, i, 3, 3))
        params[conv] = {"kernel": weight.transpose(2, 3, 1, 0), "bias": bias}
    _check_empty(path, arrays, "that decoder")
    return params


def _read(path):
    with files.reading(path):
        return headers.parse_safetensors(path, Path(path).read_bytes())[0]


def _take_conv(path, arrays, name, shape):
    """(weight, bias) of a convolution in PyTorch's layout, taken out of a dict; None fits any number."""
    bias = _take(path, arrays, f"{name}.bias", shape[:1])
    return _take(path, arrays, f"{name}.weight", (len(bias), *shape[1:])), bias


def _take(path, arrays, name, shape):
    """Takes an array out of a dict; UserError where it is missing, misshapen, or not of finite numbers."""
    array = arrays.pop(name, None)
    if array is None:
        raise UserError(f"weights {path}: array {name!r} is missing")
    if array.ndim != len(shape) or any(n not in (None, m) for n, m in zip(shape, array.shape, strict=True)):
        expected = str(shape).replace("None", "any")
        raise UserError(f"weights {path}: array {name!r} has shape {array.shape}, expected {expected}")
    return layouts.finite(f"weights {path}", name, array, array.shape)


def _check_empty(path, arrays, what):
    if arrays:
        raise UserError(f"weights {path}: array {next(iter(arrays))!r} is not part of {what}")
