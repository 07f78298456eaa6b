"""Weight sets in files: Keras, torchvision and our own safetensors, checked array by array."""

import dataclasses
import functools
import hashlib
import json
import re
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import h5py
import jax
import jax.numpy as jnp
import numpy as np
import safetensors
import safetensors.numpy
from flax.traverse_util import flatten_dict, unflatten_dict

from nstjax import files
from nstjax.errors import UserError
from nstjax.networks import torch_file, vgg
from nstjax.networks.decoder import LEVELS, Decoder

# What features of a weight set mean to weights of terms: their channels and their scale.
FAMILIES = {
    "original": "the original VGG-19",
    "normalised": "VGG-19 normalised to mean activations of 1",
    "torchvision": "torchvision's VGG-19",
}


@dataclasses.dataclass(frozen=True)
class Weights:
    """A weight set.

    Attributes:
      params: {conv name: {"kernel": [3, 3, i, o], "bias": [o]}} float32.
      preprocessing: the input that the set was trained with.
      label: names the set in outputs, e.g. "vgg19" or "random (seed 0)".
      sha256: of the file, or "" for random weights.
      about: further fields of the file's header: how the set was made, from what, under which licence.
      normalised: whether every filter was scaled to a mean activation of 1 (`nstjax.networks.normalise`).
    """

    params: dict
    preprocessing: vgg.Preprocessing
    label: str
    sha256: str = ""
    about: Mapping[str, str] = dataclasses.field(default_factory=dict)
    normalised: bool = False

    @property
    def family(self) -> str:
        """One of `FAMILIES`, or "" for a network of other widths or of random weights."""
        full = vgg.WIDTHS[: len(vgg.widths(self.params))]
        if vgg.widths(self.params) != full or self.label.startswith("random"):
            return ""
        if self.normalised:
            return "normalised"
        return "original" if self.preprocessing == vgg.CAFFE else "torchvision"

    @functools.cached_property
    def cache_key(self) -> Hashable:
        """Equal for weight sets of equal content, and for no others.

        A set that was normalised for another pooling or padding has other params, so another key.
        """
        digest = hashlib.sha256()
        for name, array in sorted(flatten_dict(self.params, sep="/").items()):
            array = np.ascontiguousarray(array)
            digest.update(f"{name} {array.shape} {array.dtype}".encode())
            digest.update(array)
        return self.label, self.preprocessing, digest.hexdigest()


@dataclasses.dataclass(frozen=True)
class Decoders:
    """The decoders of a weight set.

    Attributes:
      params: {"decoder1": {conv name: {"kernel", "bias"}}, ...} for some of the levels 1 to 5, float32.
      widths: channels of the blocks of the encoder.
      label: of the weight set.
      sha256: of the file.
      about: as of `Weights`.
    """

    params: dict
    widths: tuple[int, ...]
    label: str
    sha256: str = ""
    about: Mapping[str, str] = dataclasses.field(default_factory=dict)


def save(path: str | Path, weights: Weights, *, dtype: Any = np.float32) -> None:
    """Writes a weight set as safetensors with its preprocessing in the header, atomically.

    Args:
      path: of the file.
      weights: the set.
      dtype: of the arrays in the file, a NumPy dtype or its name: "float16" halves the file.

    Raises:
      UserError: for a value that is not finite in that dtype, or a file that cannot be written.
    """
    header = {"preprocessing": dataclasses.asdict(weights.preprocessing)}
    _save(path, weights, header, dtype)


def save_decoders(path: str | Path, decoders: Decoders, *, dtype: Any = np.float32) -> None:
    """Writes decoders as safetensors, atomically.

    Args:
      path: of the file.
      decoders: those of one weight set.
      dtype: as of `save`.

    Raises:
      UserError: as `save`.
    """
    levels = [level for level in LEVELS if f"decoder{level}" in decoders.params]
    _save(path, decoders, {"widths": decoders.widths, "levels": levels}, dtype)


def _save(path, weights, header, dtype):
    header |= {"label": weights.label, "about": dict(weights.about)}
    flat = {}
    for name, array in flatten_dict(weights.params, sep="/").items():
        with np.errstate(over="ignore"):
            flat[name] = np.asarray(array, dtype)
        if not np.isfinite(flat[name]).all():
            raise UserError(
                f"cannot save {path}: array {name!r} has values that are not finite as {np.dtype(dtype).name}"
            )
    data = safetensors.numpy.save(flat, metadata={"nstjax": json.dumps(header)})
    files.write_atomic(path, data)


_TORCHVISION_INDEX = dict(
    zip(
        vgg.CONVS,
        (0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34),
        strict=True,
    )
)


def read(path: Path, label: str, *, complete: bool) -> Weights:
    """Reads a weight set from a file of any of the layouts.

    Args:
      path: its suffix, one of `READERS`, tells the layout.
      label: the set's label; a safetensors file's own label follows in brackets.
      complete: whether the file must reach conv5_4.

    Raises:
      UserError: for another suffix, a broken file, and an array that is missing, extra or misshapen.
    """
    if path.suffix not in READERS:
        suffixes = ", ".join(READERS)
        raise UserError(f"weights {path}: the file name must end in one of {suffixes}")
    digest = files.file_hash(path, "sha256")
    if path.suffix == ".safetensors":
        arrays, header = parse_safetensors(path, path.read_bytes())
        loaded = weights_of(path, arrays, header, digest)
        return dataclasses.replace(loaded, label=f"{label} ({loaded.label})")
    arrays, preprocessing = READERS[path.suffix](path)
    return Weights(_check(path, arrays, complete), preprocessing, label, digest)


def weights_of(name: str | Path, arrays: Mapping, header: dict, digest: str) -> Weights:
    """The weight set in the arrays and the header of a file that `save` wrote.

    Args:
      name: of the file, for errors.
      arrays: {"conv1_1/kernel": array, ...}.
      header: as `parse_safetensors` returns it.
      digest: SHA-256 of the file.

    Raises:
      UserError: for a header without preprocessing, and an array that is missing, extra or misshapen.
    """
    if "preprocessing" not in header:
        raise UserError(f"weights {name}: has no nstjax header that states its preprocessing")
    fields = header["preprocessing"]
    mean, std = tuple(fields.pop("mean")), tuple(fields.pop("std"))
    preprocessing = vgg.Preprocessing(**fields, mean=mean, std=std)
    params = _check(name, arrays, complete=False)
    return Weights(params, preprocessing, header["label"], digest, header.get("about", {}))


def _check(path, arrays, complete):
    """Nested params of {"conv1_1/kernel": array}: nothing missing, extra or misshapen, or UserError."""
    expected = [f"{conv}/{part}" for conv in vgg.CONVS for part in ("kernel", "bias")]
    if extra := [name for name in arrays if name not in expected]:
        raise UserError(f"weights {path}: array {extra[0]!r} is not part of VGG-19")
    if not arrays:
        raise UserError(f"weights {path}: holds no convolutions of VGG-19")
    last = len(expected) if complete else max(map(expected.index, arrays)) // 2 * 2 + 2
    if missing := [name for name in expected[:last] if name not in arrays]:
        raise UserError(f"weights {path}: array {missing[0]!r} is missing")
    params, channels = {}, 3
    for name in expected[:last]:
        conv, part = name.split("/")
        array = arrays[name]
        width = arrays[f"{conv}/kernel"].shape[-1] if arrays[f"{conv}/kernel"].ndim == 4 else 0
        shape = (3, 3, channels, width) if part == "kernel" else (width,)
        if array.shape != shape:
            raise UserError(f"weights {path}: array {name!r} has shape {array.shape}, expected {shape}")
        if not np.isfinite(array).all():
            raise UserError(f"weights {path}: array {name!r} has values that are not finite")
        params.setdefault(conv, {})[part] = np.asarray(array, np.float32)
        if part == "bias":
            channels = width
    return params


def decoders_of(name: str | Path, arrays: Mapping, widths: tuple[int, ...], levels: tuple[int, ...]) -> dict:
    """The params of decoders, nested, from the arrays of a file that `save_decoders` wrote.

    Args:
      name: of the file, for errors.
      arrays: {"decoder1/conv1_1/kernel": array, ...}.
      widths: channels of the blocks of the encoder.
      levels: of the decoders; the file must hold these and no others.

    Raises:
      UserError: for an array that is missing, extra or misshapen.
    """
    arrays, params = dict(arrays), {}
    for level in levels:
        features = jnp.zeros((2, 2, widths[level - 1]))
        shapes = jax.eval_shape(Decoder(level, widths).init, jax.random.key(0), features)["params"]
        for (conv, part), like in flatten_dict(shapes).items():
            array = arrays.pop(f"decoder{level}/{conv}/{part}", None)
            if array is None or array.shape != like.shape:
                found = "is missing" if array is None else f"has shape {array.shape}"
                raise UserError(
                    f"decoders {name}: array 'decoder{level}/{conv}/{part}' {found}, "
                    f"expected shape {like.shape}"
                )
            params[f"decoder{level}", conv, part] = np.asarray(array, np.float32)
    if arrays:
        raise UserError(f"decoders {name}: array {next(iter(arrays))!r} is not part of a decoder")
    return unflatten_dict(params)


def _read_keras(path):
    arrays = {}
    try:
        with h5py.File(path) as file:
            root = file.get("model_weights", file)
            for layer, group in root.items():
                match = re.fullmatch(r"block(\d)_conv(\d)", layer)
                for name in _datasets(group):
                    part = "bias" if re.search(r"_b(_\d+)?:0$|bias:0$", name) else "kernel"
                    conv = f"conv{match[1]}_{match[2]}" if match else layer
                    arrays[f"{conv}/{part}"] = group[name][()]
    except OSError as error:
        raise UserError(f"weights {path}: not a readable HDF5 file ({error})") from None
    return arrays, vgg.CAFFE


def _datasets(group):
    names = []
    group.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
    return names


def _read_torchvision(path):
    state = torch_file.read_state_dict(path)
    arrays = {}
    for conv, index in _TORCHVISION_INDEX.items():
        for part, torch_part in (("kernel", "weight"), ("bias", "bias")):
            array = state.pop(f"features.{index}.{torch_part}", None)
            if array is not None:
                arrays[f"{conv}/{part}"] = array.transpose(2, 3, 1, 0) if array.ndim == 4 else array
    extra = {name: array for name, array in state.items() if not name.startswith("classifier.")}
    return arrays | extra, vgg.TORCHVISION


def parse_safetensors(name: str | Path, data: bytes) -> tuple[dict, dict]:
    """({name: array}, header) of the bytes of a safetensors file; the header is {} unless `save` wrote it."""
    try:
        arrays = safetensors.numpy.load(data)
        length = int.from_bytes(data[:8], "little")
        metadata = json.loads(data[8 : 8 + length]).get("__metadata__", {})
        return arrays, json.loads(metadata.get("nstjax", "{}"))
    except (safetensors.SafetensorError, OSError, ValueError) as error:
        raise UserError(f"weights {name}: not a readable safetensors file ({error})") from None


READERS = {".h5": _read_keras, ".pth": _read_torchvision, ".safetensors": None}
