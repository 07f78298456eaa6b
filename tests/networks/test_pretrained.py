"""Weight sets: reading and refusing files, keys of content, the promises of normalisation."""

import dataclasses
import http.server
import json
import threading

import h5py
import jax
import numpy as np
import pytest
import safetensors.numpy

from nstjax import files
from nstjax import images as library_images
from nstjax.errors import UserError
from nstjax.networks import formats, known, pretrained, torch_file, vgg
from nstjax.networks.normalise import mean_activations, normalise

TINY = vgg.random_params(0, vgg.TINY_WIDTHS)
INDEX = (0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34)


def write_keras(path, params, names=("W_1:0", "b_1:0")):
    with h5py.File(path, "w") as file:
        for conv, parts in params.items():
            layer = f"block{conv[4]}_conv{conv[6]}"
            group = file.create_group(layer)
            for name, part in zip(names, ("kernel", "bias"), strict=True):
                if part in parts:
                    group[f"{layer}_{name}"] = parts[part]
    return path


def without(params, conv, part):
    return {**params, conv: {k: v for k, v in params[conv].items() if k != part}}


def same(ours, theirs):
    return jax.tree.all(jax.tree.map(np.array_equal, ours, theirs))


def test_keras_layout(tmp_path):
    loaded = pretrained.load(str(write_keras(tmp_path / "mine.h5", TINY)))
    assert same(loaded.params, TINY) and loaded.preprocessing == vgg.CAFFE
    assert loaded.label == "mine.h5" and loaded.sha256 == files.file_hash(tmp_path / "mine.h5", "sha256")


def test_a_file_may_end_early_but_not_have_gaps(tmp_path):
    three = {conv: TINY[conv] for conv in vgg.CONVS[:8]}
    loaded = pretrained.load(str(write_keras(tmp_path / "three.h5", three)))
    assert vgg.reachable_taps(loaded.params)[-1] == "pool3"
    gap = {conv: parts for conv, parts in TINY.items() if conv != "conv3_2"}
    with pytest.raises(UserError, match="array 'conv3_2/kernel' is missing"):
        pretrained.load(str(write_keras(tmp_path / "gap.h5", gap)))


@pytest.mark.parametrize(
    "broken, message",
    [
        (without(TINY, "conv2_1", "bias"), "array 'conv2_1/bias' is missing"),
        (without(TINY, "conv2_1", "kernel"), "array 'conv2_1/kernel' is missing"),
        ({**TINY, "conv6_1": TINY["conv5_1"]}, "array 'conv6_1/kernel' is not part of VGG-19"),
        (
            {**TINY, "conv2_1": {"kernel": np.zeros((3, 3, 5, 6), np.float32), "bias": np.zeros(6)}},
            r"array 'conv2_1/kernel' has shape \(3, 3, 5, 6\), expected \(3, 3, 4, 6\)",
        ),
        (
            {**TINY, "conv1_1": {**TINY["conv1_1"], "bias": np.full(4, np.nan)}},
            "array 'conv1_1/bias' has values that are not finite",
        ),
    ],
)
def test_a_keras_file_that_is_not_the_network_is_named(tmp_path, broken, message):
    with pytest.raises(UserError, match=message):
        pretrained.load(str(write_keras(tmp_path / "broken.h5", broken)))


def test_torchvision_layout(tmp_path, monkeypatch):
    state = {"classifier.0.weight": np.zeros((2, 2))}
    for index, parts in zip(INDEX, TINY.values(), strict=True):
        state[f"features.{index}.weight"] = parts["kernel"].transpose(3, 2, 0, 1)
        state[f"features.{index}.bias"] = parts["bias"]
    path = tmp_path / "tv.pth"
    path.write_bytes(b"")
    monkeypatch.setattr(torch_file, "read_state_dict", lambda _: dict(state))
    loaded = pretrained.load(str(path))
    assert same(loaded.params, TINY) and loaded.preprocessing == vgg.TORCHVISION
    state["features.99.weight"] = np.zeros(3)
    with pytest.raises(UserError, match=r"array 'features\.99\.weight' is not part of VGG-19"):
        pretrained.load(str(path))


def test_torchvision_file_written_by_torch(tmp_path):
    torch = pytest.importorskip("torch", reason="the oracle extra (PyTorch) is not installed")
    state = {}
    for index, parts in zip(INDEX, TINY.values(), strict=True):
        state[f"features.{index}.weight"] = torch.tensor(parts["kernel"].transpose(3, 2, 0, 1).copy())
        state[f"features.{index}.bias"] = torch.tensor(parts["bias"])
    for legacy in (False, True):
        torch.save(state, tmp_path / "tv.pth", _use_new_zipfile_serialization=not legacy)
        assert same(pretrained.load(str(tmp_path / "tv.pth")).params, TINY)


def test_saved_weights_come_back_with_their_preprocessing_and_origin(tmp_path):
    random = pretrained.load("random-tiny", seed=4)
    formats.save(tmp_path / "mine.safetensors", random)
    loaded = pretrained.load(str(tmp_path / "mine.safetensors"))
    assert same(loaded.params, random.params) and loaded.preprocessing == random.preprocessing
    assert loaded.label == "mine.safetensors (random-tiny (seed 4))"
    assert [p.name for p in tmp_path.iterdir()] == ["mine.safetensors"]
    safetensors.numpy.save_file({"conv1_1/bias": np.zeros(3)}, tmp_path / "bare.safetensors")
    with pytest.raises(UserError, match="has no nstjax header that states its preprocessing"):
        pretrained.load(str(tmp_path / "bare.safetensors"))


def test_random_weights_are_seeded_and_labelled():
    assert same(pretrained.load("random-tiny", seed=1).params, pretrained.load("random-tiny", seed=1).params)
    assert not same(
        pretrained.load("random-tiny", seed=1).params, pretrained.load("random-tiny", seed=2).params
    )
    assert pretrained.load("random-slim", seed=7).label == "random-slim (seed 7)"


def test_names_that_do_not_exist(tmp_path):
    with pytest.raises(UserError, match="weights 'vgg91': no such file or weight set; did you mean 'vgg19'"):
        pretrained.load("vgg91")
    with pytest.raises(UserError, match=r"weights 'some/where\.h5': no such file"):
        pretrained.load("some/where.h5")
    (tmp_path / "weights.npz").write_bytes(b"123")
    with pytest.raises(
        UserError, match=r"must end in one of \.h5, \.hdf5, \.pth, \.pt, \.tar, \.safetensors"
    ):
        pretrained.load(str(tmp_path / "weights.npz"))
    for name in ("text.h5", "text.pth", "text.safetensors"):
        (tmp_path / name).write_text("<!DOCTYPE html>")
        with pytest.raises(UserError, match=name):
            pretrained.load(str(tmp_path / name))


@pytest.fixture
def mirror(tmp_path, monkeypatch):
    """A server on this machine with a whole network in a Keras file, whose hash is made the known one."""
    folder = tmp_path / "served"
    folder.mkdir()
    name = pretrained.PUBLISHED["vgg19"].url.rsplit("/", 1)[-1]
    path = write_keras(folder / name, TINY)
    digest = f"md5:{files.file_hash(path, 'md5')}"
    monkeypatch.setenv("NSTJAX_CACHE", str(tmp_path / "cache"))
    requests = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args):
            super().__init__(*args, directory=folder)

        def log_message(self, *args):
            requests.append(self.path)

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}/{name}"
        published = {
            **pretrained.PUBLISHED,
            "vgg19": dataclasses.replace(known.KERAS, url=url, digest=digest),
        }
        monkeypatch.setattr(pretrained, "PUBLISHED", published)
        yield url, requests
        server.shutdown()


def test_the_published_set_is_fetched_once_then_found_offline(mirror):
    _, requests = mirror
    assert same(pretrained.load("vgg19").params, TINY)
    seen = len(requests)
    assert same(pretrained.load("vgg19").params, TINY) and len(requests) == seen == 1


def test_a_mirror_is_verified_like_the_original(mirror, monkeypatch):
    url, _ = mirror
    loaded = pretrained.load(url)
    assert same(loaded.params, TINY) and loaded.label == "vgg19"
    with pytest.raises(UserError, match="a mirror must serve"):
        pretrained.load("http://127.0.0.1:1/other.h5")


def test_the_known_hashes_are_those_of_the_published_files():
    assert pretrained.PUBLISHED["vgg19"].digest == "md5:253f8cb515780f3b799900260a226db6"
    assert pretrained.PUBLISHED["vgg19-torchvision"].digest == (
        "sha256:dcbb9e9dad569fff7a846263a77324fc34978fea2bfb039c012d710e1776ae44"
    )


@pytest.mark.parametrize(
    "pooling, blocks", [("max", 3), *(pytest.param(p, 5, marks=pytest.mark.slow) for p in vgg.POOLINGS)]
)
def test_normalisation(pooling, blocks):
    """Mean activation 1 on the calibration pictures, taps divided by the old means, nothing else."""
    given = {conv: parts for conv, parts in TINY.items() if int(conv[4]) <= blocks}
    random = formats.Weights(given, vgg.TORCHVISION, "random")
    rng = np.random.default_rng(0)
    images = [rng.uniform(size=(*shape, 3)).astype(np.float32) for shape in ((37, 50), (64, 20))]
    normal = normalise(random, images, pooling=pooling, padding="reflect")
    assert "normalised" in normal.label and pooling in normal.label

    def features(params, image, taps):
        encoder = vgg.make_encoder(params, vgg.TORCHVISION, pooling=pooling, padding="reflect")
        return jax.device_get(jax.jit(encoder.apply, static_argnums=2)(encoder.params, image, taps))

    taps = tuple(conv.replace("conv", "relu") for conv in given)
    before = [features(given, image, taps) for image in images]
    after = [features(normal.params, image, taps) for image in images]
    for tap in taps:
        mean = np.concatenate([f[tap].reshape(-1, f[tap].shape[-1]) for f in before]).mean(0)
        divisor = np.maximum(mean, 0.03 * np.median(mean))
        scaled = np.concatenate([f[tap].reshape(-1, f[tap].shape[-1]) for f in after]).mean(0)
        np.testing.assert_allclose(scaled[(mean == divisor) & (mean > 0)], 1, rtol=1e-4)
        expected = before[0][tap] / np.where(divisor > 0, divisor, 1)
        np.testing.assert_allclose(after[0][tap], expected, rtol=1e-3, atol=1e-4)


def test_normalisation_pools_odd_sides_as_the_network_does():
    """Means with poolings rounded up are 1 in such a network, in others not."""
    random = formats.Weights(TINY, vgg.TORCHVISION, "random")
    images = [np.random.default_rng(0).uniform(size=(5, 13, 3)).astype(np.float32)]
    how = {"pooling": "average", "padding": "zero"}
    normal = normalise(random, images, **how, pooling_size="ceil")
    before, up, down = (
        mean_activations(weights, images, **how, pooling_size=size)["conv2_2"]
        for weights, size in ((random, "ceil"), (normal, "ceil"), (normal, "floor"))
    )
    fires = before > 0.03 * np.median(before)
    np.testing.assert_allclose(up[fires], 1, rtol=1e-4)
    assert np.abs(down[fires] - 1).max() > 0.05


def test_filters_that_hardly_ever_fire_are_not_scaled_without_end():
    params = jax.tree.map(np.array, TINY)
    params["conv1_1"]["kernel"][..., 1:3] = 0
    params["conv1_1"]["bias"][1:3] = 1e-6, -1
    rare = formats.Weights(params, vgg.TORCHVISION, "rare")
    images = [np.random.default_rng(0).uniform(size=(24, 24, 3)).astype(np.float32)]
    normal = normalise(rare, images)
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(normal.params))
    means = mean_activations(rare, images, pooling="average", padding="zero")["conv1_1"]
    expected = params["conv1_1"]["bias"][1:3] / (0.03 * np.median(means))
    np.testing.assert_allclose(normal.params["conv1_1"]["bias"][1:3], expected, rtol=1e-6)
    silent = jax.tree.map(np.zeros_like, TINY)
    kept = normalise(formats.Weights(silent, vgg.TORCHVISION, "silent"), images)
    assert not any(np.any(x) for x in jax.tree.leaves(kept.params))


def test_weight_sets_of_equal_content_have_equal_keys_and_no_others(tmp_path):
    tiny = pretrained.load("random-tiny")
    images = [np.random.default_rng(0).uniform(size=(8, 8, 3)).astype(np.float32)]
    assert tiny.cache_key == pretrained.load("random-tiny").cache_key
    again = [normalise(tiny, images, padding="reflect").cache_key for _ in range(2)]
    assert again[0] == again[1]
    formats.save(tmp_path / "a.safetensors", tiny)
    keys = {tiny.cache_key, pretrained.load("random-tiny", seed=1).cache_key, again[0]}
    keys |= {dataclasses.replace(tiny, preprocessing=vgg.CAFFE).cache_key}
    keys |= {pretrained.load(str(tmp_path / "a.safetensors")).cache_key}
    keys |= {normalise(tiny, images, pooling=pooling).cache_key for pooling in ("average", "max")}
    assert len(keys) == 7


def test_real_weights_normalise(shared):
    real = pretrained.load(str(shared / "weights" / "vgg19_keras_blocks1-3.h5"))
    assert json.dumps(real.label) and real.preprocessing == vgg.CAFFE
    images = [np.random.default_rng(0).uniform(size=(40, 32, 3)).astype(np.float32)]
    normal = normalise(real, images, pooling="average")
    encoder = vgg.make_encoder(normal.params, vgg.CAFFE, pooling="average")
    deepest = jax.jit(encoder.apply, static_argnums=2)(encoder.params, images[0], ("relu3_4",))["relu3_4"]
    old = mean_activations(real, images, pooling="average", padding="zero")["conv3_4"]
    means = np.asarray(deepest.mean((0, 1)))
    np.testing.assert_allclose(means, np.minimum(old / (0.03 * np.median(old)), 1), rtol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("pooling, bound", [("average", 3), ("max", 4), ("l2", 3)])
def test_hardly_any_filter_of_the_whole_network_is_held_back(pooling, bound):
    images = library_images.calibration_images()
    means = mean_activations(pretrained.load("vgg19-8bit"), images, pooling=pooling, padding="zero")
    held = {conv: int(np.sum(mean < 0.03 * np.median(mean))) for conv, mean in means.items()}
    assert sum(map(len, means.values())) == 5504 and sum(held.values()) == bound
    assert max(held.values()) <= (2 if pooling == "average" else 1)
