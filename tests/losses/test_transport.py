"""Losses on sorted features: by hand, ties, and of several styles."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from rows import blended_value, features, value
from rows.transport import transport

from nstjax import losses
from nstjax.ops.samples import argsort

HISTOGRAM, SLICED = losses.histogram(), losses.sliced_wasserstein()


def test_transport_by_hand():
    constant = np.full((4, 4, 1), 0.5**0.5, np.float32)
    coin = np.indices((4, 4)).sum(0)[..., None] % 2 * np.float32(1)
    np.testing.assert_allclose(value(HISTOGRAM, constant, coin), 1 - 0.5**0.5, rtol=1e-5)
    x, s = features((5, 5, 3), 0), features((5, 5, 3), 1)
    # Every value three times over is the same distribution, and so is a picture beside itself.
    for loss in (HISTOGRAM, SLICED):
        plain = value(loss, x, s)
        np.testing.assert_allclose(value(loss, x, np.tile(s, (3, 1, 1))), plain, rtol=1e-5)
        np.testing.assert_allclose(value(loss, np.tile(x, (3, 1, 1)), s), plain, rtol=1e-5)
        np.testing.assert_allclose(
            value(loss, x[..., :1], s[..., :1]), transport(x[..., :1], s[..., :1]), rtol=1e-4
        )
    # Of 2 and of 3 values: quantiles at 1/4 and 3/4 are the first and the last.
    two, three = np.array([0.0, 10]).reshape(1, 2, 1), np.array([5.0, 1, 4]).reshape(1, 3, 1)
    assert value(HISTOGRAM, two, three) == (1 + 25) / 2
    by = np.array([1, -2, 2], np.float32)
    cost = value(losses.sliced_wasserstein(directions=20000), x + by, x)
    np.testing.assert_allclose(cost, by @ by / 3, rtol=0.02)
    with pytest.raises(ValueError, match="directions must be at least 1; got 0"):
        losses.sliced_wasserstein(directions=0)


def test_equal_values_are_ranked_at_random():
    x, s = jnp.zeros((32, 32, 1)), features((32, 32, 1), 0)
    loss = losses.histogram()
    push = jax.jit(jax.grad(lambda x, key: loss.score(x, loss.target(s), key=key)))
    first, second = (np.asarray(push(x, jax.random.key(seed)))[..., 0] for seed in range(2))
    assert not np.array_equal(first, second)
    for gradient in (first, second):  # no raster: rows and columns get what they would by chance
        assert np.abs(gradient.mean(0)).max() < 5 * gradient.std() / 32**0.5 + abs(gradient.mean())
        assert np.abs(gradient.mean(1)).max() < 5 * gradient.std() / 32**0.5 + abs(gradient.mean())


def test_samples_of_two_styles_are_pooled_by_weight():
    a, b = features((6, 4, 3), 0), 2 + features((4, 3, 3), 1)
    x = features((8, 4, 3), 2)  # the middle of no share is where two values of the style meet
    for loss in (HISTOGRAM, SLICED):
        both = np.concatenate([a.reshape(24, 3), *[b.reshape(12, 3)] * 2])[None]  # each counts alike
        pooled, only = (blended_value(loss, x, [a, b], shares) for shares in ([0.5, 0.5], [1.0, 0.0]))
        np.testing.assert_allclose(pooled, value(loss, x, both), rtol=1e-5)
        np.testing.assert_allclose(only, value(loss, x, a), rtol=1e-5)


def test_argsort_is_that_of_numpy():
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.normal(size=500), np.zeros(50), [-np.inf, np.inf, 1e-40, -1e-40, 3e38, -3e38]])
    x = rng.permutation(np.maximum(x, -1.5)).astype(np.float32)
    np.testing.assert_array_equal(argsort(jnp.asarray(x)), np.argsort(x, kind="stable"))
    assert argsort(jnp.asarray(x)).dtype == jnp.int32
    rows = jnp.asarray(x[:550].reshape(5, 110))
    many = jax.jit(jax.vmap(argsort))(rows)
    np.testing.assert_array_equal(many, np.argsort(rows, -1, kind="stable"))
    gradient = jax.jit(jax.grad(lambda x: jnp.sum(jnp.arange(6.0) * x[argsort(x)])))(x[:6])
    np.testing.assert_array_equal(gradient, np.argsort(np.argsort(x[:6], kind="stable")))
    ties = rng.permutation(len(x))
    order = np.asarray(argsort(jnp.asarray(x), ties=jnp.asarray(ties)))
    np.testing.assert_array_equal(order, ties[np.argsort(x[ties], kind="stable")])
    with jax.enable_x64(True):
        np.testing.assert_array_equal(argsort(jnp.asarray(x, float)), np.argsort(x, kind="stable"))
        np.testing.assert_array_equal(argsort(jnp.asarray(x, float), ties=jnp.asarray(ties)), order)


def test_bins_approach_the_exact_histogram():
    x, s = features((32, 32, 2), 0), features((24, 40, 2), 1)
    exact = value(HISTOGRAM, x, s)
    errors = [abs(value(losses.histogram_binned(bins=bins), x, s) / exact - 1) for bins in (4, 32, 4096)]
    assert errors[0] > errors[1] > errors[2] and errors[2] < 0.01
    loss = losses.histogram_binned()
    np.testing.assert_allclose(value(loss, 3 * s + 1, s), ((2 * s + 1) ** 2).mean(), rtol=1e-4)
    # A value that is everywhere goes to the middle of the style's.
    alike, ramp = np.full((3, 3, 1), 7.0), np.arange(101.0).reshape(1, 101, 1)
    np.testing.assert_allclose(value(losses.histogram_binned(bins=100), alike, ramp), 43**2, rtol=0.03)
    assert value(loss, x, s, None, np.zeros(s.shape[:2], np.float32)) == 0
    with pytest.raises(ValueError, match="bins must be at least 1; got 0"):
        losses.histogram_binned(bins=0)
