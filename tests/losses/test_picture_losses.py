"""Content and picture losses by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from rows import features, value

from nstjax import losses


def test_feature_by_hand():
    p = features((4, 5, 3), 0)
    np.testing.assert_allclose(value(losses.feature_sum(), p + 2, p), 0.5 * 20 * 3 * 4, rtol=1e-5)
    np.testing.assert_allclose(value(losses.feature(), p + 2, p), 4, rtol=1e-5)


def test_total_variation_by_hand():
    ramp = np.tile(np.arange(4, dtype=np.float32)[None, :, None], (4, 1, 1))
    board = np.indices((4, 4)).sum(0)[..., None] % 2 * np.float32(1)
    expected = {
        losses.tv_anisotropic(): (12, 24),
        losses.tv_corner(pixel_range=1.0): (4.5, 9),
        losses.tv_nine_point(): (0.7, 1.16),
    }
    for loss, (on_ramp, on_board) in expected.items():
        np.testing.assert_allclose(value(loss, ramp, ramp), on_ramp, rtol=1e-6)
        np.testing.assert_allclose(value(loss, board, board), on_board, rtol=1e-6)
        x = features((5, 6, 3), 0)
        np.testing.assert_allclose(value(loss, x + 5, x), value(loss, x, x), rtol=1e-4)  # float32
        np.testing.assert_allclose(value(loss, 3 * x, x), 9 * value(loss, x, x), rtol=1e-5)


def test_laplacian_by_hand():
    rows, columns = np.indices((12, 16)).astype(np.float32)
    parabola, plane = (rows**2 + columns**2)[..., None], (2 * rows - columns)[..., None]
    for pool, wanted in ((1, -4.0), (2, -16.0), (4, -64.0)):  # of x^2 + y^2: -4 p^2 once pooled
        loss = losses.laplacian(pool=pool, pixel_range=1.0)
        target = jax.jit(loss.target)
        np.testing.assert_allclose(target(parabola)[1:-1, 1:-1], wanted, rtol=1e-4)  # float32
        np.testing.assert_allclose(target(plane)[1:-1, 1:-1], 0, atol=1e-4)
        np.testing.assert_array_equal(target(np.ones((12, 16, 3), np.float32)), 0)
        cut = value(loss, features((13, 18, 3), 0)[:12, :16], np.zeros((12, 16, 3), np.float32))
        if pool > 1:  # what fills no block counts for nothing
            odd = value(loss, features((13, 18, 3), 0)[:, :17], np.zeros((13, 17, 3), np.float32))
            np.testing.assert_allclose(odd, cut, rtol=1e-5)
    assert value(losses.laplacian(pool=8), jnp.ones((4, 4, 3)), jnp.zeros((4, 4, 3))) == 0
    x, s = features((8, 8, 3), 0), features((8, 8, 3), 1)
    half, loss = np.zeros((8, 8), np.float32), losses.laplacian(pool=2)
    half[:4] = 1
    top = value(loss, x[:4], s[:4])
    np.testing.assert_allclose(value(loss, x, s, half, half), top, rtol=1e-5)
    with pytest.raises(ValueError, match="pool must be at least 1; got 0"):
        losses.laplacian(pool=0)


def test_colour_histogram_by_hand():
    grey = np.full((4, 4, 3), 0.3, np.float32)
    linear, squared = losses.colour_histogram(), losses.colour_histogram(bins=11, distance="l2")
    histogram = jax.jit(squared.target)(grey + np.array([0, 0.05, 1], np.float32))
    np.testing.assert_allclose(histogram.sum(0), 1, rtol=1e-6)
    np.testing.assert_allclose(histogram[3:5, 1], 0.5, rtol=1e-4)
    assert histogram[-1, 2] == 1  # beyond the range counts as its end
    # The one is how far a colour moved, the other that it did.
    for by in (0.1, 0.37, 0.7):
        np.testing.assert_allclose(value(linear, grey + by, grey), by, rtol=1e-4)
        np.testing.assert_allclose(value(squared, grey + round(by, 1), grey), 2, rtol=1e-4)
    slopes = jax.jit(jax.grad(lambda x: value(linear, x, grey)))
    for bound, sign in ((0.0, -1), (1.0, 1)):  # projected pixels lie exactly there, and can leave
        slope = slopes(np.full((4, 4, 3), bound, np.float32))
        np.testing.assert_allclose(slope.sum(), sign, rtol=1e-4)
    with pytest.raises(ValueError, match="bins must be at least 2; got 1"):
        losses.colour_histogram(bins=1)
    with pytest.raises(ValueError, match="distance must be one of l2, cumulative; got 'l1'"):
        losses.colour_histogram(distance="l1")


def test_value_range_by_hand():
    x = jnp.array([[[-1.0, 0.5, 3.0]]])
    np.testing.assert_allclose(value(losses.value_range(), x, x), (1 + 4) / 3, rtol=1e-6)
    np.testing.assert_allclose(value(losses.value_range(low=-1, high=1), x, x), 4 / 3, rtol=1e-6)
    with pytest.raises(ValueError, match="low must be below high; got 1 and 0"):
        losses.value_range(low=1, high=0)
