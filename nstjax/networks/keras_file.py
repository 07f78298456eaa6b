"""VGG-19 in the HDF5 files of Keras: weights alone or whole models, of Keras 1 to 3."""

import re
from pathlib import Path

import h5py
import numpy as np

from nstjax.errors import UserError
from nstjax.networks import known, vgg
from nstjax.networks.layouts import Layout

_BLOCK = re.compile(r"block(\d+)_conv(\d+)")
_NUMBERED = re.compile(r"conv(?:olution)?2d(?:_(\d+))?")
_BIAS = re.compile(r"1|(?:.*_)?(?:b|bias)(?:_\d+)?(?::0)?")
_LARGEST = 1 << 24  # Numbers of a kernel.


def read(path: Path) -> Layout:
    """The convolutions in a file; fully connected layers, and the state of an optimiser, are left out.

    Layers are named `block1_conv1` ..., or numbered `conv2d`, `conv2d_1` ... in their order. Kernels in
    Theano's order [o, i, 3, 3] are transposed, and turned by 180 degrees where they need it.

    Raises:
      UserError: for a file that cannot be read, or has links or other things in the place of arrays.
    """
    try:
        with h5py.File(path) as file:
            layers = _layers(_datasets(file, "", set()))
            return Layout(_in_order(_by_our_names(layers)), "caffe", "Keras")
    except _Unfit as error:
        raise UserError(f"weights {path}: {error}") from None
    except Exception as error:  # Damaged files raise nearly anything.
        raise UserError(f"weights {path}: not a readable HDF5 file ({error})") from None


class _Unfit(Exception):
    """A defect of the file; the message has no path."""


def _datasets(group, prefix, seen):
    """{path: dataset} of a group and those in it, each group once."""
    found = {}
    for name in group:
        where = f"{prefix}{name}"
        if where in ("optimizer", "optimizer_weights"):
            continue
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            raise _Unfit(f"{where!r} is a link to another place, which is not followed; expected an array")
        item = group[name]
        if isinstance(item, h5py.Dataset):
            found[where] = item
        elif isinstance(item, h5py.Group) and (address := h5py.h5o.get_info(item.id).addr) not in seen:
            seen.add(address)
            found |= _datasets(item, f"{where}/", seen)
    return found


def _layers(datasets):
    """{layer: {name in the layer: dataset}} without fully connected layers."""
    layers = {}
    for path, dataset in datasets.items():
        *groups, name = path.split("/")
        groups = groups[:-1] if groups[-1:] == ["vars"] else groups
        layers.setdefault(groups[-1] if groups else "", {})[name] = dataset
    return {
        layer: arrays
        for layer, arrays in layers.items()
        if _is_conv(layer) or all(array.ndim != 2 for array in arrays.values())
    }


def _is_conv(layer):
    return _BLOCK.fullmatch(layer) or _NUMBERED.fullmatch(layer)


def _by_our_names(layers):
    """{"conv1_1/kernel": array}; arrays of other layers are zeros, of which names and shapes count."""
    numbers = {layer: int(m[1] or 0) for layer in layers if (m := _NUMBERED.fullmatch(layer))}
    ours = dict(zip(sorted(numbers, key=numbers.get), vgg.CONVS, strict=False))
    ours |= {layer: f"conv{m[1]}_{m[2]}" for layer in layers if (m := _BLOCK.fullmatch(layer))}
    arrays = {}
    for layer, parts in layers.items():
        for name, dataset in parts.items():
            if layer in ours:
                part = "bias" if _BIAS.fullmatch(name) else "kernel"
                arrays[f"{ours[layer]}/{part}"] = _numbers(dataset)
            else:
                arrays[f"{layer}/{name}"] = np.broadcast_to(np.float32(0), dataset.shape or ())
    return arrays


def _numbers(dataset):
    name = dataset.name.lstrip("/")
    if dataset.dtype.kind != "f":
        raise _Unfit(f"array {name!r} holds {dataset.dtype}, expected floating-point numbers")
    if dataset.external or dataset.is_virtual:
        raise _Unfit(f"array {name!r} lies in another file, which is not read")
    if dataset.shape is None or dataset.size > _LARGEST:
        raise _Unfit(f"array {name!r} has shape {dataset.shape}, expected a kernel or a bias of VGG-19")
    return dataset[()]


def _in_order(arrays):
    """Kernels as [3, 3, i, o]."""
    kernels = {name: array for name, array in arrays.items() if array.ndim == 4}
    if not kernels or any(k.shape[2:] != (3, 3) or k.shape[:2] == (3, 3) for k in kernels.values()):
        return arrays
    kernels = {name: kernel.transpose(2, 3, 1, 0) for name, kernel in kernels.items()}
    first = kernels.get("conv1_1/kernel")
    mirrored = None if first is None else known.is_mirrored(first)
    if mirrored is None:
        raise _Unfit(
            "kernels are in Theano's order [out, in, 3, 3], which may be mirrored; expected TensorFlow's "
            "[3, 3, in, out], as Keras converts them"
        )
    return arrays | {name: k[::-1, ::-1] if mirrored else k for name, k in kernels.items()}
