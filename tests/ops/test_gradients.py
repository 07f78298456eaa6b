"""Gradient control, by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nstjax.ops.gradients import Control, controlled


def pulled(control, gradient, weight=1.0):
    """What becomes of a gradient of a weighted score."""
    _, pullback = jax.vjp(lambda x: controlled(x, control, jnp.float32(weight)), jnp.zeros_like(gradient))
    return np.asarray(pullback(gradient)[0])


def test_a_limit_cuts_the_norm_and_leaves_shorter_gradients_alone():
    gradient = jnp.array([[3.0, 0.0], [0.0, 4.0]])
    np.testing.assert_allclose(pulled(Control(limit=1.0), gradient), gradient / 5, rtol=1e-6)
    np.testing.assert_array_equal(pulled(Control(limit=5.0), gradient), gradient)
    np.testing.assert_array_equal(pulled(Control(limit=1.0), jnp.zeros(3)), 0)
    x = jnp.arange(3.0)
    np.testing.assert_array_equal(controlled(x, Control(limit=1.0, normalise="l1"), jnp.float32(1)), x)


@pytest.mark.parametrize("norm, size", [("l1", 7.0), ("l2", 5.0)])
def test_a_normalised_gradient_has_the_weight_for_its_norm(norm, size):
    raw = jnp.array([3.0, -4.0])
    for weight in (0.01, 1.0, 200.0):
        ours = pulled(Control(normalise=norm), weight * raw, weight)
        np.testing.assert_allclose(ours, weight * raw / (size + 1e-8), rtol=1e-6)
    np.testing.assert_array_equal(pulled(Control(normalise=norm), 0 * raw, 0.0), 0)
    small = 1e-8 * raw  # as neural-style has it: divided by the norm of the raw gradient + 1e-8
    np.testing.assert_allclose(pulled(Control(normalise=norm), small), raw / (size + 1), rtol=1e-6)
