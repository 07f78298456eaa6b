"""The preprocessing of a file: known by its hash or its first filter, else guessed, and said."""

import dataclasses

import numpy as np
import pytest
from checkpoints import write_zip
from weight_files import BLOCKS, INDEX, TINY, keras, state_of, tree_of, write_h5

from nstjax import files, networks
from nstjax.errors import UserError
from nstjax.networks import formats, known, vgg
from nstjax.universal import levels


@pytest.fixture(scope="module")
def original():
    """The original weights to conv2_1, with kernels of 8 bits."""
    params = networks.load("vgg19-8bit").params
    return {conv: params[conv] for conv in vgg.CONVS[:3]}


def write_torch(torch, path, params):
    write_zip(path, tree_of(torch, state_of(params, [f"features.{i}" for i in INDEX[: len(params)]])))
    return str(path)


@pytest.mark.parametrize("name", ["vgg19-d01eb7cb.pth", "vgg19-dcbb9e9d.pth", "mine.pt", "mine.pth.tar"])
def test_the_original_weights_are_known_in_a_file_of_pytorch(torch, tmp_path, original, name):
    loaded = networks.load(write_torch(torch, tmp_path / name, original))
    assert loaded.preprocessing == vgg.CAFFE and loaded.notes == () and loaded.family == "original"
    image = np.random.default_rng(0).uniform(size=(8, 8, 3)).astype(np.float32)
    ours, theirs = (networks.make_encoder(w) for w in (loaded, networks.load("vgg19-8bit")))
    found = ours.apply(ours.params, image, ("relu2_1",))["relu2_1"]
    np.testing.assert_array_equal(found, theirs.apply(theirs.params, image, ("relu2_1",))["relu2_1"])


def test_they_are_known_in_half_precision_and_normalised(torch, tmp_path, original):
    half = {
        c: {k: x.astype(np.float16).astype(np.float32) for k, x in p.items()} for c, p in original.items()
    }
    images = [np.random.default_rng(0).uniform(size=(8, 8, 3)).astype(np.float32)]
    scaled = networks.normalise(formats.Weights(original, vgg.CAFFE, "original"), images).params
    for params in (half, scaled):
        loaded = networks.load(write_torch(torch, tmp_path / "w.pth", params))
        assert loaded.preprocessing == vgg.CAFFE and loaded.notes == ()


def test_the_exact_weights_are_known(shared):
    loaded = networks.load(str(shared / "weights" / "vgg19_keras_blocks1-3.h5"))
    assert loaded.preprocessing == vgg.CAFFE and loaded.notes == ()


def test_they_are_not_known_for_another_input(original):
    def changed(kernel, bias=1.0):
        first = {"kernel": kernel(original["conv1_1"]["kernel"]), "bias": bias * original["conv1_1"]["bias"]}
        return known.is_original({"conv1_1": first})

    assert changed(lambda kernel: kernel) and changed(lambda kernel: 3 * kernel, 3)
    assert not changed(lambda kernel: kernel[:, :, ::-1])  # RGB
    assert not changed(lambda kernel: 255 * kernel)  # white at 1
    assert not known.is_original(TINY)


@pytest.mark.parametrize("usual", ["caffe", "torchvision"])
def test_a_published_file_is_known_by_its_hash_whatever_its_name(torch, tmp_path, monkeypatch, usual):
    other = {"caffe": "torchvision", "torchvision": "caffe"}[usual]
    if usual == "caffe":
        path = str(write_h5(tmp_path / "mine.h5", keras("{layer}/{part}:0")))
    else:
        path = write_torch(torch, tmp_path / "mine.pth", TINY)
    digest = files.file_hash(path, "sha256")
    published = known.Published("theirs", f"sha256:{digest[:8]}", other)
    monkeypatch.setattr(known, "FILES", (*known.FILES, published))
    loaded = networks.load(path)
    assert loaded.preprocessing == vgg.PREPROCESSINGS[other] and loaded.notes == ()


def test_the_table_of_published_files():
    full = known.TORCHVISION.digest.removeprefix("sha256:")
    assert len(full) == 64 and known.preprocessing_of(full, TINY) == "torchvision"
    assert known.preprocessing_of("d01eb7cb" + "0" * 56, TINY) == "caffe"
    assert known.preprocessing_of("d01eb7cc" + "0" * 56, TINY) == ""


def test_an_unknown_file_is_read_as_its_layout_says_and_a_note_says_so(torch, tmp_path):
    write_h5(tmp_path / "mine.h5", keras("{layer}/{part}:0"))
    write_torch(torch, tmp_path / "mine.pth", TINY)
    write_zip(tmp_path / "gatys.pth", tree_of(torch, state_of(TINY, vgg.CONVS)))
    usual = {"mine.h5": "caffe", "mine.pth": "torchvision", "gatys.pth": "caffe"}
    for name, expected in usual.items():
        loaded = networks.load(str(tmp_path / name))
        (note,) = loaded.notes
        assert loaded.preprocessing == vgg.PREPROCESSINGS[expected]
        assert f"weights {name}: no published file" in note and f"preprocessing {expected}, which" in note
        for given in vgg.PREPROCESSINGS:
            told = networks.load(str(tmp_path / name), preprocessing=given)
            assert told.preprocessing == vgg.PREPROCESSINGS[given] and told.notes == ()


def test_another_preprocessing_than_the_known_one_is_noted(torch, tmp_path, original):
    path = write_torch(torch, tmp_path / "w.pth", original)
    formats.save(tmp_path / "w.safetensors", networks.load("random-tiny"))
    cases = {path: "torchvision", "vgg19-8bit": "torchvision", "mini": "caffe", "random-tiny": "caffe"}
    for name, other in (cases | {str(tmp_path / "w.safetensors"): "caffe"}).items():
        loaded = networks.load(name, preprocessing=other)
        assert loaded.preprocessing == vgg.PREPROCESSINGS[other]
        assert f"and are read with {other}" in loaded.notes[0]
        usual = {"caffe": "torchvision", "torchvision": "caffe"}[other]
        assert networks.load(name, preprocessing=usual).notes == ()


def test_a_preprocessing_that_does_not_exist():
    with pytest.raises(UserError, match="preprocessing 'cafe' is unknown; did you mean 'caffe'"):
        networks.load("mini", preprocessing="cafe")


def test_levels_say_and_take_the_preprocessing(tmp_path):
    assert levels.load("mini").preprocessing == vgg.TORCHVISION and levels.load("mini").notes == ()
    other = levels.load("mini", preprocessing="caffe")
    assert other.preprocessing == vgg.CAFFE and "read with caffe" in other.notes[0]
    with pytest.raises(UserError, match="preprocessing has no meaning for the folder"):
        levels.load(str(tmp_path), preprocessing="caffe")


def test_decoders_of_another_preprocessing_are_refused(tmp_path):
    encoder, decoders = networks.load("mini"), networks.load_decoders("mini")
    path = write_h5(tmp_path / "mini.h5", keras("{layer}/{part}:0", encoder.params, BLOCKS[:13]))
    digest = files.file_hash(path, "sha256")
    about = {"encoder": digest, "preprocessing": str(vgg.TORCHVISION)}
    networks.save_decoders(tmp_path / "d.safetensors", dataclasses.replace(decoders, about=about))
    options = {"decoders": str(tmp_path / "d.safetensors")}
    loaded = levels.load(str(path), preprocessing="torchvision", **options)
    assert loaded.preprocessing == vgg.TORCHVISION
    with pytest.raises(UserError, match="were trained for another preprocessing than"):
        levels.load(str(path), **options)
