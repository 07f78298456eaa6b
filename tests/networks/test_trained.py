"""The weights that ship: whole, small, found in a wheel and in a zip archive, and good for something."""

import hashlib
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import jax
import numpy as np
import pytest

from nstjax import images
from nstjax.errors import UserError
from nstjax.networks import formats, pretrained, shipped, stylizers, vgg
from nstjax.networks.decoder import LEVELS, Decoder
from nstjax.networks.normalise import mean_activations

ROOT = Path(__file__).parents[2]
TRAINED = ROOT / "nstjax" / "networks" / "trained"
USE = """
import nstjax, jax, numpy
from nstjax import networks
encoder = networks.make_encoder(networks.load("mini"))
features = encoder.apply(encoder.params, numpy.full((32, 32, 3), 0.5, "float32"), ("relu5_1",))
print(nstjax.__file__, features["relu5_1"].shape, len(networks.load_decoders("mini").params))
"""


def test_they_are_small_and_what_the_table_of_hashes_says():
    files = {path.name: path.read_bytes() for path in TRAINED.iterdir()}
    assert {name: hashlib.sha256(data).hexdigest() for name, data in files.items()} == shipped.DIGESTS
    assert sum(map(len, files.values())) < 6e6
    assert len(files["paintings.safetensors"]) < 2e6
    for about in (pretrained.load("mini").about, pretrained.load_decoders("mini").about):
        assert "experiments.distill" in about["recipe"] and "Simonyan" in about["attribution"]


@pytest.mark.slow
def test_a_zip_archive_serves_as_well(tmp_path):
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        for path in (ROOT / "nstjax").rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                archive.write(path, path.relative_to(ROOT))
    code = f"import sys; sys.path.insert(0, {str(tmp_path / 'all.zip')!r}){USE}"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{tmp_path}/all.zip/nstjax/__init__.py (2, 2, 96) 5\n"


@pytest.mark.slow
def test_a_wheel_serves_as_well(tmp_path):
    for part in ("nstjax", "pyproject.toml", "README.md", "LICENSE"):
        copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy
        copy(ROOT / part, tmp_path / part)
    wheel = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "-q",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        "dist",
        ".",
    ]
    subprocess.run(wheel, cwd=tmp_path, check=True, capture_output=True)
    (built,) = (tmp_path / "dist").iterdir()
    assert built.stat().st_size < 10e6
    zipfile.ZipFile(built).extractall(tmp_path / "site")
    code = f"import sys; sys.path.insert(0, {str(tmp_path / 'site')!r}){USE}"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path / "dist", capture_output=True, text=True)
    assert done.stdout == f"{tmp_path}/site/nstjax/__init__.py (2, 2, 96) 5\n", done.stderr


@pytest.mark.parametrize("what", ["a bit", "the end", "everything"])
def test_a_damaged_package_is_one_line(what, tmp_path, monkeypatch):
    for path in TRAINED.iterdir():
        data = bytearray(path.read_bytes())
        if what == "a bit":
            data[len(data) // 2] ^= 1
        (tmp_path / "trained").mkdir(exist_ok=True)
        (tmp_path / "trained" / path.name).write_bytes(
            {"a bit": data, "the end": data[:-100], "everything": b""}[what]
        )
    monkeypatch.setattr(shipped.importlib.resources, "files", lambda package: tmp_path)
    for load, name in (
        (pretrained.load, "mini"),
        (pretrained.load_decoders, "mini"),
        (stylizers.load, "paintings"),
    ):
        with pytest.raises(UserError, match=r"of the installed package is damaged.*install nstjax again"):
            load(name)
    shutil.rmtree(tmp_path / "trained")
    with pytest.raises(UserError, match="is not in the installed package; install nstjax again"):
        pretrained.load("mini")


@pytest.mark.slow
def test_every_style_layer_has_a_mean_activation_of_one():
    loaded = pretrained.load("mini")
    means = mean_activations(loaded, images.calibration_images(), pooling="max", padding="zero")
    assert list(means)[-1] == "conv5_1"
    for conv in ("conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv4_2", "conv5_1"):
        assert abs(means[conv].mean() - 1) < 0.05, conv  # half precision in the file, thirteen layers deep
        assert np.mean(means[conv] > 1e-3) > 0.75, conv  # the share of filters that fire


def test_decoders_rebuild_a_photograph_better_the_shallower_they_are():
    loaded, decoders = pretrained.load("mini"), pretrained.load_decoders("mini")
    encoder = vgg.make_encoder(loaded.params, loaded.preprocessing, padding="reflect")
    picture = images.resize_to_cover(images.load_picture("example:coffee").pixels, 128, 192)
    taps = tuple(f"relu{level}_1" for level in LEVELS)
    features = jax.jit(encoder.apply, static_argnums=2)(encoder.params, picture, taps)
    errors = []
    for level, tap in zip(LEVELS, taps, strict=True):
        params = {"params": decoders.params[f"decoder{level}"]}
        decoded = jax.jit(Decoder(level, decoders.widths).apply)(params, features[tap])
        assert decoded.shape == picture.shape
        errors.append(-10 * np.log10(np.mean((np.asarray(decoded) - picture) ** 2)))
    assert errors == sorted(errors, reverse=True)
    assert np.all(np.array(errors) > [29, 26, 23, 18, 14])


def test_decoders_that_are_none_are_one_line(tmp_path):
    with pytest.raises(UserError, match="decoders 'mimi': no such file or weight set with decoders; did"):
        pretrained.load_decoders("mimi")
    tiny = pretrained.load("random-tiny")
    formats.save(tmp_path / "encoder.safetensors", tiny)
    with pytest.raises(UserError, match=r"encoder\.safetensors: the file holds no decoders"):
        pretrained.load_decoders(tmp_path / "encoder.safetensors")
    shipped = pretrained.load_decoders("mini")
    formats.save_decoders(tmp_path / "mine.safetensors", shipped)
    back = pretrained.load_decoders(tmp_path / "mine.safetensors")
    assert jax.tree.all(jax.tree.map(np.array_equal, back.params, shipped.params))
    assert (back.widths, back.about) == (shipped.widths, shipped.about)
    with pytest.raises(UserError, match="states its preprocessing"):
        pretrained.load(str(tmp_path / "mine.safetensors"))
    del shipped.params["decoder3"]["conv2_2"]["bias"]
    formats.save_decoders(tmp_path / "less.safetensors", shipped)
    with pytest.raises(UserError, match=r"array 'decoder3/conv2_2/bias' is missing, expected shape \(32,\)"):
        pretrained.load_decoders(tmp_path / "less.safetensors")
    big = {"conv1_1": {"kernel": np.full((3, 3, 3, 4), 1e6), "bias": np.zeros(4)}}
    with pytest.raises(UserError, match="'conv1_1/kernel' has values that are not finite as float16"):
        formats.save(
            tmp_path / "big.safetensors", formats.Weights(big, tiny.preprocessing, ""), dtype="float16"
        )
    assert not (tmp_path / "big.safetensors").exists()
