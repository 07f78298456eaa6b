"""Networks too small to be good, for tests of what is done with them."""

import jax
import jax.numpy as jnp

from nstjax.networks import vgg
from nstjax.networks.decoder import LEVELS, Decoder
from nstjax.universal import levels


def tiny_levels():
    """{1 to 5: a level of random weights} that are quick, and decode to something."""
    params, made = vgg.random_params(0, vgg.TINY_WIDTHS), {}
    encoder = vgg.make_encoder(params, vgg.TORCHVISION, padding="reflect")
    for n in LEVELS:
        features = jnp.zeros((2, 2, vgg.TINY_WIDTHS[n - 1]))
        decoder = Decoder(n, vgg.TINY_WIDTHS).init(jax.random.key(n), features)["params"]
        shape = decoder["conv1_1"]["kernel"].shape
        decoder["conv1_1"]["kernel"] = 0.1 * jax.random.normal(jax.random.key(n), shape)
        decoder["conv1_1"]["bias"] = jnp.full(3, 0.5)
        made[n] = levels.Level(n, encoder.apply, vgg.TINY_WIDTHS, False, encoder.params, decoder)
    return made
