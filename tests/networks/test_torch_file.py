"""Checkpoints are read as torch reads them."""

import collections
import random
import struct
import zipfile

import numpy as np
import pytest
from checkpoints import (
    LEGACY_HEADER,
    WRITERS,
    Call,
    Storage,
    assert_same,
    refusal,
    tensor,
    write_legacy,
    write_zip,
)

from nstjax.errors import UserError, nearest
from nstjax.networks import torch_file
from nstjax.networks.torch_file import read_state_dict


@WRITERS
def test_reads_every_way_of_pickling_a_tensor(torch, tmp_path, write):
    x = np.arange(24, dtype=np.float32)
    storage = Storage("FloatStorage", "7", x)
    view = (storage, 0, (2, 3, 4), (12, 4, 1))
    hooks = collections.OrderedDict()
    tree = collections.OrderedDict(
        v2=Call(torch.utils._rebuild_tensor_v2, *view, True, hooks),
        v1=Call(torch.utils._rebuild_tensor, *view),
        parameter=Call(torch.utils._rebuild_parameter, Call(torch.utils._rebuild_tensor, *view), True, hooks),
        stateful=torch.FloatTensor(*view),
        variable=torch.Parameter(torch.FloatTensor(*view), None, hooks, True, False),
        called=Call(torch.Parameter, Call(torch.utils._rebuild_tensor, *view), state=(True, False, hooks)),
        transposed=Call(torch.utils._rebuild_tensor, storage, 2, (4, 3), (1, 4)),
        expanded=Call(torch.utils._rebuild_tensor, storage, 5, (2, 3), (0, 1)),
        scalar=Call(torch.utils._rebuild_tensor, storage, 23, (), ()),
        empty=Call(torch.utils._rebuild_tensor, storage, 24, (3, 0), (1, 1)),
    )
    tree._metadata = {"": {"version": 1}}
    write(tmp_path / "w.pth", tree)
    whole = x.reshape(2, 3, 4)
    assert_same(
        read_state_dict(tmp_path / "w.pth"),
        dict.fromkeys(["v2", "v1", "parameter", "stateful", "variable", "called"], whole)
        | {
            "transposed": x[2:14].reshape(3, 4).T,
            "expanded": np.stack([x[5:8]] * 2),
            "scalar": x[23],
            "empty": np.zeros((3, 0), np.float32),
        },
    )


@WRITERS
def test_reads_every_dtype(torch, tmp_path, write):
    data = {kind: np.array([0, 1, 1, 0, 1, 1], dtype) for kind, dtype in torch_file._DTYPES.items()}
    halves = np.array([1.0, -2.5, 3.25, np.inf, 0.0, 1e-30], np.float32)
    halves = (halves.view(np.uint32) >> 16).astype(np.uint16)
    data["BFloat16Storage"] = halves
    tree = {kind: tensor(torch, x, (2, 3), (3, 1), kind=kind, key=kind) for kind, x in data.items()}
    write(tmp_path / "w.pth", tree)
    widened = (halves.astype(np.uint32) << 16).view(np.float32)
    expected = {kind: x.reshape(2, 3) for kind, x in data.items()}
    expected["BFloat16Storage"] = widened.reshape(2, 3)
    assert_same(read_state_dict(tmp_path / "w.pth"), expected)


@pytest.mark.parametrize("order", ["little", "big", None])
def test_byte_order_of_the_zip_format(torch, tmp_path, order):
    x = np.arange(6, dtype=np.float32)
    write_zip(tmp_path / "w.pth", {"x": tensor(torch, x, (6,), (1,))}, order=order)
    assert_same(read_state_dict(tmp_path / "w.pth"), {"x": x})


def test_legacy_storage_that_is_a_view(torch, tmp_path):
    x = np.arange(10, dtype=np.float32)
    path = tmp_path / "w.pth"
    write_legacy(path, {"x": tensor(torch, x, (3,), (1,), 1, view=("v", 4, 5))})
    assert_same(read_state_dict(path), {"x": x[5:8]})
    write_legacy(path, {"x": tensor(torch, x, (5,), (1,), 1, view=("v", 4, 5))})
    assert "outside its 5 elements" in refusal(path)
    write_legacy(path, {"x": tensor(torch, x, (5,), (1,), view=("v", 6, 5))})
    assert "outside its 10 elements" in refusal(path)


@WRITERS
def test_nested_state_dict(torch, tmp_path, write):
    x = np.arange(6, dtype=np.float32)
    tree = {"epoch": 3, "state_dict": {"x": tensor(torch, x, (6,), (1,))}}
    write(tmp_path / "w.pth", tree)
    assert_same(read_state_dict(tmp_path / "w.pth"), {"x": x})


@WRITERS
@pytest.mark.parametrize("value", [3, "text", None, [1], {"x": 1}])
def test_other_entries_are_refused(torch, tmp_path, write, value):
    x = tensor(torch, np.zeros(1, np.float32), (1,), (1,))
    write(tmp_path / "w.pth", {"x": x, "epoch": value})
    assert "'epoch': expected a tensor" in refusal(tmp_path / "w.pth")
    write(tmp_path / "w.pth", value if value != {"x": 1} else x)
    assert "expected a dict of tensors" in refusal(tmp_path / "w.pth")


@WRITERS
@pytest.mark.parametrize(
    ("shape", "strides", "offset"),
    [
        ((7,), (1,), 0),
        ((6,), (1,), 1),
        ((2, 3), (4, 1), 0),
        ((2,), (1 << 62,), 0),
        ((1 << 62,), (1,), 0),
        ((1 << 62, 1 << 62), (0, 0), 0),
        ((2,), (-1,), 3),
        ((-2,), (1,), 0),
        ((2,), (1,), -1),
        ((2, 3), (1,), 0),
        ((2,), (True,), 0),
        ((2.0,), (1,), 0),
        ((), (), 6),
        (3, 1, 0),
        ((1,) * 99, (1,) * 99, 0),
    ],
)
def test_views_outside_their_storage_are_refused(torch, tmp_path, write, shape, strides, offset):
    x = np.arange(6, dtype=np.float32)
    write(tmp_path / "w.pth", {"x": tensor(torch, x, shape, strides, offset)})
    refusal(tmp_path / "w.pth")


@WRITERS
def test_storage_of_another_length_than_named_is_refused(torch, tmp_path, write):
    class Lie(np.ndarray):
        size = 1 << 40

    x = np.arange(6, dtype=np.float32).view(Lie)
    write(tmp_path / "w.pth", {"x": tensor(torch, x, (6,), (1,))})
    assert "storage '0'" in refusal(tmp_path / "w.pth")


def test_storages_that_contradict_themselves(torch, tmp_path):
    x, path = np.arange(6, dtype=np.float32), tmp_path / "w.pth"
    tree = {"x": tensor(torch, x, (6,), (1,))}
    write_legacy(path, tree)
    path.write_bytes(path.read_bytes()[:-32] + struct.pack("<q", 5) + x.tobytes())
    assert "another length" in refusal(path)
    write_legacy(path, tree | {"y": tensor(torch, x, (6,), (1,), kind="IntStorage")})
    assert "described in two ways" in refusal(path)


def test_compressed_archive_is_refused(torch, tmp_path):
    x = tensor(torch, np.zeros(1000, np.float32), (1000,), (1,))
    write_zip(tmp_path / "w.pth", {"x": x}, compression=zipfile.ZIP_DEFLATED)
    assert "compressed" in refusal(tmp_path / "w.pth")


@WRITERS
def test_truncated_anywhere(torch, tmp_path, write):
    path = tmp_path / "w.pth"
    write(path, {"x": tensor(torch, np.arange(6, dtype=np.float32), (6,), (1,))})
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        refusal(path)


@WRITERS
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # Damage may look like an odd string.
def test_damaged_anywhere_gives_an_error_or_arrays(torch, tmp_path, write):
    path, rng = tmp_path / "w.pth", random.Random(0)
    write(path, {"x": tensor(torch, np.arange(6, dtype=np.float32), (6,), (1,))})
    whole = path.read_bytes()
    for _ in range(1000):
        damaged = bytearray(whole)
        for _ in range(rng.choice([1, 1, 3])):
            damaged[rng.randrange(len(whole))] = rng.randrange(256)
        path.write_bytes(damaged)
        try:
            read_state_dict(path)
        except UserError as error:
            assert "\n" not in str(error)


@pytest.mark.parametrize(
    "content",
    [b"", b"<!DOCTYPE html><html>", b"\x89HDF\r\n\x1a\n", b"PK\x03\x04", b"\x00" * 100],
)
def test_what_is_no_checkpoint(tmp_path, content):
    (tmp_path / "w.pth").write_bytes(content)
    assert "no PyTorch file" in refusal(tmp_path / "w.pth")


def test_other_archives_and_other_pickles(tmp_path):
    with zipfile.ZipFile(tmp_path / "w.pth", "w") as archive:
        archive.writestr("readme.txt", "hello")
    assert "no PyTorch file" in refusal(tmp_path / "w.pth")
    for magic, protocol in [(1, 1001), (LEGACY_HEADER[0], 1000)]:
        write_legacy(tmp_path / "w.pth", {}, (magic, protocol, {}))
        assert "no PyTorch file" in refusal(tmp_path / "w.pth")


def test_missing_file_and_folder(tmp_path):
    assert "No such file" in refusal(tmp_path / "absent.pth")
    assert "directory" in refusal(tmp_path)


FORMATS = pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])


@FORMATS
def test_equal_to_what_torch_wrote(tmp_path, zipped):
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    x = torch.randn(4, 5, 6)
    dtypes = ["float64", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool"]
    tree = {kind: (x * 9).to(getattr(torch, kind)) for kind in dtypes} | {
        "x": x,
        "transposed": x.permute(2, 0, 1),
        "sliced": x[1:3, ::2, 3],
        "expanded": x[0, 0, :1].expand(3, 4),
        "scalar": torch.tensor(2.5),
        "empty": torch.zeros(3, 0),
        "empty_slice": x[4:],
        "parameter": torch.nn.Parameter(x),
        "channels_last": x[None].to(memory_format=torch.channels_last),
    }
    path = tmp_path / "w.pth"
    torch.save(tree, path, _use_new_zipfile_serialization=zipped)
    expected = {
        name: (t.float() if t.dtype == torch.bfloat16 else t).detach().numpy() for name, t in tree.items()
    }
    assert_same(read_state_dict(path), expected)


@FORMATS
def test_a_module_of_torch(tmp_path, zipped):
    torch = pytest.importorskip("torch")
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
    path = tmp_path / "w.pth"
    torch.save(net.state_dict(), path, _use_new_zipfile_serialization=zipped)
    assert_same(read_state_dict(path), {k: v.numpy() for k, v in net.state_dict().items()})
    torch.save(net, path, _use_new_zipfile_serialization=zipped)
    assert "refuses to load torch.nn.modules.container.Sequential" in refusal(path)


def test_files_written_by_hand_are_read_by_torch(torch, tmp_path, monkeypatch):
    """The stand-in writers above write what torch reads, so they test the real formats."""
    x = np.arange(6, dtype=np.float32)
    tree = {"x": tensor(torch, x, (2, 3), (1, 2))}
    write_zip(tmp_path / "zip.pth", tree)
    write_legacy(tmp_path / "legacy.pth", tree)
    monkeypatch.undo()
    real = pytest.importorskip("torch")
    for name in ("zip.pth", "legacy.pth"):
        found = real.load(tmp_path / name, weights_only=True)["x"].numpy()
        np.testing.assert_array_equal(found, x.reshape(3, 2).T)


def test_nearest_name():
    assert nearest("Relu42", ["relu4_1", "relu4_2"]) == "; did you mean 'relu4_2'?"
    assert nearest("sepia", ["adam", "lbfgs"]) == "; valid: adam, lbfgs"
    assert nearest("sepia", []) == ""
    assert nearest("?", [f"tap{i}" for i in range(30)]).endswith("tap9 and 20 more")
    assert str(UserError("a\nb\x1b[2J")) == "a b [2J"
