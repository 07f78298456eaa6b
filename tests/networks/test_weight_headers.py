"""Headers of weight files and of decoders: each that is not ours is one line that names the field."""

import json
import struct

import numpy as np
import pytest
from checkpoints import write_zip
from weight_files import (
    GOOD,
    INDEX,
    TINY,
    header,
    keras,
    line,
    same,
    state_of,
    tree_of,
    write_h5,
    write_safetensors,
)

from nstjax import networks
from nstjax.errors import UserError
from nstjax.networks import vgg

HEADERS = {
    "nothing": (b"", "not a readable safetensors file"),
    "no JSON": (b"{", "not a readable safetensors file"),
    "null": (b"null", "not a readable safetensors file"),
    "deep": (b"[" * 10_000, "not a readable safetensors file"),
    "our null": ({"nstjax": "null"}, "expected a dict"),
    "our list": ({"nstjax": "[]"}, "expected a dict"),
    "our text": ({"nstjax": "{"}, "not a readable safetensors file"),
    "our deep": ({"nstjax": "[" * 100_000}, "not a readable safetensors file"),
    "no preprocessing": (header(preprocessing="gone"), "has no nstjax header that states its preprocessing"),
    "no label": (header(label="gone"), "label must be a text; got None"),
    "label": (header(label=3), "label must be a text; got 3"),
    "about": (header(about=[1]), "about must be a dict of texts"),
    "about value": (header(about={"x": 1}), "about must be a dict of texts"),
    "preprocessing": (header(preprocessing=[1]), "preprocessing must have order, scale, mean, std"),
    "a field less": (header(preprocessing={"order": "rgb"}), "preprocessing must have"),
    "a field more": (header(preprocessing=GOOD | {"gamma": 1}), "preprocessing must have"),
    "order": (header(preprocessing=GOOD | {"order": "xyz"}), "preprocessing.order 'xyz' is unknown"),
    "order, nearly": (header(preprocessing=GOOD | {"order": "bgrr"}), "did you mean 'bgr'"),
    "order of a type": (header(preprocessing=GOOD | {"order": [1]}), "preprocessing.order [1] is unknown"),
    "scale": (header(preprocessing=GOOD | {"scale": "1"}), "preprocessing.scale must be a finite number"),
    "scale NaN": (header(preprocessing=GOOD | {"scale": float("nan")}), "scale must be a finite number"),
    "scale true": (header(preprocessing=GOOD | {"scale": True}), "scale must be a finite number"),
    "scale huge": (header(preprocessing=GOOD | {"scale": 10**400}), "scale must be a finite number"),
    "scale 0": (header(preprocessing=GOOD | {"scale": 0}), "scale and std must be above 0"),
    "mean of two": (header(preprocessing=GOOD | {"mean": [1, 2]}), "mean must be 3 finite numbers"),
    "mean of texts": (header(preprocessing=GOOD | {"mean": ["a"] * 3}), "mean must be 3 finite numbers"),
    "mean infinite": (header(preprocessing=GOOD | {"mean": [1, 2, 1e300]}), "mean must be 3 finite numbers"),
    "mean null": (header(preprocessing=GOOD | {"mean": None}), "mean must be 3 finite numbers"),
    "std 0": (header(preprocessing=GOOD | {"std": [1, 0, 1]}), "scale and std must be above 0"),
}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("kind", HEADERS)
def test_headers_that_are_not_ours_are_one_line(tmp_path, kind):
    given, says = HEADERS[kind]
    assert says in line(write_safetensors(tmp_path / "w.safetensors", given))


def test_the_header_that_they_vary_is_read(tmp_path):
    loaded = networks.load(str(write_safetensors(tmp_path / "w.safetensors", header())))
    assert same(loaded.params, TINY) and loaded.preprocessing == vgg.Preprocessing("rgb", 1.0, (0.5,) * 3)


@pytest.mark.parametrize("suffix", ["h5", "pth", "safetensors"])
def test_an_empty_file_is_one_line(tmp_path, suffix):
    (tmp_path / f"w.{suffix}").write_bytes(b"")
    line(tmp_path / f"w.{suffix}")


@pytest.mark.parametrize("dtype", ["BF16", "F8_E4M3"])
def test_numbers_that_numpy_lacks_are_one_line(tmp_path, dtype):
    text = json.dumps({"x": {"dtype": dtype, "shape": [0], "data_offsets": [0, 0]}}).encode()
    (tmp_path / "w.safetensors").write_bytes(struct.pack("<Q", len(text)) + text)
    assert f"holds numbers of type '{dtype}', expected F32" in line(tmp_path / "w.safetensors")


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300])
@pytest.mark.parametrize("suffix", ["h5", "pth", "safetensors"])
@pytest.mark.filterwarnings("error")
def test_numbers_that_are_not_finite_are_refused(torch, tmp_path, suffix, value):
    path, dtype = tmp_path / f"w.{suffix}", np.float64 if suffix == "h5" else np.float32
    with np.errstate(over="ignore"):
        bias = np.array([0, value, 0, 0], np.float64).astype(dtype)
    params = TINY | {"conv1_2": TINY["conv1_2"] | {"bias": bias}}
    if suffix == "h5":
        write_h5(path, keras("{layer}/{part}:0", params))
    elif suffix == "pth":
        write_zip(path, tree_of(torch, state_of(params, [f"features.{i}" for i in INDEX])))
    else:
        arrays = {f"{conv}/{part}": parts[part] for conv, parts in params.items() for part in parts}
        write_safetensors(path, header(), arrays)
    assert "array 'conv1_2/bias' has values that are not finite" in line(path)


DECODER = {"kernel": np.zeros((3, 3, 4, 3), np.float32), "bias": np.zeros(3, np.float32)}


def write_decoders(path, value=0.0, **fields):
    arrays = {f"decoder1/conv1_1/{part}": array + np.float32(value) for part, array in DECODER.items()}
    kept = {"preprocessing": "gone", "widths": [4], "levels": [1]} | fields
    return write_safetensors(path, header(**kept), arrays)


def refused(path):
    with pytest.raises(UserError, match=r"d\.safetensors: ") as caught:
        networks.load_decoders(path)
    return str(caught.value)


def test_the_decoders_that_they_vary_are_read(tmp_path):
    loaded = networks.load_decoders(write_decoders(tmp_path / "d.safetensors"))
    assert loaded.widths == (4,) and same(loaded.params, {"decoder1": {"conv1_1": DECODER}})


@pytest.mark.parametrize(
    "value", [None, 4, "4", [], [4.0], ["4"], [True], [0], [-4], [10**12], [4] * 6, [[4]]]
)
def test_widths_of_decoders_that_are_none(tmp_path, value):
    says = "widths must be 1 to 5 numbers of channels"
    assert says in refused(write_decoders(tmp_path / "d.safetensors", widths=value))


@pytest.mark.parametrize("value", [None, 1, "1", [], [1.0], ["1"], [0], [6], [1, 1], {"1": 1}])
def test_levels_of_decoders_that_are_none(tmp_path, value):
    says = "levels must be some of (1, 2, 3, 4, 5)"
    assert says in refused(write_decoders(tmp_path / "d.safetensors", levels=value))


def test_other_decoder_files_that_are_none(tmp_path):
    path = tmp_path / "d.safetensors"
    assert "holds no decoders" in refused(write_decoders(path, widths="gone"))
    assert "label must be a text" in refused(write_decoders(path, label=None))
    assert "widths must be 2 to 5" in refused(write_decoders(path, levels=[2]))
    assert "has values that are not finite" in refused(write_decoders(path, value=np.nan))
    assert "has shape (3, 3, 4, 3), expected (3, 3, 5, 3)" in refused(write_decoders(path, widths=[5]))
    assert "not a readable safetensors file" in refused(write_safetensors(path, b"null"))
