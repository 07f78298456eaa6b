"""Measures of regions, by hand."""

import jax.numpy as jnp
import numpy as np
import pytest

from nstjax import metrics
from nstjax.images.labels import LabelPicture
from nstjax.networks import vgg
from nstjax.runs.regions import LabelPictures
from nstjax.sweeps.measure import region_gaps

ENCODER = vgg.make_encoder(vgg.random_params(0, vgg.TINY_WIDTHS), vgg.TORCHVISION)


def halves(shape):
    left = np.zeros(shape, np.float32)
    left[:, : shape[1] // 2] = 1
    masks = {"left": left, "right": 1 - left}
    return LabelPicture("halves", np.zeros((*shape, 3), np.uint8), "", masks=masks)


def test_each_region_is_compared_with_that_of_its_label():
    image, style = np.random.default_rng(0).uniform(size=(2, 32, 64, 3)).astype(np.float32)
    labels = LabelPictures(halves((32, 64)), (halves((16, 32)),))
    found = region_gaps(labels, jnp.asarray(image), jnp.asarray(style), ENCODER)
    colours = [
        metrics.colour_gaps(image[:, at], style[:, at])["wasserstein"]
        for at in (slice(None, 32), slice(32, None))
    ]
    np.testing.assert_allclose(found["region_colour"], np.mean(colours), rtol=0.05)  # masks resized: soft
    same = region_gaps(labels, jnp.asarray(style), jnp.asarray(style), ENCODER)
    assert same["region_colour"] == pytest.approx(0, abs=2e-3)  # masks of two sizes
    assert same["region_gram"] == pytest.approx(0, abs=0.05)
    ramp = style * np.linspace(0, 1, 64, dtype=np.float32)[:, None]
    apart = region_gaps(labels, jnp.asarray(np.roll(ramp, 32, 1)), jnp.asarray(ramp), ENCODER)
    whole = metrics.colour_gaps(np.roll(ramp, 32, 1), ramp)["wasserstein"]
    assert apart["region_colour"] == pytest.approx(0.25, abs=0.02) and whole < 1e-6
    whole = LabelPicture("whole", labels.canvas.pixels, "", masks={"left": np.ones((32, 64), np.float32)})
    alike = LabelPictures(whole, (whole,))
    unmasked = region_gaps(alike, jnp.asarray(np.roll(ramp, 32, 1)), jnp.asarray(ramp), ENCODER)
    assert apart["region_gram"] > 2 * unmasked["region_gram"] > 0


def test_labels_of_one_side_do_not_count():
    image = jnp.asarray(np.random.default_rng(0).uniform(size=(32, 32, 3)), jnp.float32)
    canvas, style = halves((32, 32)), halves((32, 32))
    masks = {"left": style.masks["left"], "top": style.masks["right"]}
    only = LabelPicture("one", style.pixels, "", masks=masks)
    other = image.at[:, 16:].set(0)
    found = region_gaps(LabelPictures(canvas, (only,)), other, image, ENCODER)
    assert found["region_colour"] == pytest.approx(0, abs=1e-6)
