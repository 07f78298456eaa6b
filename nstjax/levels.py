"""Encoders to relu1_1 ... relu5_1 with the decoders that turn their features back into pictures."""

import dataclasses
import functools
import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from nstjax import io, nets, vgg, weights
from nstjax.errors import UserError, nearest

RGB = vgg.Preprocessing("rgb", 1.0, (0.0, 0.0, 0.0))


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=("encoder", "decoder"),
    meta_fields=("level", "apply", "widths", "rectified"),
)
@dataclasses.dataclass(frozen=True)
class Level:
    """A pytree of the weights of one level; what is not weights is static.

    Attributes:
      level: 1 to 5: the features are those at relu{level}_1.
      apply: that of an `nstjax.vgg.Encoder`.
      widths: channels of the encoder's blocks, the level's at least.
      rectified: whether the decoder ends with a ReLU.
      encoder, decoder: weights.
    """

    level: int
    apply: Callable
    widths: tuple[int, ...]
    rectified: bool
    encoder: Any
    decoder: Any

    @property
    def tap(self):
        """Where the features are taken."""
        return f"relu{self.level}_1"

    @property
    def unit(self):
        """Side in pixels of a position of the features."""
        return 2 ** (self.level - 1)

    def encode(self, image):
        """Features [h, w, c] of an image [H, W, 3] whose sides are multiples of `unit`."""
        return self.apply(self.encoder, image, (self.tap,))[self.tap]

    def decode(self, features):
        """Image [H, W, 3] sRGB, about [0, 1], of features [h, w, c]."""
        image = nets.Decoder(self.level, self.widths).apply({"params": self.decoder}, features)
        return jnp.maximum(image, 0) if self.rectified else image


@dataclasses.dataclass(frozen=True)
class Levels:
    """A set of levels.

    Attributes:
      levels: {number: Level}.
      label: what outputs are labelled with.
      sha256: of the files.
    """

    levels: Mapping[int, Level]
    label: str
    sha256: str


def load(name, numbers=nets.LEVELS):
    """Levels of a set by name or path.

    Args:
      name: a weight set that comes with decoders; or the path of an encoder F.safetensors, with its
        decoders beside it as F_decoders.safetensors; or of a folder of slim models as they were
        published with Wang et al. 2020, wct16x_{1..5}s{e,d}.safetensors, each level on its own.
      numbers: which levels, of 1 to 5.

    Returns:
      `Levels`.

    Raises:
      UserError: for an unknown name, and for files that are missing, broken or hold something else.

    References:
      Wang et al. 2020, https://arxiv.org/abs/2003.08436
    """
    path = Path(name).expanduser()
    if name in weights.SHIPPED_DECODERS:
        return _of_a_weight_set(name, name, numbers)
    if path.is_dir():
        return _published(path, numbers)
    if path.is_file():
        return _of_a_weight_set(name, str(path.with_name(f"{path.stem}_decoders.safetensors")), numbers)
    if name in weights.NAMES:
        valid = ", ".join(weights.SHIPPED_DECODERS)
        raise UserError(f"weights {name!r} have no decoders; expected {valid} or the path of some that do")
    valid = nearest(name, weights.SHIPPED_DECODERS)
    raise UserError(f"weights {name!r}: no such folder, file or weight set with decoders{valid}")


def _of_a_weight_set(name, decoders_name, numbers):
    loaded, decoders = weights.load(name), weights.load_decoders(decoders_name)
    # Decoders are trained with this pooling and this padding.
    encoder = vgg.make_encoder(loaded.params, loaded.preprocessing, pooling="max", padding="reflect")
    for tap in (f"relu{n}_1" for n in numbers):
        if tap not in encoder.taps:
            raise UserError(f"weights {name}: end at {encoder.taps[-1]}, before {tap}")
    widths = tuple(loaded.params[f"conv{block}_1"]["bias"].shape[0] for block in range(1, max(numbers) + 1))
    if decoders.widths[: len(widths)] != widths:
        raise UserError(
            f"decoders {decoders_name}: are for an encoder of widths {decoders.widths}; that of {name} has "
            f"{widths}"
        )
    levels = {
        n: Level(n, encoder.apply, decoders.widths, False, encoder.params, decoders.params[f"decoder{n}"])
        for n in numbers
    }
    return Levels(levels, loaded.label, _digest(loaded.sha256.encode(), decoders.sha256.encode()))


def _published(folder, numbers):
    levels, files = {}, []
    for n in numbers:
        pair = [folder / f"wct16x_{n}s{kind}.safetensors" for kind in "ed"]
        params, _ = read_slim_encoder(pair[0], n)
        encoder = vgg.make_encoder(params, RGB, pooling="max", padding="reflect")
        widths = tuple(params[f"conv{block}_1"]["bias"].shape[0] for block in range(1, n + 1))
        decoder = read_slim_decoder(pair[1], n, widths)
        levels[n] = Level(n, encoder.apply, widths, True, encoder.params, decoder)
        files += [path.read_bytes() for path in pair]
    return Levels(levels, f"wct16x ({folder.name})", _digest(*files))


def _digest(*parts):
    """SHA-256 of some bytes, one after the other."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()


def read_slim_encoder(path, level):
    """A slim encoder of Wang et al. 2020 to relu{level}_1.

    Args:
      path: a safetensors file in PyTorch's layout: convolutions `conv11` ..., a 1 x 1 layer `conv0` before
        them, and 1 x 1 maps `conv11_aux`, `conv21_aux` ... to the features of the full network.
      level: 1 to 5.

    Returns:
      ({conv: {"kernel", "bias"}} with `conv0` taken into conv1_1, {tap: map}), for pictures in [0, 1].

    Raises:
      UserError: for a file that is missing, or an array that is missing, misshapen or none of these.
    """
    arrays, params, maps, channels = _read(path), {}, {}, 3
    before, offset = (_take(path, arrays, f"conv0.{part}", like) for part, like in _layer(3, 3, 1))
    for conv in vgg.CONVS[: vgg.CONVS.index(f"conv{level}_1") + 1]:
        name, first = conv.replace("_", ""), conv.endswith("_1")
        bias = _take(path, arrays, f"{name}.bias", (None if first else channels,))
        weight = _take(path, arrays, f"{name}.weight", (len(bias), channels, 3, 3))
        params[conv], channels = {"kernel": weight.transpose(2, 3, 1, 0), "bias": bias}, len(bias)
        if first:
            layer = _layer(None, channels, 1)
            weight, bias = (_take(path, arrays, f"{name}_aux.{part}", like) for part, like in layer)
            maps[conv.replace("conv", "relu")] = {"kernel": weight[:, :, 0, 0].T, "bias": bias}
    _check_empty(path, arrays)
    first = params["conv1_1"]
    first["bias"] = first["bias"] + np.einsum("hwio,i->o", first["kernel"], offset)
    first["kernel"] = np.einsum("hwio,ij->hwjo", first["kernel"], before[:, :, 0, 0])
    return params, maps


def read_slim_decoder(path, level, widths):
    """{conv: {"kernel", "bias"}} of a slim decoder of Wang et al. 2020, as `nstjax.nets.Decoder` takes it.

    Args:
      path: a safetensors file in PyTorch's layout: convolutions `conv11` ...
      level: 1 to 5.
      widths: channels of the encoder's blocks.

    Raises:
      UserError: for a file that is missing, or an array that is missing, misshapen or extra.
    """
    arrays, params = _read(path), {}
    features = jnp.zeros((2, 2, widths[level - 1]))
    decoder = nets.Decoder(level, widths)
    shapes = jax.eval_shape(decoder.init, jax.random.key(0), features)["params"]
    for conv, like in shapes.items():
        name, (*_, i, o) = conv.replace("_", ""), like["kernel"].shape
        weight, bias = (_take(path, arrays, f"{name}.{part}", like) for part, like in _layer(o, i, 3))
        params[conv] = {"kernel": weight.transpose(2, 3, 1, 0), "bias": bias}
    _check_empty(path, arrays)
    return params


def _layer(o, i, side):
    """(part, shape) of a convolution in PyTorch's layout; None for any number."""
    return ("weight", (o, i, side, side)), ("bias", (o,))


def _read(path):
    with io.reading(path):
        return weights.parse_safetensors(path, Path(path).read_bytes())[0]


def _take(path, arrays, name, shape):
    """Takes an array out of a dict; UserError where it is missing, misshapen or not finite."""
    array = arrays.pop(name, None)
    if array is None:
        raise UserError(f"weights {path}: array {name!r} is missing")
    if array.ndim != len(shape) or any(n not in (None, m) for n, m in zip(shape, array.shape, strict=True)):
        expected = str(shape).replace("None", "any")
        raise UserError(f"weights {path}: array {name!r} has shape {array.shape}, expected {expected}")
    if not np.isfinite(array).all():
        raise UserError(f"weights {path}: array {name!r} has values that are not finite")
    return np.asarray(array, np.float32)


def _check_empty(path, arrays):
    if arrays:
        raise UserError(f"weights {path}: array {next(iter(arrays))!r} is not part of a slim model")
