"""Weight sets and decoders, and their files: Keras, PyTorch and our own safetensors."""

import dataclasses
import functools
import hashlib
import json
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import safetensors.numpy
from flax.traverse_util import flatten_dict, unflatten_dict

from nstjax import files
from nstjax.errors import UserError
from nstjax.networks import headers, keras_file, known, layouts, torch_file, vgg
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
      notes: lines on how the file was read, for people.
    """

    params: dict
    preprocessing: vgg.Preprocessing
    label: str
    sha256: str = ""
    about: Mapping[str, str] = dataclasses.field(default_factory=dict)
    normalised: bool = False
    notes: tuple[str, ...] = ()

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


def read(path: Path, label: str, *, complete: bool, preprocessing: str = "", known_as: str = "") -> Weights:
    """Reads a weight set from a file of any of the layouts.

    Args:
      path: its suffix, one of `SUFFIXES`, tells the format.
      label: the set's label; a safetensors file's own label follows in brackets.
      complete: whether the file must reach conv5_4.
      preprocessing: "caffe" or "torchvision"; "" for that of the file's header, of published weights where
        the file holds such (`nstjax.networks.known`), and else what files of its layout usually need.
      known_as: the preprocessing, where it is known without looking.

    Returns:
      `Weights`; a note says where the preprocessing was guessed, or differs from what is known.

    Raises:
      UserError: for another suffix, a broken file, and an array that is missing, extra or misshapen.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise UserError(f"weights {path}: the file name must end in one of {', '.join(SUFFIXES)}")
    with files.reading(path):
        digest = files.file_hash(path, "sha256")
    if suffix == ".safetensors":
        with files.reading(path):
            arrays, header = headers.parse_safetensors(path, path.read_bytes())
        if header or not any(name.endswith(".weight") for name in arrays):
            loaded = weights_of(path, arrays, header, digest, preprocessing)
            return dataclasses.replace(loaded, label=f"{label} ({loaded.label})")
        layout = layouts.of_torch(arrays)
    else:
        layout = SUFFIXES[suffix](path)
    params = layouts.check(path, layout.arrays, complete=complete)
    certain = known_as or known.preprocessing_of(digest, params)
    chosen = preprocessing or certain or layout.preprocessing
    notes = ()
    if not preprocessing and not certain:
        notes = (_guessed(path.name, layout),)
    elif chosen != (certain or chosen):
        notes = (_against(path.name, chosen, certain),)
    return Weights(params, vgg.PREPROCESSINGS[chosen], label, digest, notes=notes)


def _guessed(name, layout):
    usual = layout.preprocessing
    other = next(name for name in vgg.PREPROCESSINGS if name != usual)
    return (
        f"weights {name}: no published file that is known; read with the preprocessing {usual}, which files "
        f"of this layout ({layout.kind}) usually need; preprocessing={other} reads them otherwise, and "
        f"preprocessing={usual} ends this note"
    )


def _against(name, chosen, stated):
    return f"weights {name}: were trained with the preprocessing {stated}, and are read with {chosen}"


def weights_of(
    name: str | Path, arrays: Mapping, header: Mapping, digest: str, preprocessing: str = ""
) -> Weights:
    """The weight set in the arrays and the header of a file that `save` wrote.

    Args:
      name: of the file, for errors.
      arrays: {"conv1_1/kernel": array, ...}.
      header: as `nstjax.networks.headers.parse_safetensors` returns it.
      digest: SHA-256 of the file.
      preprocessing: in the place of the header's: "caffe", "torchvision", or "".

    Raises:
      UserError: for a header without preprocessing, and an array that is missing, extra or misshapen.
    """
    stated = headers.preprocessing_of(name, header)
    params = layouts.check(name, arrays, complete=False)
    loaded = Weights(params, stated, header["label"], digest, header["about"])
    return prepared(loaded, preprocessing)


def prepared(weights: Weights, preprocessing: str) -> Weights:
    """A weight set whose preprocessing is known, with another one, which a note then says.

    Args:
      weights: the set.
      preprocessing: "caffe", "torchvision", or "" for its own.
    """
    if not preprocessing or (other := vgg.PREPROCESSINGS[preprocessing]) == weights.preprocessing:
        return weights
    stated = next((k for k, v in vgg.PREPROCESSINGS.items() if v == weights.preprocessing), "of its header")
    note = _against(weights.label, preprocessing, stated)
    return dataclasses.replace(weights, preprocessing=other, notes=(*weights.notes, note))


def decoders_of(name: str | Path, arrays: Mapping, widths: tuple[int, ...], levels: tuple[int, ...]) -> dict:
    """The params of decoders, nested, from the arrays of a file that `save_decoders` wrote.

    Args:
      name: of the file, for errors.
      arrays: {"decoder1/conv1_1/kernel": array, ...}.
      widths: channels of the blocks of the encoder.
      levels: of the decoders; the file must hold these and no others.

    Raises:
      UserError: for an array that is missing, extra, misshapen or not finite.
    """
    arrays, params = dict(arrays), {}
    for level in levels:
        features = jnp.zeros((2, 2, widths[level - 1]))
        shapes = jax.eval_shape(Decoder(level, widths).init, jax.random.key(0), features)["params"]
        for (conv, part), like in flatten_dict(shapes).items():
            key = f"decoder{level}/{conv}/{part}"
            array = arrays.pop(key, None)
            if array is None:
                raise UserError(f"decoders {name}: array {key!r} is missing, expected shape {like.shape}")
            params[f"decoder{level}", conv, part] = layouts.finite(f"decoders {name}", key, array, like.shape)
    if arrays:
        raise UserError(f"decoders {name}: array {next(iter(arrays))!r} is not part of a decoder")
    return unflatten_dict(params)


def _read_torch(path):
    return layouts.of_torch(torch_file.read_state_dict(path))


# Suffixes of files, and what reads them; `.tar` is the end of `.pth.tar`.
SUFFIXES = {
    ".h5": keras_file.read,
    ".hdf5": keras_file.read,
    ".pth": _read_torch,
    ".pt": _read_torch,
    ".tar": _read_torch,
    ".safetensors": None,
}
