"""Roots of symmetric matrices: values, derivatives, and how far Newton-Schulz gets."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg

from nstjax.ops.roots import inverse_root, newton_schulz, newton_schulz_lyapunov, root


def matrix(eigenvalues, seed=0):
    """Symmetric, with these eigenvalues."""
    c = len(eigenvalues)
    basis = np.linalg.qr(np.random.default_rng(seed).normal(size=(c, c)))[0]
    return basis * eigenvalues @ basis.T


@jax.jit
def roots(a):
    """(root, inverse root) by eigenvalues and by Newton-Schulz."""
    return (root(a), inverse_root(a)), newton_schulz(a, 30)


@pytest.mark.parametrize("eigenvalues", [(1.0, 2, 3, 5), (2.0, 2, 2, 2), (1e-4, 1, 1, 9)])
def test_roots_are_those_of_scipy(eigenvalues):
    a = matrix(np.array(eigenvalues))
    expected = scipy.linalg.sqrtm(a)
    with jax.enable_x64(True):
        for s, z in roots(a):
            np.testing.assert_allclose(s, expected, rtol=1e-8, atol=1e-10)
            np.testing.assert_allclose(z, np.linalg.inv(expected), rtol=1e-8, atol=1e-8)
    small = jax.jit(root)(a.astype(np.float32))
    assert small.dtype == jnp.float32
    np.testing.assert_allclose(small @ small, a, atol=1e-5)
    np.testing.assert_allclose(root(jnp.diag(jnp.arange(4.0))).diagonal(), np.sqrt(np.arange(4)), atol=1e-6)


@pytest.mark.parametrize("least", [1.0, 1e-6])
def test_the_derivative_by_lyapunov_steps_is_that_of_their_program(least):
    """sqrtm.py of crowsonkb/style-transfer-pytorch: exact of a matrix in good condition, else not."""
    a, weights = matrix(np.array([least, 1, 2, 5])), matrix(np.array([1.0, -2, 3, 1]), 1)
    with jax.enable_x64(True):
        found = jax.jit(jax.grad(lambda a: jnp.vdot(newton_schulz_lyapunov(a, 12), weights)))(a)
        s, exact = (
            np.asarray(newton_schulz(a, 12)[0]),
            jax.jit(jax.grad(lambda a: jnp.vdot(root(a), weights)))(a),
        )
        norm = np.linalg.norm(s)
        b, q = s / norm, weights / norm
        for _ in range(12):
            rest = 3 * np.eye(4) - b @ b
            q = (q @ rest - b.T @ (b.T @ q - q @ b)) / 2
            b = b @ rest / 2
        np.testing.assert_allclose(found, q / 2, rtol=1e-9, atol=1e-12)
        assert np.allclose(found, exact, rtol=1e-6) == (least == 1)


def test_a_ridge_is_not_lost_to_rounding():
    """Of float32: the least eigenvalue that is told from 0 is about 10 here."""
    basis = np.eye(4, dtype=np.float32)
    a = basis * np.float32([0, 1e-3, 1e3, 1e7])
    expected = np.sqrt(np.array([1, 1 + 1e-3, 1e3 + 1, 1e7 + 1]))
    np.testing.assert_allclose(
        jax.jit(root, static_argnums=(1, 2))(a, 0.0, 1.0).diagonal(), expected, rtol=1e-5
    )
    inverse = jax.jit(inverse_root, static_argnums=(1, 2))(a, 0.0, 1.0)
    np.testing.assert_allclose(inverse.diagonal(), 1 / expected, rtol=1e-5)


TRACES = [
    jax.jit(jax.grad(lambda a, f=f: jnp.trace(f(a)))) for f in (root, lambda a: newton_schulz(a, 30)[0])
]


def test_gradient_of_the_trace_of_a_root_is_half_the_inverse_root():
    with jax.enable_x64(True):
        for eigenvalues in ((1.0, 2, 3, 5), (2.0, 2, 2, 2), (1e-3, 1, 1, 9)):
            a = jnp.asarray(matrix(np.array(eigenvalues)))
            expected = 0.5 * scipy.linalg.inv(scipy.linalg.sqrtm(a))
            for gradient in (traced(a) for traced in TRACES):
                np.testing.assert_allclose(gradient, expected, rtol=1e-6, atol=1e-8)


@functools.partial(jax.jit, static_argnums=0)
def derivatives(f, a, direction, weights):
    """A weighted sum of f on either side of a, and its derivatives in reverse and in forward mode."""

    def g(a):
        return jnp.vdot(weights, f(a))

    forward = jax.jvp(g, (a,), (direction,))[1]
    near = (g(a + sign * 1e-6 * direction) for sign in (1, -1))
    return *near, jnp.vdot(jax.grad(g)(a), direction), forward


@pytest.mark.parametrize(
    "f",
    [root, inverse_root, lambda a: newton_schulz(a, 30)[0], lambda a: newton_schulz(a, 30)[1]],
    ids=["root", "inverse_root", "newton_schulz", "newton_schulz inverse"],
)
@pytest.mark.parametrize("eigenvalues", [(1.0, 2, 3, 5), (2.0, 2, 2, 2), (1.0, 1, 4, 4)])
def test_derivatives_are_those_of_finite_differences(f, eigenvalues):
    with jax.enable_x64(True):
        a, rng = jnp.asarray(matrix(np.array(eigenvalues))), np.random.default_rng(1)
        weights, direction = rng.normal(size=(2, 4, 4))
        direction = direction + direction.T
        after, before, reverse, forward = derivatives(f, a, direction, weights)
        numeric = (after - before) / 2e-6
        np.testing.assert_allclose(reverse, numeric, rtol=1e-6, atol=1e-8)
        np.testing.assert_allclose(forward, numeric, rtol=1e-6, atol=1e-8)


def test_derivatives_where_eigenvalues_vanish():
    """Within the directions in which a matrix is not 0, they are those of finite differences."""
    with jax.enable_x64(True):
        factor = np.random.default_rng(0).normal(size=(4, 2))
        weights, by = np.random.default_rng(1).normal(size=(4, 4)), np.array([[0.3, 1.0], [-0.7, 0.2]])
        for f in (root, inverse_root):

            def of_factor(b, f=f):
                return f(b @ b.T)

            for direction in (factor @ by, np.random.default_rng(2).normal(size=(4, 2))):
                after, before, ours, _ = derivatives(of_factor, factor, direction, weights)
                np.testing.assert_allclose(ours, (after - before) / 2e-6, rtol=1e-5, atol=1e-7)
    for f in (root, inverse_root, lambda a: newton_schulz(a, 20)[0], lambda a: newton_schulz(a, 20)[1]):
        both = jax.jit(lambda a, f=f: (f(a), jax.grad(lambda a: jnp.sum(jnp.sin(f(a))))(a)))
        for a in (np.zeros((3, 3)), np.ones((3, 3)), np.diag([1.0, 0.0, 0.0])):
            value, gradient = both(a.astype(np.float32))
            assert np.isfinite(value).all() and np.isfinite(gradient).all()


def test_eigenvalues_below_the_cut_and_below_rounding_are_dropped():
    a = matrix(np.array([1e-3, 0.1, 1.0, 4.0])).astype(np.float32)
    np.testing.assert_allclose(np.linalg.eigvalsh(root(a, 0.5)), [0, 0, 1, 2], atol=1e-5)
    np.testing.assert_allclose(np.linalg.eigvalsh(inverse_root(a, 0.5)), [0, 0, 0.5, 1], atol=1e-5)
    x = np.random.default_rng(0).normal(size=(256, 12)).astype(np.float32)  # of rank 12
    values = np.linalg.eigvalsh(inverse_root(x @ x.T))
    assert np.sum(values > 1e-6) == 12 and values.max() < 0.1


def test_newton_schulz_resolves_what_its_iterations_allow():
    with jax.enable_x64(True):
        for iterations, ratio, left in (
            *((12, 1e-3, 1.0), (12, 1e-4, 0.89), (12, 1e-5, 0.39)),
            *((15, 1e-4, 1.0), (15, 1e-5, 0.91), (20, 1e-5, 1.0)),
        ):
            a = jnp.diag(jnp.array([1.0, ratio]))
            found = newton_schulz(a, iterations)[0][1, 1] / np.sqrt(ratio)
            np.testing.assert_allclose(found, left, atol=0.01)
