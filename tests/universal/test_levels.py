"""Sets of levels, from folders of published models and from one's own files."""

import jax
import numpy as np
import pytest
import safetensors.numpy
from problems import picture

from nstjax.errors import UserError
from nstjax.networks import formats, pretrained, torch_file, vgg
from nstjax.universal import levels

encode, decode = jax.jit(levels.Level.encode), jax.jit(levels.Level.decode)


@pytest.fixture(scope="module")
def mini():
    return levels.load("mini").levels


def slim_folder(folder, level, change=lambda encoder, decoder: None):
    """Writes random slim models of a level, changed by hand; returns their arrays."""
    rng, widths = np.random.default_rng(level), (5, 6, 7, 8, 9)[:level]
    encoder, decoder, channels = {}, {}, 3

    def layer(arrays, name, o, i, side=3):
        arrays[f"{name}.weight"] = 0.2 * rng.normal(size=(o, i, side, side))
        arrays[f"{name}.bias"] = 0.2 * rng.normal(size=o)

    layer(encoder, "conv0", 3, 3, 1)
    for conv in vgg.CONVS[: vgg.CONVS.index(f"conv{level}_1") + 1]:
        name, width = conv.replace("_", ""), widths[int(conv[4]) - 1]
        layer(encoder, name, width, channels)
        layer(decoder, name, channels, width)
        if conv.endswith("_1"):
            layer(encoder, f"{name}_aux", 4, width, 1)
        channels = width
    change(encoder, decoder)
    for kind, arrays in (("e", encoder), ("d", decoder)):
        arrays = {name: np.asarray(array, np.float32) for name, array in arrays.items()}
        safetensors.numpy.save_file(arrays, folder / f"wct16x_{level}s{kind}.safetensors")
    return encoder, decoder


def test_a_level_of_a_folder_is_the_network_of_its_files(tmp_path):
    encoder, decoder = slim_folder(tmp_path, 2)
    slim_folder(tmp_path, 1)
    loaded = levels.load(str(tmp_path), (2, 1))
    assert loaded.label == f"wct16x ({tmp_path.name})" and len(loaded.sha256) == 64
    assert loaded.levels[2].widths == (5, 6) and loaded.levels[1].widths == (5,)
    image = picture(0, (6, 8))

    def conv(x, arrays, name):
        x = np.pad(x, ((1, 1), (1, 1), (0, 0)), mode="reflect")
        windows = np.lib.stride_tricks.sliding_window_view(x, (3, 3), (0, 1))
        return np.einsum("hwiyx,oiyx->hwo", windows, arrays[f"{name}.weight"]) + arrays[f"{name}.bias"]

    x = image @ encoder["conv0.weight"][:, :, 0, 0].T + encoder["conv0.bias"]
    for name in ("conv11", "conv12"):
        x = np.maximum(conv(x, encoder, name), 0)
    x = np.maximum(conv(x.reshape(3, 2, 4, 2, 5).max((1, 3)), encoder, "conv21"), 0)
    np.testing.assert_allclose(encode(loaded.levels[2], image), x, atol=1e-5)
    y = np.maximum(conv(x, decoder, "conv21"), 0).repeat(2, 0).repeat(2, 1)
    for name in ("conv12", "conv11"):
        y = np.maximum(conv(y, decoder, name), 0)
    np.testing.assert_allclose(decode(loaded.levels[2], x.astype(np.float32)), y, atol=1e-5)
    assert y.min() == 0 < y.max()


def torch_states(monkeypatch, folder, widths=(4, 5, 6, 7, 8)):
    """State dicts as irasin/Pytorch_WCT saves them, in files that read as what they hold."""
    rng, states = np.random.default_rng(0), {}

    def layer(name, i, o, side=3):
        weight = 0.2 * rng.normal(size=(o, i, side, side))
        return {f"{name}.weight": weight.astype(np.float32), f"{name}.bias": rng.normal(size=o)}

    # Numbers of the convolutions in the `Sequential`s of its source.
    numbers = (2, 5, 9, 12, 16, 19, 22, 25, 29, 32, 35, 38, 42)
    channels, encoder = 3, layer(0, 3, 3, 1)
    for conv, number in zip(vgg.CONVS, numbers, strict=False):
        width = widths[int(conv[4]) - 1]
        encoder |= layer(number, channels, width)
        channels = width
    states["vgg_normalised_conv5_1.pth"] = encoder
    states["decoder_relu1_1.pth"] = layer(1, widths[0], 3)
    states["decoder_relu3_1.pth"] = (
        layer(1, widths[2], widths[1])
        | layer(5, widths[1], widths[1])
        | layer(8, widths[1], widths[0])
        | layer(12, widths[0], widths[0])
        | layer(15, widths[0], 3)
    )
    for name in states:
        (folder / name).write_bytes(name.encode())
    monkeypatch.setattr(torch_file, "read_state_dict", lambda path: dict(states[path.name]))
    return states


def test_the_vgg_of_pytorch_files_is_read(monkeypatch, tmp_path):
    states = torch_states(monkeypatch, tmp_path)
    loaded = levels.load(str(tmp_path), (1, 3))
    assert loaded.label == f"vgg19 ({tmp_path.name})" and not loaded.levels[3].rectified
    image, encoder = np.asarray(picture(0, (4, 4)), float), states["vgg_normalised_conv5_1.pth"]

    def conv(x, state, number):
        weight = state[f"{number}.weight"]
        x = x if weight.shape[-1] == 1 else np.pad(x, ((1, 1), (1, 1), (0, 0)), mode="reflect")
        windows = np.lib.stride_tricks.sliding_window_view(x, weight.shape[2:], (0, 1))
        return np.einsum("hwiyx,oiyx->hwo", windows, weight) + state[f"{number}.bias"]

    def up(x):
        return x.repeat(2, 0).repeat(2, 1)

    x = conv(image, encoder, 0)
    for number in (2, 5, 9, 12, 16):
        x = x.reshape(len(x) // 2, 2, len(x) // 2, 2, -1).max((1, 3)) if number == 9 else x
        if number == 16:  # one position of relu3_1: reflection needs two
            break
        x = np.maximum(conv(x, encoder, number), 0)
    apply = jax.jit(loaded.levels[1].apply, static_argnums=2)
    features = apply(loaded.levels[1].encoder, image.astype(np.float32), ("relu2_2",))
    np.testing.assert_allclose(features["relu2_2"], x, rtol=1e-4, atol=1e-4)
    decoder, y = states["decoder_relu3_1.pth"], np.random.default_rng(1).uniform(size=(2, 3, 6))
    expected = up(np.maximum(conv(y, decoder, 1), 0))
    expected = up(np.maximum(conv(np.maximum(conv(expected, decoder, 5), 0), decoder, 8), 0))
    expected = conv(np.maximum(conv(expected, decoder, 12), 0), decoder, 15)
    np.testing.assert_allclose(decode(loaded.levels[3], y.astype(np.float32)), expected, atol=1e-4)
    del states["decoder_relu3_1.pth"]["8.bias"]
    with pytest.raises(UserError, match=r"decoder_relu3_1\.pth: array '8\.bias' is missing"):
        levels.load(str(tmp_path), (3,))
    encoder["44.bias"] = np.zeros(3)
    with pytest.raises(UserError, match=r"conv5_1\.pth: array '44\.bias' is not part of that encoder"):
        levels.load(str(tmp_path), (1,))


@pytest.mark.parametrize(
    "change, line",
    {
        lambda e, d: e.pop("conv12.weight"): "wct16x_2se.safetensors: array 'conv12.weight' is missing",
        lambda e, d: e.pop("conv21.bias"): "wct16x_2se.safetensors: array 'conv21.bias' is missing",
        lambda e, d: e.pop("conv11_aux.bias"): "wct16x_2se.safetensors: array 'conv11_aux.bias' is missing",
        lambda e, d: d.pop("conv11.bias"): "wct16x_2sd.safetensors: array 'conv11.bias' is missing",
        lambda e, d: d.update(more=[1]): "wct16x_2sd.safetensors: array 'more' is not part of that decoder",
        lambda e, d: e.update({"conv22.bias": [1]}): "2se.safetensors: array 'conv22.bias' is not part of",
        lambda e, d: d.update({"conv12.bias": [1]}): (
            r"2sd.safetensors: array 'conv12.bias' has shape \(1,\), expected \(5,\)"
        ),
        lambda e, d: e.update({"conv0.weight": [1]}): (
            r"array 'conv0.weight' has shape \(1,\), expected \(3, 3, 1, 1\)"
        ),
        lambda e, d: e.update(
            {"conv0.bias": [np.nan] * 3}
        ): "array 'conv0.bias' has values that are not finite",
    }.items(),
)
def test_an_array_that_is_wrong_is_named_with_its_file(tmp_path, change, line):
    slim_folder(tmp_path, 2, change)
    with pytest.raises(UserError, match=line):
        levels.load(str(tmp_path), (2,))


def test_sets_of_levels_that_cannot_be_had(tmp_path):
    slim_folder(tmp_path, 1)
    with pytest.raises(UserError, match=r"cannot read .*wct16x_4se\.safetensors: No such file"):
        levels.load(str(tmp_path), (1, 4))
    (tmp_path / "wct16x_1sd.safetensors").write_bytes(b"<html>")
    with pytest.raises(UserError, match=r"wct16x_1sd\.safetensors: not a readable safetensors file"):
        levels.load(str(tmp_path), (1,))
    with pytest.raises(UserError, match=r"weights 'mni': no such folder, file .*; did you mean 'mini'"):
        levels.load("mni")
    with pytest.raises(UserError, match=r"weights 'vgg19' have no decoders; give decoders, .* weights mini,"):
        levels.load("vgg19")


def test_an_encoder_of_ones_own_has_its_decoders_beside_it(tmp_path, mini):
    encoder, decoders = pretrained.load("mini"), pretrained.load_decoders("mini")
    formats.save(tmp_path / "own.safetensors", encoder)
    with pytest.raises(UserError, match=r"own_decoders\.safetensors'?: no such file"):
        levels.load(str(tmp_path / "own.safetensors"))
    formats.save_decoders(tmp_path / "own_decoders.safetensors", decoders)
    loaded = levels.load(str(tmp_path / "own.safetensors")).levels[3]
    features = encode(loaded, picture(0, (16, 16)))
    np.testing.assert_array_equal(features, encode(mini[3], picture(0, (16, 16))))
    np.testing.assert_array_equal(decode(loaded, features), decode(mini[3], features))
    tiny = pretrained.load("random-tiny")
    formats.save(tmp_path / "own.safetensors", tiny)
    with pytest.raises(UserError, match=r"for an encoder of widths .16, 32, .*; that of .* has .4, 6, "):
        levels.load(str(tmp_path / "own.safetensors"))
