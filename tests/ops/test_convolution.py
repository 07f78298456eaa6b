"""Convolutions and pooling: values and derivatives beside XLA's, gradients where activations are zero."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nstjax.ops import convolution


@pytest.mark.parametrize(("size", "border"), [(3, 0), (3, 1), (2, 0), (2, 1), (9, 4)])
@pytest.mark.parametrize("channels", [(3, 5), (5, 3), (6, 5), (5, 6)])  # a CPU has a way of its own for few
def test_convolution_has_the_derivatives_that_jax_derives(size, border, channels, monkeypatch):
    monkeypatch.setattr(convolution, "_LARGE", 0)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, 70, 19, channels[0])).astype(np.float32)  # rows in several strips
    kernel = rng.normal(size=(size, size, *channels)).astype(np.float32)

    def ours(x, kernel):
        return convolution.convolve(x, kernel, border)

    def plain(x, kernel):
        padding = [(border, border)] * 2
        layout = ("NHWC", "HWIO", "NHWC")
        return jax.lax.conv_general_dilated(x, kernel, (1, 1), padding, dimension_numbers=layout)

    def value_and_cotangents(function):
        @jax.jit
        def run(x, kernel, g):
            y, pull = jax.vjp(function, x, kernel)
            return y, *pull(g)

        return run(x, kernel, g)

    lost = size - 1 - 2 * border
    g = rng.normal(size=(2, 70 - lost, 19 - lost, channels[1])).astype(np.float32)
    for mine, theirs in zip(value_and_cotangents(ours), value_and_cotangents(plain), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-5, atol=3e-4)  # sums of 1,300 products of about 1


@pytest.mark.parametrize("pooling", ["max", "average", "l2"])
def test_gradients_are_finite_where_activations_are_zero(pooling):
    def energy(x):
        return jnp.sum(convolution.pool(x, pooling))

    assert np.isfinite(jax.jit(jax.grad(energy))(jnp.zeros((4, 5, 2)))).all()
