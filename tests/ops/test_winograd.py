"""Winograd's algorithm beside the direct convolution: values, cotangents, sizes, batches."""

import jax
import numpy as np
import pytest

from nstjax.ops import winograd
from nstjax.ops.convolution import convolve


def _both(x, kernel, border):
    """(value, cotangent of the input, of the kernel) by each algorithm, for one cotangent of the value."""

    @jax.jit
    def run(x, kernel, turned):
        y, back = jax.vjp(lambda x, kernel: convolve(x, kernel, border, turned), x, kernel)
        return y, *back(np.cos(np.arange(y.size)).astype(np.float32).reshape(y.shape))

    return run(x, kernel, winograd.turn(kernel)), run(x, kernel, None)


@pytest.mark.parametrize(
    ("shape", "border"),
    [((3, 3), 0), ((4, 9), 2), ((18, 18), 1), ((1, 33, 50), 0), ((3, 6, 7), 1), ((2, 2, 5, 11), 2)],
)
def test_it_agrees_with_the_direct_convolution(shape, border):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(*shape, 5)).astype(np.float32)
    kernel = rng.normal(size=(3, 3, 5, 7)).astype(np.float32)
    for mine, direct in zip(*_both(x, kernel, border), strict=True):
        assert mine.shape == direct.shape
        np.testing.assert_allclose(mine, direct, rtol=1e-5, atol=1e-5 * np.abs(direct).max())


def test_it_agrees_in_as_many_channels_as_the_network_has():
    rng = np.random.default_rng(1)
    x = np.maximum(rng.normal(size=(50, 70, 256)), 0).astype(np.float32)  # several strips of tiles
    kernel = rng.normal(size=(3, 3, 256, 512)).astype(np.float32) / 48
    for mine, direct in zip(*_both(x, kernel, 1), strict=True):
        assert np.abs(mine - direct).max() < 5e-5 * np.abs(direct).max()


def test_it_rounds_half_as_much_as_with_the_usual_points():
    """Those give 2.6e-6 of the values' size, the direct convolution 2.8e-7."""
    rng = np.random.default_rng(4)
    x = np.maximum(rng.normal(size=(22, 22, 256)), 0).astype(np.float32)
    kernel = rng.normal(size=(3, 3, 256, 64)).astype(np.float32) / 48
    near = np.lib.stride_tricks.sliding_window_view(x.astype(float), (3, 3), (0, 1))
    exact = np.einsum("yxcij,ijck->yxk", near, kernel.astype(float), optimize=True)
    error = winograd.convolve(x, winograd.turn(kernel).forward) - exact
    assert np.sqrt(np.mean(np.square(error)) / np.mean(np.square(exact))) < 1.5e-6


def test_pictures_and_kernels_of_a_batch_do_not_mix():
    rng = np.random.default_rng(2)
    x = rng.normal(size=(3, 9, 14, 4)).astype(np.float32)
    kernels = rng.normal(size=(3, 3, 3, 4, 6)).astype(np.float32)
    batch = jax.vmap(lambda x, kernel: convolve(x, kernel, 1, winograd.turn(kernel)))(x, kernels)
    for each, picture, kernel in zip(batch, x, kernels, strict=True):
        np.testing.assert_allclose(each, convolve(picture, kernel, 1), atol=1e-4)


def test_it_is_differentiable_twice():
    rng = np.random.default_rng(3)
    x, v = rng.normal(size=(2, 8, 8, 3)).astype(np.float32)
    kernel = rng.normal(size=(3, 3, 3, 3)).astype(np.float32)

    def curvature(turned):
        def energy(x):
            return (convolve(x, kernel, 1, turned) ** 2).sum() / 2

        return jax.vjp(jax.grad(energy), x)[1](v)[0]

    np.testing.assert_allclose(curvature(winograd.turn(kernel)), curvature(None), rtol=1e-4, atol=1e-3)


def test_forwards_and_backwards_the_transformed_kernel_is_used():
    rng = np.random.default_rng(4)
    x = rng.normal(size=(9, 10, 3)).astype(np.float32)
    kernel = rng.normal(size=(3, 3, 3, 4)).astype(np.float32)
    turned, nothing = winograd.turn(kernel), np.zeros_like(kernel)
    made, back = jax.vjp(lambda x: convolve(x, nothing, 1, turned), x)
    direct, direct_back = jax.vjp(lambda x: convolve(x, kernel, 1), x)
    np.testing.assert_allclose(made, direct, atol=1e-4)
    np.testing.assert_allclose(back(direct)[0], direct_back(direct)[0], atol=1e-3)
