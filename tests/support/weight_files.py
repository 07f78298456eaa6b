"""Weight files as programs write them, of a small VGG-19."""

import collections
import json
import struct

import h5py
import jax
import numpy as np
import pytest
from checkpoints import tensor

from nstjax import networks
from nstjax.errors import UserError
from nstjax.networks import vgg

TINY = vgg.random_params(0, vgg.TINY_WIDTHS)
INDEX = (0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34)
BLOCKS = [f"block{conv[4]}_conv{conv[6]}" for conv in vgg.CONVS]


def same(ours, theirs):
    return jax.tree.all(jax.tree.map(np.array_equal, ours, theirs))


def line(path):
    """The message of the error, which is one line that names the file."""
    with pytest.raises(UserError) as caught:
        networks.load(str(path))
    assert path.name in str(caught.value) and len(str(caught.value)) < 400
    return str(caught.value)


def write_h5(path, arrays):
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file[name] = array
    return path


def keras(name, params=TINY, layers=BLOCKS):
    """{path: array} with `name` of a path, of which {layer} and {part} are filled in."""
    return {
        name.format(layer=layer, part=part, number=("kernel", "bias").index(part)): parts[part]
        for layer, parts in zip(layers, params.values(), strict=True)
        for part in ("kernel", "bias")
    }


def state_of(params, names):
    state = {}
    for name, parts in zip(names, params.values(), strict=True):
        state[f"{name}.weight"] = np.ascontiguousarray(parts["kernel"].transpose(3, 2, 0, 1))
        state[f"{name}.bias"] = parts["bias"]
    return state


def flat(array):
    strides = tuple(s // array.itemsize for s in array.strides)
    return array.ravel(), array.shape, strides


def tree_of(torch, state):
    tree = collections.OrderedDict()
    for key, (name, array) in enumerate(state.items()):
        kind = {"f": "FloatStorage", "i": "LongStorage"}[array.dtype.kind]
        data, shape, strides = flat(np.ascontiguousarray(array).reshape(array.shape))
        tree[name] = tensor(torch, data, shape, strides, kind=kind, key=str(key))
    return tree


def write_safetensors(path, header, arrays=None):
    """A safetensors file by hand; the header is a dict, or the bytes in its place."""
    given = {f"{conv}/{part}": parts[part] for conv, parts in TINY.items() for part in parts}
    described, data = {}, b""
    for name, array in (given if arrays is None else arrays).items():
        end = len(data) + array.nbytes
        described[name] = {"dtype": "F32", "shape": array.shape, "data_offsets": [len(data), end]}
        data += array.tobytes()
    if isinstance(header, dict):
        described["__metadata__"] = header
        header = json.dumps(described).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + data)
    return path


GOOD = {"order": "rgb", "scale": 1.0, "mean": [0.5, 0.5, 0.5], "std": [1.0, 1.0, 1.0]}


def header(**fields):
    kept = {"preprocessing": GOOD, "label": "mine", "about": {}} | fields
    return {"nstjax": json.dumps({key: value for key, value in kept.items() if value != "gone"})}
