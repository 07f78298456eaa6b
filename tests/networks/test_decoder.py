"""Decoders: their shapes, and their values against an independent transcription."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracle import numpy_conv, relative_error

from nstjax.networks import vgg
from nstjax.networks.decoder import LEVELS, Decoder
from nstjax.training import reconstruction

# Channels of the decoders of Li et al. 2017, "up" where a map is doubled.
CHANNELS = {
    1: [64, 3],
    2: [128, 64, "up", 64, 3],
    3: [256, 128, "up", 128, 64, "up", 64, 3],
    4: [512, 256, "up", 256, 256, 256, 128, "up", 128, 64, "up", 64, 3],
    5: [512, 512, "up", 512, 512, 512, 256, "up", 256, 256, 256, 128, "up", 128, 64, "up", 64, 3],
}


def shapes_of(level, widths):
    features = jnp.zeros((2, 2, widths[level - 1]))
    return jax.eval_shape(Decoder(level, widths).init, jax.random.key(level), features)["params"]


@pytest.mark.parametrize("level", LEVELS)
def test_channels_are_those_of_the_paper(level):
    params = shapes_of(level, vgg.WIDTHS)
    expected = [c for c in CHANNELS[level] if c != "up"]
    names = [conv for conv in reversed(vgg.CONVS) if conv in params]
    assert [params[name]["kernel"].shape[2] for name in names] == expected[:-1]
    assert [params[name]["kernel"].shape[3] for name in names] == expected[1:]


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("shape", [(3, 5), (1, 2)])
def test_a_decoder_agrees_with_numpy(level, shape):
    rng = np.random.default_rng(level)
    decoder = Decoder(level, vgg.TINY_WIDTHS)
    params = jax.tree.map(
        lambda p: (0.3 * rng.normal(size=p.shape)).astype(np.float32), shapes_of(level, vgg.TINY_WIDTHS)
    )
    features = rng.uniform(size=(*shape, vgg.TINY_WIDTHS[level - 1])).astype(np.float32)
    x, steps = features.astype(np.float64), CHANNELS[level][1:]
    convs = [params[name] for name in reversed(vgg.CONVS) if name in params]
    for step in steps:
        if step == "up":
            x = x.repeat(2, 0).repeat(2, 1)
        else:
            layer = convs.pop(0)
            x = numpy_conv(x, layer["kernel"], layer["bias"], "reflect")
            x = np.maximum(x, 0) if convs else x
    batched = (level + shape[0]) % 2 == 0  # at every level, and with every shape
    given = np.stack([2 * features, features]) if batched else features
    ours = jax.jit(decoder.apply)({"params": params}, given)
    ours = ours[1] if batched else ours
    assert ours.shape == (shape[0] * 2 ** (level - 1), shape[1] * 2 ** (level - 1), 3)
    assert relative_error(ours, x) < 1e-5


def test_the_loss_of_a_decoder_that_paints_black_is_the_power_of_the_picture():
    encoder = vgg.make_encoder(vgg.random_params(0, vgg.TINY_WIDTHS), vgg.TORCHVISION, padding="reflect")
    images = np.random.default_rng(0).uniform(size=(2, 16, 16, 3)).astype(np.float32)
    init = jax.jit(reconstruction.init, static_argnums=(1, 2))
    params = init(jax.random.key(0), 2, vgg.TINY_WIDTHS)
    assert set(params) == {"conv2_1", "conv1_2", "conv1_1"}
    loss = reconstruction.make_loss(encoder, 2, vgg.TINY_WIDTHS, 0.3)
    step = jax.jit(jax.value_and_grad(loss, has_aux=True))
    (found, report), _ = step(params, images)
    pixel = np.mean(images.astype(float) ** 2)
    apply = jax.jit(encoder.apply, static_argnums=2)
    seen, black = (apply(encoder.params, x, ("relu2_1",))["relu2_1"] for x in (images, 0 * images))
    feature = np.sum((seen - black) ** 2) / np.sum(np.square(seen))
    spread = np.mean((images - images.mean((0, 1, 2))) ** 2)
    np.testing.assert_allclose(report["pixel"], pixel, rtol=1e-4)
    np.testing.assert_allclose(report["feature"], feature, rtol=1e-4)
    np.testing.assert_allclose(found, pixel / spread + 0.3 * feature, rtol=1e-4)
    # The last convolution starts at zero, so the others learn from the second step on.
    params["conv1_1"]["kernel"] += 0.1
    _, gradient = step(params, images)
    assert all(np.abs(g).max() > 0 for g in jax.tree.leaves(gradient))


def test_a_decoder_of_scaled_features_is_folded_into_one_of_features_as_they_are():
    encoder = vgg.make_encoder(vgg.random_params(0, vgg.TINY_WIDTHS), vgg.CAFFE, padding="reflect")
    images = np.random.default_rng(0).uniform(size=(2, 16, 16, 3)).astype(np.float32)
    features = encoder.apply(encoder.params, images, ("relu2_1",))["relu2_1"]
    scale = reconstruction.unit_scale(encoder, 2, images)
    means = np.mean(features, (0, 1, 2))
    unit = np.mean(scale * features, (0, 1, 2))
    assert means.max() > 10 and np.all(unit < 1.0001) and np.isclose(unit, 1, rtol=1e-4).sum() >= 4
    params = reconstruction.init(jax.random.key(0), 2, vgg.TINY_WIDTHS)
    params["conv1_1"]["kernel"] += 0.1
    decoder = Decoder(2, vgg.TINY_WIDTHS)
    folded = reconstruction.folded(params, 2, scale)
    found, wanted = (
        decoder.apply({"params": p}, x) for p, x in ((folded, features), (params, scale * features))
    )
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)
    assert float(np.std(wanted)) > 0.01
