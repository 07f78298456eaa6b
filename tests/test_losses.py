"""The shared table: what holds of every loss."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from rows import TABLE, features, value

from nstjax import losses

ROWS = pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
SHAPES = [(5, 7, 3), (2, 2, 6), (1, 1, 4), (1, 8, 3), (9, 4, 2)]


def test_every_public_loss_is_in_the_table():
    assert {row.name.split()[0] for row in TABLE} == set(losses.__all__) - {"Loss"}


@ROWS
@pytest.mark.parametrize("shape", SHAPES)
def test_value_is_that_of_the_transcription(row, shape):
    x, s = features(shape, 0), features(shape, 1)
    ours = value(row.loss, x, s)
    assert ours.dtype == jnp.float32 and ours.shape == ()
    np.testing.assert_allclose(ours, row.formula(x.astype(float), s.astype(float)), rtol=row.rtol)


@ROWS
@pytest.mark.parametrize("shape", [(4, 5, 3), (2, 2, 6)])
@pytest.mark.parametrize("masked", [False, True], ids=["everywhere", "masked"])
def test_gradient_is_that_of_finite_differences(row, shape, masked):
    with jax.enable_x64(True):
        x, s = features(shape, 0, float), features(shape, 1, float)
        where = np.random.default_rng(2).uniform(size=shape[:2]) if masked else None

        def f(x):
            return value(row.loss, x, s, where, where)

        gradient = np.asarray(jax.jit(jax.grad(f))(x))
        if row.gradient:
            np.testing.assert_allclose(gradient, row.gradient(x, s, where), rtol=1e-5, atol=1e-10)
            return
        steps = 1e-6 * np.eye(x.size).reshape(-1, *shape)
        after, before = (jax.jit(jax.vmap(f))(x + sign * steps) for sign in (1, -1))
        numeric = np.reshape((after - before) / 2e-6, shape)
        # Central differences of step 1e-6 leave an error of about 1e-9 of the value.
        np.testing.assert_allclose(gradient, numeric, rtol=1e-5, atol=1e-7 * abs(float(f(x))))
        assert np.abs(gradient).max() > 0


@ROWS
@pytest.mark.parametrize("x", ["identity", "constant", "zero", "dead channel"])
def test_degenerate_features_give_finite_values_and_gradients(row, x):
    s = features((6, 5, 4), 1)
    given = {
        "identity": s,
        "constant": np.full_like(s, 0.7),
        "zero": np.zeros_like(s),
        "dead channel": s * np.array([1, 0, 1, 1], np.float32),
    }[x]
    got, gradient = jax.value_and_grad(lambda x: value(row.loss, x, s))(jnp.asarray(given))
    assert np.isfinite(got) and np.isfinite(gradient).all()
    if not row.estimates:
        assert got >= -row.rounding
        if x == "identity" and row.compares:
            assert got <= row.rounding
    if x in ("constant", "zero") and not row.compares:
        assert got == 0 and not np.abs(gradient).any()


@ROWS
def test_jit_is_eager_and_vmap_is_a_loop(row):
    xs = jnp.stack([features((5, 4, 3), seed) for seed in range(3)])
    s = features((5, 4, 3), 9)
    one = jnp.stack([value(row.loss, x, s) for x in xs])
    np.testing.assert_allclose(jax.vmap(lambda x: value(row.loss, x, s))(xs), one, rtol=1e-5)
    np.testing.assert_allclose(jax.jit(lambda x: value(row.loss, x, s))(xs[0]), one[0], rtol=1e-5)


@ROWS
def test_a_mask_of_ones_is_no_mask(row):
    x, s, ones = features((6, 5, 3), 0), features((6, 5, 3), 1), np.ones((6, 5), np.float32)
    np.testing.assert_allclose(value(row.loss, x, s, ones, ones), value(row.loss, x, s), rtol=1e-5)


@ROWS
def test_an_empty_mask_scores_zero_with_zero_gradient(row):
    x, s, none = features((6, 5, 3), 0), features((6, 5, 3), 1), jnp.zeros((6, 5))
    for target_where in (None, none):
        got, gradient = jax.value_and_grad(lambda x, w=target_where: value(row.loss, x, s, none, w))(x)
        assert got == 0 and not np.asarray(gradient).any()


@ROWS
def test_the_gradient_is_zero_outside_a_binary_mask(row):
    x, s = features((6, 8, 3), 0), features((6, 8, 3), 1)
    where = jnp.zeros((6, 8)).at[1:5, 2:6].set(1)
    gradient = jax.grad(lambda x: value(row.loss, x, s, where, where))(x)
    assert not np.asarray(gradient)[np.asarray(where) == 0].any()
    assert np.asarray(gradient)[np.asarray(where) == 1].any()


@pytest.mark.parametrize("row", [r for r in TABLE if r.compares and r.cuts], ids=lambda r: r.name)
def test_a_binary_mask_is_the_region_cut_out(row):
    x, s = features((6, 8, 3), 0), features((6, 8, 3), 1)
    where = np.zeros((6, 8), np.float32)
    where[1:5, 2:6] = 1
    inside = value(row.loss, x[1:5, 2:6], s[1:5, 2:6])
    # feature_sum scales the region's mean to the whole picture, as every sum here does.
    expected = inside * (6 * 8 / 16) if row.name == "feature_sum" else inside
    np.testing.assert_allclose(value(row.loss, x, s, where, where), expected, rtol=1e-5)
