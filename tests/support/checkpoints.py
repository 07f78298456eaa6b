"""Checkpoints written by hand, with and without a torch."""

import collections
import io
import pickle
import struct
import sys
import types
import zipfile

import numpy as np
import pytest

from nstjax.errors import UserError
from nstjax.networks import torch_file
from nstjax.networks.torch_file import read_state_dict

LEGACY_HEADER = (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True})


class Storage:
    """Raw numbers under a key, pickled as a persistent id."""

    def __init__(self, kind, key, data, view=None):
        self.kind, self.key, self.data, self.view = kind, key, data, view


class Call:
    """Pickles as `func(*args)`, then `state` given to what that returns."""

    def __init__(self, func, *args, state=None):
        self.reduced = (func, args) if state is None else (func, args, state)

    def __reduce__(self):
        return self.reduced


class Pickler(pickle.Pickler):
    def __init__(self, file, view_slot):
        super().__init__(file, protocol=2)
        self.storages, self.view_slot = {}, view_slot

    def persistent_id(self, thing):
        if not isinstance(thing, Storage):
            return None
        self.storages[thing.key] = thing.data
        pid = ("storage", getattr(sys.modules["torch"], thing.kind), thing.key, "cpu")
        return (*pid, thing.data.size, *([thing.view] if self.view_slot else []))


@pytest.fixture
def torch(monkeypatch):
    """Just enough of a torch to be named in a pickle, whether or not the real one is there."""

    def module(name):
        made = types.ModuleType(name)
        monkeypatch.setitem(sys.modules, name, made)
        return made

    def add(where, made):
        made.__module__, made.__qualname__ = where.__name__, made.__name__
        setattr(where, made.__name__, made)

    torch, utils = module("torch"), module("torch._utils")
    module("torch.nn")
    parameter = module("torch.nn.parameter")
    for kind in torch_file._DTYPES:
        add(torch, type(kind, (), {}))
    # Before 0.2, tensors and parameters were pickled as objects with a state.
    stateful = {"__init__": lambda self, *s: setattr(self, "s", s), "__getstate__": lambda x: x.s}
    add(torch, type("FloatTensor", (), dict(stateful)))
    add(parameter, type("Parameter", (), dict(stateful)))
    for name in ("_rebuild_tensor", "_rebuild_tensor_v2", "_rebuild_parameter"):
        function = types.FunctionType((lambda *args: args).__code__, {}, name)
        add(utils, function)
    torch.utils, torch.Parameter = utils, parameter.Parameter
    return torch


def write_zip(path, tree, order="little", compression=zipfile.ZIP_STORED):
    file = io.BytesIO()
    pickler = Pickler(file, view_slot=False)
    pickler.dump(tree)
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("vgg/data.pkl", file.getvalue())
        archive.writestr("vgg/version", "3\n")
        if order is not None:
            archive.writestr("vgg/byteorder", order)
        for key, data in pickler.storages.items():
            swapped = data.byteswap() if order == "big" else data
            archive.writestr(f"vgg/data/{key}", swapped.tobytes())


def write_legacy(path, tree, header=LEGACY_HEADER):
    with open(path, "wb") as file:
        for part in header:
            pickle.dump(part, file, protocol=2)
        pickler = Pickler(file, view_slot=True)
        pickler.dump(tree)
        pickle.dump(list(pickler.storages), file, protocol=2)
        for data in pickler.storages.values():
            file.write(struct.pack("<q", data.size) + data.tobytes())


WRITERS = pytest.mark.parametrize("write", [write_zip, write_legacy])


def tensor(torch, data, shape, strides, offset=0, kind="FloatStorage", key="0", view=None):
    storage = Storage(kind, key, data, view)
    hooks = collections.OrderedDict()
    return Call(torch.utils._rebuild_tensor_v2, storage, offset, shape, strides, False, hooks)


def refusal(path):
    """The message of the error, after checking that it is one line that names the file."""
    with pytest.raises(UserError) as caught:
        read_state_dict(path)
    message = str(caught.value)
    assert str(path) in message and "\n" not in message
    return message


def assert_same(found, expected):
    assert list(found) == list(expected)
    for name, array in expected.items():
        assert found[name].dtype == array.dtype and found[name].shape == array.shape, name
        np.testing.assert_array_equal(found[name], array)
        assert not found[name].flags.writeable
