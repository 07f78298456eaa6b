"""Networks too small to be good, but quick, for tests of their uses."""

import jax
import jax.numpy as jnp
import numpy as np

from nstjax.networks import vgg
from nstjax.networks.decoder import LEVELS, Decoder
from nstjax.universal import levels


def tiny_levels():
    """{1 to 5: a level of random weights} that are quick, and decode to something."""
    params, made = vgg.random_params(0, vgg.TINY_WIDTHS), {}
    encoder = vgg.make_encoder(params, vgg.TORCHVISION, padding="reflect")
    for n in LEVELS:
        features, rng = jnp.zeros((2, 2, vgg.TINY_WIDTHS[n - 1])), np.random.default_rng(n)
        shapes = jax.eval_shape(Decoder(n, vgg.TINY_WIDTHS).init, jax.random.key(n), features)["params"]
        decoder = {}
        for conv, parts in shapes.items():
            *_, i, o = parts["kernel"].shape
            scale, bias = (0.1, 0.5) if conv == "conv1_1" else (np.sqrt(2 / (9 * i)), 0.0)
            kernel = scale * rng.normal(size=(3, 3, i, o))
            decoder[conv] = {"kernel": kernel.astype(np.float32), "bias": np.full(o, bias, np.float32)}
        made[n] = levels.Level(n, encoder.apply, vgg.TINY_WIDTHS, False, encoder.params, decoder)
    return made
