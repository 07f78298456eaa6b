"""Losses on covariances and transforms: by hand, of several styles, and what they are equal to."""

import functools

import jax
import numpy as np
import pytest
from rows import blended_value, features, flat, value
from rows.second_order import wasserstein

from nstjax import losses, transforms

SIGNS = np.stack([v.ravel() for v in np.meshgrid(*[[-1.0, 1.0]] * 3)], -1).reshape(2, 4, 3)


def diagonal(deviations, mean=(0, 0, 0)):
    """Features [2, 4, 3] whose channels have these deviations and nothing to do with each other."""
    return (SIGNS * np.array(deviations) + np.array(mean)).astype(np.float32)


@functools.partial(jax.jit, static_argnums=0)
def moved(transform, x, s):
    return transform.apply(x, transform.style(s))


def test_gaussians_by_hand():
    loss = losses.wasserstein_gaussian()
    x, s = diagonal([1, 2, 3], [1, 0, 0]), diagonal([2, 2, 1])
    np.testing.assert_allclose(value(loss, x, s), 6, rtol=1e-5)
    np.testing.assert_allclose(value(loss, s, x), 6, rtol=1e-5)
    mixed = np.random.default_rng(0).permutation(flat(x)).reshape(x.shape)
    np.testing.assert_allclose(value(loss, mixed, s), 6, rtol=1e-5)
    one, other = features((5, 5, 1), 0), 3 * features((6, 4, 1), 1)
    expected = (one.mean() - other.mean()) ** 2 + (one.std() - other.std()) ** 2
    np.testing.assert_allclose(value(loss, one, other), expected, rtol=1e-5)
    x, by = features((6, 5, 3), 0), np.array([1, -2, 2], np.float32)
    np.testing.assert_allclose(value(loss, x + by, x), 9, rtol=1e-5)
    np.testing.assert_allclose(value(loss, 0 * x + by, x), ((x - by) ** 2).mean((0, 1)).sum(), rtol=1e-5)
    # With eps on both variances, means over channels instead of sums.
    x, s = diagonal([1, 2, 0], [1, 0, 0]), diagonal([2, 2, 1])
    crowsonkb = value(losses.wasserstein_gaussian(convention="crowsonkb"), x, s)
    deviations = [np.sqrt(np.square(d) + 1e-4) for d in ([1, 2, 0], [2, 2, 1])]
    np.testing.assert_allclose(crowsonkb, (1 + np.square(np.subtract(*deviations)).sum()) / 3, rtol=1e-5)
    # Symmetric, and so is its gradient: that of the target is that of features in its place.
    x, s = features((6, 5, 3), 0), 2 * features((4, 7, 3), 1)
    gradients = jax.jit(jax.grad(lambda x, s: value(loss, x, s), (0, 1)))
    ours, theirs = gradients(x, s)
    back, _ = gradients(s, x)
    np.testing.assert_allclose(theirs, back, rtol=1e-4, atol=1e-6)
    assert np.abs(ours).max() > 0.01
    with pytest.raises(ValueError, match="convention must be one of wasserstein, crowsonkb; got 'sum'"):
        losses.wasserstein_gaussian(convention="sum")
    with pytest.raises(ValueError, match="iterations must be at least 1; got 0"):
        losses.wasserstein_gaussian(iterations=0)


def test_the_distance_of_gaussians_is_the_cost_of_the_optimal_map():
    mix = np.array([[1, 0, 0], [1, 0.7, 0], [0, -0.5, 0.6]], np.float32)
    x, s = 0.5 + 0.03 * features((6, 5, 3), 0) @ mix, 0.5 + 0.03 * features((7, 8, 3), 1) @ mix.T
    t = transforms.colour(method="optimal_transport", eps=0.0)
    cost = np.mean(np.square(moved(t, x, s) - x)) * 3
    np.testing.assert_allclose(value(losses.wasserstein_gaussian(), x, s), cost, rtol=1e-4)
    for method in ("cholesky", "symmetric"):
        t = transforms.colour(method=method, eps=0.0)
        assert np.mean(np.square(moved(t, x, s) - x)) * 3 > 1.01 * cost


def test_gaussians_in_float32_are_those_of_float64():
    """Of few positions in many channels, and of covariances with eigenvalues over six decades."""
    loss, rng = losses.wasserstein_gaussian(), np.random.default_rng(0)
    spread = np.linalg.qr(rng.normal(size=(64, 64)))[0] * np.logspace(0, -3, 64)
    for shape in ((4, 4, 64), (16, 16, 64)):
        x, s = (np.maximum(features(shape, seed) @ spread.T, 0).astype(np.float32) for seed in (0, 1))
        evaluate = jax.jit(jax.value_and_grad(lambda x, s: value(loss, x, s)))
        found, gradient = evaluate(x, s)
        with jax.enable_x64(True):
            exact = evaluate(x.astype(float), s)
            expected, exact = jax.tree.map(np.asarray, exact)
            np.testing.assert_allclose(expected, wasserstein(x.astype(float), s.astype(float)), rtol=1e-6)
        np.testing.assert_allclose(found, expected, rtol=1e-3)
        # What float32 cannot tell from 0 carries a hundredth of the gradient.
        assert np.linalg.norm(gradient - exact) < 0.02 * np.linalg.norm(exact)
        own = jax.jit(jax.grad(loss.score))(x, jax.jit(loss.target)(x))
        assert np.linalg.norm(own) < 0.02 * np.linalg.norm(exact)


def test_newton_schulz_comes_to_the_exact_distance():
    x, s = features((6, 7, 4), 0), 2 * features((5, 5, 4), 1)
    exact = value(losses.wasserstein_gaussian(), x, s)
    np.testing.assert_allclose(value(losses.wasserstein_gaussian(iterations=15), x, s), exact, rtol=1e-4)
    style, own = losses.wct_distance(iterations=15), losses.wct_distance()
    np.testing.assert_allclose(value(style, x, s), value(own, x, s), rtol=1e-4)


def test_moments_of_two_styles_are_those_of_both():
    a, b = features((6, 4, 3), 0), 2 + features((6, 4, 3), 1)
    both, x, loss = np.concatenate([a, b]), features((6, 4, 3), 2), losses.wasserstein_gaussian()
    found = blended_value(loss, x, [a, b], [0.5, 0.5])
    np.testing.assert_allclose(found, value(loss, x, both), rtol=1e-5)


def test_a_step_of_wct_distance_leads_to_the_transformed_features():
    x, a, b = features((6, 5, 3), 0), 2 * features((4, 7, 3), 1) + 1, features((5, 5, 3), 2)
    loss, t = (
        losses.wct_distance(convention="wct2"),
        transforms.wct(ridge_content=1.0, ridge_style=1.0, clamp=True),
    )

    @jax.jit
    def both(x):
        target = loss.blend([loss.target(a), loss.target(b)], [0.25, 0.75])
        transformed = t.apply(x, t.blend([t.style(a), t.style(b)], [0.25, 0.75]))
        return jax.value_and_grad(loss.score)(x, target), transformed

    (score, gradient), transformed = both(x)
    np.testing.assert_allclose(score, np.mean((x - transformed) ** 2), rtol=1e-5)
    step = x - x.size / 2 * gradient
    np.testing.assert_allclose(step, transformed, rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match=r"convention must be one of universal_style_transfer, .*; got 'x'"):
        losses.wct_distance(convention="x")


@pytest.mark.parametrize(
    ("loss", "transform"),
    [(losses.mean_std(eps=1e-9), transforms.adain(eps=1e-9)), (losses.histogram(), transforms.histogram())],
    ids=["mean_std", "histogram"],
)
def test_distances_to_features_after_adain_and_histogram_match_are_losses_there_are(loss, transform):
    """In value and in gradient, with the transformed features held constant."""
    x, s = features((6, 5, 3), 0), 2 * features((4, 7, 3), 1)
    held = losses.feature()

    def distance(x):
        return held.score(x, jax.lax.stop_gradient(moved(transform, x, s)))

    expected, gradient = jax.jit(jax.value_and_grad(distance))(x)
    found, ours = jax.jit(jax.value_and_grad(lambda x: value(loss, x, s)))(x)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    np.testing.assert_allclose(ours, gradient, rtol=1e-4, atol=1e-7)
