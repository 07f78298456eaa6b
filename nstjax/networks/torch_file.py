"""Read the tensors of a PyTorch checkpoint, without torch and without running what is pickled.

A checkpoint is a pickle whose tensors name storages, raw blocks of numbers kept beside it. Since
torch 1.6 both lie in a zip archive (`data.pkl`, `data/<key>`); before, in one stream of pickles
(magic number, protocol, system, object, storage keys) with the storages at its end. Of a pickle,
only dictionaries and inert descriptions of tensors are ever built here.
"""

import io
import math
import os
import pickle
import pickletools
import zipfile
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from nstjax.errors import UserError

_LEGACY = [0x1950A86A20F9469CFC6C, 1001]  # Magic number and protocol.
_WRAPPERS = ("state_dict", "model_state_dict", "model_state", "model", "net", "network", "params")
_NESTED = 3
_DTYPES = {
    "DoubleStorage": "f8",
    "FloatStorage": "f4",
    "HalfStorage": "f2",
    "BFloat16Storage": "u2",
    "LongStorage": "i8",
    "IntStorage": "i4",
    "ShortStorage": "i2",
    "CharStorage": "i1",
    "ByteStorage": "u1",
    "BoolStorage": "?",
}


def read_state_dict(path: str | Path) -> dict[str, np.ndarray]:
    """The arrays of a PyTorch checkpoint, in either file format.

    Args:
        path: a `.pth` or `.pt` file that holds a dict of tensors, or such a dict under `"state_dict"`,
            `"model"` or another of the usual names, beside the state of a training.

    Returns:
        A dict of name to read-only array, in the file's order. A tensor that was saved as a view
        keeps its strides; bfloat16 becomes float32, which holds it exactly.

    Raises:
        UserError: the file is missing, truncated or no checkpoint, holds something other than
            tensors, or asks for code to be loaded.
    """
    try:
        with open(path, "rb") as file:
            return parse_state_dict(path, file)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from error


def parse_state_dict(name, file: BinaryIO):
    """`read_state_dict` of an open file, which can seek; `name` is for the message."""
    try:
        read = _read_zip if file.read(4) == b"PK\x03\x04" else _read_legacy
        file.seek(0)
        tree, storages = read(file)
        return {name: _array(name, leaf, storages) for name, leaf in _entries(tree)}
    except OSError:
        raise
    except _Unfit as error:
        raise UserError(f"{name}: {error}") from error
    except Exception as error:  # Damaged pickles and archives raise nearly anything.
        reason = f"{type(error).__name__}: {error}"
        raise UserError(f"{name}: truncated, damaged or no PyTorch file ({reason})") from error


class _Unfit(Exception):
    """A defect of the file; the message has no path."""


class _Storage(NamedTuple):
    """A stretch of a storage, counted in elements."""

    key: str
    start: int
    length: int


# Every class that a pickle can reach must define __setstate__: without one, BUILD would write
# whatever attributes the pickle likes, on instances and on the class itself.


class _Dict(dict):
    """Stands in for OrderedDict."""

    __slots__ = ()

    def __setstate__(self, state):
        """Drops the attributes, such as a state dict's `_metadata`."""


class _Tensor:
    """Stands in for tensors and for the functions that rebuild them."""

    view = ()

    def __init__(self, *view):
        self.view = view[:4]

    def __setstate__(self, view):
        self.view = view


class _Parameter:
    """Stands in for parameters and for the function that rebuilds them."""

    data = None

    def __init__(self, data=None, *_):
        self.data = data

    def __setstate__(self, state):
        if len(state) == 5:  # torch 0.1: data, creator, hooks, requires_grad, volatile
            self.data = state[0]


_GLOBALS = {
    ("collections", "OrderedDict"): _Dict,
    ("torch._utils", "_rebuild_tensor"): _Tensor,
    ("torch._utils", "_rebuild_tensor_v2"): _Tensor,
    ("torch._utils", "_rebuild_parameter"): _Parameter,
    ("torch.nn.parameter", "Parameter"): _Parameter,
    **{("torch", kind): kind for kind in _DTYPES},
    **{("torch", kind.replace("Storage", "Tensor")): _Tensor for kind in _DTYPES},
}


class _Unpickler(pickle.Unpickler):
    def __init__(self, file):
        start = file.tell()
        for opcode, number, _ in pickletools.genops(file):
            if opcode.name in ("PUT", "LONG_BINPUT") and number > 1 << 20:
                raise _Unfit(f"memo entry {number}, which would fill the memory")
        file.seek(start)
        super().__init__(file, encoding="utf-8")
        self.storages = {}

    def find_class(self, module, name):
        if (module, name) not in _GLOBALS:
            raise _Unfit(f"refuses to load {module}.{name}: only tensors are read; save model.state_dict()")
        return _GLOBALS[module, name]

    def persistent_load(self, pid):
        tag, kind, key, _, numel, *view = pid
        if tag != "storage" or kind not in _DTYPES or type(key) is not str:
            raise _Unfit("a persistent id names something other than a storage")
        _, start, length = (view and view[0]) or (key, 0, numel)
        _check_counts("storage", numel, start, length)
        if start + length > numel:
            raise _Unfit(f"storage {key!r}: view {start}+{length} is outside its {numel} elements")
        if self.storages.setdefault(key, (kind, numel)) != (kind, numel):
            raise _Unfit(f"storage {key!r} is described in two ways")
        return _Storage(key, start, length)


def _read_zip(file):
    """The object and its storages from the zip format."""
    with zipfile.ZipFile(file) as archive:
        names = [n for n in archive.namelist() if n == "data.pkl" or n.endswith("/data.pkl")]
        if len(names) != 1:
            raise _Unfit("a zip archive, but no PyTorch file: expected one data.pkl inside")
        root = names[0].removesuffix("data.pkl")
        unpickler = _Unpickler(io.BytesIO(_member(archive, names[0])))
        tree = unpickler.load()

        order = "<"
        if root + "byteorder" in archive.namelist():
            order = {b"little": "<", b"big": ">"}[_member(archive, root + "byteorder")]
        return tree, {
            key: _decode(_member(archive, f"{root}data/{key}"), key, kind, numel, order)
            for key, (kind, numel) in unpickler.storages.items()
        }


def _member(archive, name):
    info = archive.getinfo(name)
    if info.compress_type != zipfile.ZIP_STORED:
        raise _Unfit(f"{name} is compressed, which PyTorch never does")
    return archive.read(info)


def _length(file):
    here = file.tell()
    end = file.seek(0, os.SEEK_END)
    file.seek(here)
    return end


def _read_legacy(file):
    """The object and its storages from the format before torch 1.6."""
    header = [_Unpickler(file).load() for _ in _LEGACY]
    if header != _LEGACY:
        raise _Unfit("no PyTorch file: the magic number or the protocol is another")
    _Unpickler(file).load()  # The writer's system: storages are little-endian on every one.
    unpickler = _Unpickler(file)
    tree = unpickler.load()
    storages = {}
    for key in _Unpickler(file).load():
        kind, numel = unpickler.storages[key]
        size = 8 + numel * np.dtype(_DTYPES[kind]).itemsize
        left = _length(file) - file.tell()
        if size > left:
            raise _Unfit(f"truncated: storage {key!r} needs {size} bytes, {left} are left")
        if int.from_bytes(file.read(8), "little") != numel:
            raise _Unfit(f"storage {key!r} has another length than its tensors say")
        storages[key] = _decode(file.read(size - 8), key, kind, numel, order="<")
    return tree, storages


def _decode(raw, key, kind, numel, order):
    dtype = np.dtype(_DTYPES[kind]).newbyteorder(order)
    if len(raw) != numel * dtype.itemsize:
        raise _Unfit(f"storage {key!r} has {len(raw)} bytes, expected {numel * dtype.itemsize}")
    data = np.frombuffer(raw, dtype).astype(dtype.newbyteorder("="), copy=False)
    if kind == "BFloat16Storage":
        data = (data.astype(np.uint32) << 16).view(np.float32)
    data.flags.writeable = False
    return data


def _entries(tree):
    for _ in range(_NESTED):
        if isinstance(tree, dict):
            tree = next((tree[name] for name in _WRAPPERS if isinstance(tree.get(name), dict)), tree)
    if not isinstance(tree, dict):
        raise _Unfit(f"expected a dict of tensors, found {_called(tree)}")
    return tree.items()


def _called(thing):
    return type(thing).__name__.removeprefix("_").lower()


def _array(name, leaf, storages):
    """The array that a tensor's description stands for, never outside its storage."""
    if isinstance(leaf, _Parameter):
        leaf = leaf.data
    if type(name) is not str or not isinstance(leaf, _Tensor):
        raise _Unfit(f"entry {name!r}: expected a tensor, found {_called(leaf)}")
    storage, offset, shape, strides = leaf.view
    _check_counts(name, offset, *shape, *strides)
    data = storages[storage.key][storage.start :][: storage.length]
    if not math.prod(shape):
        return np.ndarray(shape, data.dtype, data)
    last = offset + sum((n - 1) * s for n, s in zip(shape, strides, strict=True))
    if last >= data.size:
        raise _Unfit(
            f"entry {name!r}: shape {tuple(shape)} with strides {tuple(strides)} from {offset} on "
            f"is outside its {data.size} elements"
        )
    size = data.itemsize
    return np.ndarray(shape, data.dtype, data, offset * size, [s * size for s in strides])


def _check_counts(name, *counts):
    if any(type(n) is not int or n < 0 for n in counts):
        raise _Unfit(f"{name!r}: expected sizes that are not negative, found {counts}")
