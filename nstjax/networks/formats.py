"""Weight sets in files: Keras, torchvision and our own safetensors, checked array by array."""

import dataclasses
import json
import re
from collections.abc import Mapping

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


@dataclasses.dataclass(frozen=True)
class Weights:
    """A weight set.

    Attributes:
      params: {conv name: {"kernel": [3, 3, i, o], "bias": [o]}} float32.
      preprocessing: what the set expects of its input.
      label: what outputs are labelled with, e.g. "vgg19" or "random (seed 0)".
      sha256: of the file, or "" for random weights.
      about: more that the file says of itself: how it was made, from what, under which licence.
    """

    params: dict
    preprocessing: vgg.Preprocessing
    label: str
    sha256: str = ""
    about: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Decoders:
    """The decoders of a weight set.

    Attributes:
      params: {"decoder1": {conv name: {"kernel", "bias"}}, ...} for some of `nets.LEVELS`, float32.
      widths: channels of the blocks of the encoder.
      label: as of the weight set.
      sha256: of the file.
      about: as of `Weights`.
    """

    params: dict
    widths: tuple[int, ...]
    label: str
    sha256: str = ""
    about: Mapping[str, str] = dataclasses.field(default_factory=dict)


def save(path, weights, *, dtype=np.float32):
    """Writes a weight set as safetensors with its preprocessing in the header, atomically."""
    header = {"preprocessing": dataclasses.asdict(weights.preprocessing)}
    _save(path, weights, header, dtype)


def save_decoders(path, decoders, *, dtype=np.float32):
    """Writes decoders as safetensors, atomically."""
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


def read(path, label, *, complete):
    """`Weights` of a file, labelled; `complete` where it must reach conv5_4."""
    if path.suffix not in READERS:
        kinds = ", ".join(READERS)
        raise UserError(f"weights {path}: the file name must end in one of {kinds}")
    digest = files.file_hash(path, "sha256")
    if path.suffix == ".safetensors":
        arrays, header = parse_safetensors(path, path.read_bytes())
        loaded = weights_of(path, arrays, header, digest)
        return dataclasses.replace(loaded, label=f"{label} ({loaded.label})")
    arrays, preprocessing = READERS[path.suffix](path)
    return Weights(_check(path, arrays, complete), preprocessing, label, digest)


def weights_of(name, arrays, header, digest):
    """`Weights` of what a file written by `save` holds."""
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


def decoders_of(name, arrays, widths, levels):
    """Nested params of {"decoder1/conv1_1/kernel": array}, of which none is missing, extra or misshapen."""
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


def parse_safetensors(name, data):
    """({name: array}, header) of the bytes of a safetensors file; {} where we did not write it."""
    try:
        arrays = safetensors.numpy.load(data)
        length = int.from_bytes(data[:8], "little")
        metadata = json.loads(data[8 : 8 + length]).get("__metadata__", {})
        return arrays, json.loads(metadata.get("nstjax", "{}"))
    except (safetensors.SafetensorError, OSError, ValueError) as error:
        raise UserError(f"weights {name}: not a readable safetensors file ({error})") from None


READERS = {".h5": _read_keras, ".pth": _read_torchvision, ".safetensors": None}
