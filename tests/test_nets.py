"""Decoders: their shapes, and their values against an independent transcription."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracle import numpy_conv, relative_error

from nstjax import nets, vgg

# Channels of the decoders of Li et al. 2017, "up" where a map is doubled.
CHANNELS = {
    1: [64, 3],
    2: [128, 64, "up", 64, 3],
    3: [256, 128, "up", 128, 64, "up", 64, 3],
    4: [512, 256, "up", 256, 256, 256, 128, "up", 128, 64, "up", 64, 3],
    5: [512, 512, "up", 512, 512, 512, 256, "up", 256, 256, 256, 128, "up", 128, 64, "up", 64, 3],
}


def initial(level, widths):
    decoder = nets.Decoder(level, widths)
    features = jnp.zeros((2, 2, widths[level - 1]))
    return decoder, decoder.init(jax.random.key(level), features)["params"]


@pytest.mark.parametrize("level", nets.LEVELS)
def test_channels_are_those_of_the_paper(level):
    _, params = initial(level, vgg.WIDTHS)
    expected = [c for c in CHANNELS[level] if c != "up"]
    names = [conv for conv in reversed(vgg.CONVS) if conv in params]
    assert [params[name]["kernel"].shape[2] for name in names] == expected[:-1]
    assert [params[name]["kernel"].shape[3] for name in names] == expected[1:]


@pytest.mark.parametrize("level", nets.LEVELS)
@pytest.mark.parametrize("shape", [(3, 5), (1, 2)])
def test_a_decoder_agrees_with_numpy(level, shape):
    rng = np.random.default_rng(level)
    decoder, params = initial(level, vgg.TINY_WIDTHS)
    params = jax.tree.map(lambda p: p + 0.1 * rng.normal(size=p.shape).astype(np.float32), params)
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
    ours = decoder.apply({"params": params}, features)
    assert ours.shape == (shape[0] * 2 ** (level - 1), shape[1] * 2 ** (level - 1), 3)
    assert relative_error(ours, x) < 1e-5
    batch = decoder.apply({"params": params}, jnp.stack([features, 2 * features]))
    assert relative_error(batch[0], x) < 1e-5
