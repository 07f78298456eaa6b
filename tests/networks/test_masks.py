"""Masks at the taps of the network."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from problems import picture

from nstjax.networks import masks, vgg

TAPS = ("image", "relu1_1", "relu1_2", "pool1", "relu2_1", "relu3_1")


propagate = jax.jit(masks.propagate, static_argnames=("taps", "mode", "pooling_size"))
PARAMS = vgg.random_params(0, vgg.TINY_WIDTHS)
ENCODERS = {size: vgg.make_encoder(PARAMS, vgg.TORCHVISION, pooling_size=size) for size in vgg.POOLING_SIZES}


@functools.partial(jax.jit, static_argnums=1)
def encode(image, size="floor"):
    return ENCODERS[size].apply(ENCODERS[size].params, image, TAPS)


def test_modes_by_hand():
    mask = jnp.zeros((8, 8)).at[:, 4:].set(1)  # the right half
    row = {mode: {t: m[2] for t, m in propagate(mask, TAPS[:5], mode).items()} for mode in masks.MODES}
    for mode in masks.MODES:
        np.testing.assert_array_equal(row[mode]["image"], [0, 0, 0, 0, 1, 1, 1, 1])
    np.testing.assert_array_equal(row["all"]["relu1_1"], [0, 0, 0, 1, 1, 1, 1, 1])
    np.testing.assert_array_equal(row["all"]["relu1_2"], [0, 0, 1, 1, 1, 1, 1, 1])
    np.testing.assert_array_equal(row["all"]["pool1"], [0, 1, 1, 1])
    np.testing.assert_array_equal(row["all"]["relu2_1"], [1, 1, 1, 1])
    np.testing.assert_array_equal(row["inside"]["relu1_2"], [0, 0, 0, 0, 0, 0, 1, 1])
    np.testing.assert_array_equal(row["inside"]["pool1"], [0, 0, 0, 1])
    np.testing.assert_array_equal(row["inside"]["relu2_1"], [0, 0, 0, 0])
    for mode in ("simple", "area"):
        np.testing.assert_array_equal(row[mode]["relu2_1"], [0, 0, 1, 1])
    np.testing.assert_allclose(row["deep_photo"]["relu1_1"], [0, 0, 0, 1 / 3, 2 / 3, 1, 1, 2 / 3], rtol=1e-6)


@pytest.mark.parametrize("size", vgg.POOLING_SIZES)
@pytest.mark.parametrize("mode", masks.MODES)
def test_masks_have_the_size_of_the_features(mode, size):
    for shape in ((13, 22), (1, 5), (32, 16)):
        features = encode(picture(0, shape), size)
        found = propagate(jnp.ones(shape), (*TAPS, "relu2_1+relu1_1"), mode, size)
        for tap in TAPS:
            assert found[tap].shape == features[tap].shape[:2]
            if mode != "deep_photo":
                np.testing.assert_array_equal(found[tap], 1)
        np.testing.assert_array_equal(found["relu2_1+relu1_1"], found["relu2_1"])


def test_box_averages_of_an_odd_row_as_in_torch():
    """Torch's `image.scale` of five pixels to three takes boxes of 5/3 pixels, here worked out by hand."""
    row = jnp.array([0.0, 0, 3, 6, 6])
    found = masks._box_average(jnp.stack([row] * 2), (1, 3))
    np.testing.assert_allclose(found, [[0, 3 * (3 + 6 / 3) / 5, 6]], rtol=1e-6)
    np.testing.assert_allclose(masks._box_average(jnp.ones((7, 9)), (4, 4)), 1, rtol=1e-6)
    blurred = propagate(jnp.zeros((4, 5)).at[:, 3:].set(1), ("relu1_2", "pool1"), "deep_photo", "ceil")
    wanted = masks._box_average(blurred["relu1_2"], (2, 3))
    np.testing.assert_array_equal(blurred["pool1"], wanted)


@pytest.mark.parametrize("mode, seen", [("all", True), ("inside", False)])
def test_a_position_that_is_not_in_the_region_does_not_feel_it(mode, seen):
    """The network itself proves the modes: no change outside `all`, or inside, reaches such a position."""
    region = jnp.zeros((32, 32)).at[9:25, 6:27].set(1)
    changed = region if seen else 1 - region
    before, after = picture(0, (32, 32)), picture(0, (32, 32)) + 0.1 * changed[..., None]
    found, features = propagate(region, TAPS, mode), [encode(x) for x in (before, after)]
    for tap in TAPS:
        moved = np.abs(features[0][tap] - features[1][tap]).max(-1) > 0
        allowed = found[tap] > 0 if seen else found[tap] == 0
        assert not (moved & ~np.asarray(allowed)).any()
        assert moved.any()
