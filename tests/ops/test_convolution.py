"""Convolutions and pooling: values and derivatives beside XLA's, gradients where activations are zero."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nstjax.ops import convolution


@pytest.mark.parametrize("border", [0, 1])
@pytest.mark.parametrize("channels", [(3, 5), (5, 3), (5, 6)])  # a CPU has a way of its own for few
def test_convolution_has_the_derivatives_that_jax_derives(border, channels):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(6, 7, channels[0])).astype(np.float32)
    kernel = rng.normal(size=(3, 3, *channels)).astype(np.float32)

    def ours(x, kernel):
        return convolution.conv3x3(x, kernel, border)

    def plain(x, kernel):
        padding = [(border, border)] * 2
        layout = ("NHWC", "HWIO", "NHWC")
        return jax.lax.conv_general_dilated(x[None], kernel, (1, 1), padding, dimension_numbers=layout)[0]

    def value_and_cotangents(function):
        @jax.jit
        def run(x, kernel, g):
            y, pull = jax.vjp(function, x, kernel)
            return y, *pull(g)

        return run(x, kernel, g)

    g = rng.normal(size=(4 + 2 * border, 5 + 2 * border, channels[1])).astype(np.float32)
    for mine, theirs in zip(value_and_cotangents(ours), value_and_cotangents(plain), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("pooling", ["max", "average", "l2"])
def test_gradients_are_finite_where_activations_are_zero(pooling):
    def energy(x):
        return jnp.sum(convolution.pool(x, pooling))

    assert np.isfinite(jax.jit(jax.grad(energy))(jnp.zeros((4, 5, 2)))).all()
