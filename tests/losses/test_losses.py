"""The shared table: what holds of every loss."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from rows import TABLE, features, value

from nstjax import losses

SHAPE = (6, 8, 3)


@pytest.fixture(scope="module", params=TABLE, ids=lambda row: row.name)
def row(request):
    """A row; its tests come one after the other, so that they share what they compile."""
    yield request.param
    evaluate.cache_clear()
    jax.clear_caches()


@functools.cache
def evaluate(loss):
    """Compiled `(x, s, where, target_where) -> (value, gradient)`; each mask an array or None."""
    return jax.jit(jax.value_and_grad(lambda x, s, *masks: value(loss, x, s, *masks)))


def test_every_public_loss_is_in_the_table():
    assert {row.name.split()[0] for row in TABLE} == set(losses.__all__) - {"Loss"}


@pytest.mark.parametrize(
    "shape", [SHAPE, (2, 2, 6), (1, 1, 4), pytest.param((9, 4, 2), marks=pytest.mark.slow)]
)
def test_value_is_that_of_the_transcription(row, shape):
    x, s = features(shape, 0), features(shape, 1)
    ours, _ = evaluate(row.loss)(x, s, None, None)
    assert ours.dtype == jnp.float32 and ours.shape == ()
    np.testing.assert_allclose(ours, row.formula(x.astype(float), s.astype(float)), rtol=row.rtol)


@pytest.mark.parametrize(
    "shape, masked",
    [
        ((4, 5, 3), True),
        pytest.param((4, 5, 3), False, marks=pytest.mark.slow),
        pytest.param((2, 2, 6), False, marks=pytest.mark.slow),
    ],
)
def test_gradient_is_that_of_finite_differences(row, shape, masked):
    with jax.enable_x64(True):
        x, s = (jnp.asarray(features(shape, seed, float)) for seed in range(2))
        where = np.random.default_rng(2).uniform(size=shape[:2]) if masked else None
        score, gradient = map(np.asarray, evaluate(row.loss)(x, s, where, where))
        if row.gradient:
            np.testing.assert_allclose(gradient, row.gradient(x, s, where), rtol=1e-5, atol=1e-10)
            return
        steps = 1e-6 * np.eye(x.size).reshape(-1, *shape)
        values = jax.jit(jax.vmap(lambda x: value(row.loss, x, s, where, where)))
        after, before = np.split(values(jnp.concatenate([x + steps, x - steps])), 2)
        numeric = np.reshape((after - before) / 2e-6, shape)
        # Central differences of step 1e-6 leave an error of about 1e-9 of the value.
        np.testing.assert_allclose(gradient, numeric, rtol=1e-5, atol=1e-7 * abs(score))
        assert np.abs(gradient).max() > 0


@pytest.mark.parametrize("x", ["identity", "constant", "zero", "dead channel"])
def test_degenerate_features_give_finite_values_and_gradients(row, x):
    s = features(SHAPE, 1)
    given = {
        "identity": s,
        "constant": np.full_like(s, 0.7),
        "zero": np.zeros_like(s),
        "dead channel": s * np.array([1, 0, 1], np.float32),
    }[x]
    got, gradient = evaluate(row.loss)(given, s, None, None)
    assert np.isfinite(got) and np.isfinite(gradient).all()
    if not row.estimates:
        assert got >= -row.rounding
    if x == "identity" and row.compares and not row.estimates:
        # Not compiled: a target that is fused with the score may be rounded otherwise.
        assert value(row.loss, s, s) <= row.rounding
    if x in ("constant", "zero") and not row.compares:
        assert got == 0 and not np.abs(gradient).any()


def test_jit_is_eager_and_vmap_is_a_loop(row):
    xs, s = jnp.stack([features(SHAPE, seed) for seed in range(3)]), jnp.asarray(features(SHAPE, 9))
    one = jnp.stack([evaluate(row.loss)(x, s, None, None)[0] for x in xs])
    np.testing.assert_allclose(value(row.loss, xs[0], s), one[0], rtol=1e-5)
    np.testing.assert_allclose(jax.jit(jax.vmap(lambda x: value(row.loss, x, s)))(xs), one, rtol=1e-5)


def test_a_mask_of_ones_is_no_mask(row):
    x, s, ones = features(SHAPE, 0), features(SHAPE, 1), np.ones(SHAPE[:2], np.float32)
    plain, _ = evaluate(row.loss)(x, s, None, None)
    np.testing.assert_allclose(evaluate(row.loss)(x, s, ones, ones)[0], plain, rtol=1e-5)
    np.testing.assert_allclose(evaluate(row.loss)(x, s, ones, None)[0], plain, rtol=1e-5)


def test_an_empty_mask_scores_zero_with_zero_gradient(row):
    x, s, none = features(SHAPE, 0), features(SHAPE, 1), np.zeros(SHAPE[:2], np.float32)
    for target_where in (None, none):
        got, gradient = evaluate(row.loss)(x, s, none, target_where)
        assert got == 0 and not np.asarray(gradient).any()


def block():
    """A binary mask, and its part of a picture."""
    where, inside = np.zeros(SHAPE[:2], np.float32), np.s_[1:5, 2:6]
    where[inside] = 1
    return where, inside


def test_the_gradient_is_zero_outside_a_binary_mask(row):
    where, _ = block()
    _, gradient = evaluate(row.loss)(features(SHAPE, 0), features(SHAPE, 1), where, where)
    assert not np.asarray(gradient)[where == 0].any()
    assert np.asarray(gradient)[where == 1].any()


def test_a_binary_mask_is_the_region_cut_out(row):
    if not (row.compares and row.cuts):
        return
    x, s, (where, inside) = features(SHAPE, 0), features(SHAPE, 1), block()
    alone = value(row.loss, x[inside], s[inside])
    # feature_sum scales the region's mean to the whole picture, as every sum here does.
    expected = alone * where.size / where.sum() if row.name == "feature_sum" else alone
    np.testing.assert_allclose(evaluate(row.loss)(x, s, where, where)[0], expected, rtol=1e-5)


def test_what_is_not_one_image_is_refused(row):
    x, s = features(SHAPE, 0), features(SHAPE, 1)
    target = row.loss.target(s)
    batch = r"features must be \[h, w, c\]; got \[2, 6, 8, 3\] \(jax.vmap maps over a batch\)"
    for call in (
        lambda: row.loss.target(np.stack([s, s])),
        lambda: row.loss.score(np.stack([x, x]), target, key=jax.random.key(0)),
    ):
        with pytest.raises(ValueError, match=batch):
            call()
    for where in (np.ones((8, 6)), np.ones((*SHAPE[:2], 1))):
        with pytest.raises(ValueError, match=r"where must be \[h, w\] = \[6, 8\]; got "):
            row.loss.score(x, target, where=where)


@pytest.mark.parametrize("channels", [2, 5])
def test_a_target_of_other_channels_is_refused(row, channels):
    x, target = features(SHAPE, 0), row.loss.target(features((*SHAPE[:2], channels), 1))
    if jax.tree.leaves(target) and row.name != "laplacian":  # of the sum over channels
        with pytest.raises(ValueError, match=r"target must be .* as features .* have; got "):
            row.loss.score(x, target, key=jax.random.key(0))
    else:
        row.loss.score(x, target, key=jax.random.key(0))


@pytest.mark.parametrize("name", ["feature", "feature_sum", "feature_deep_photo", "self_similarity"])
def test_a_target_of_another_size_is_refused_where_positions_are_compared(name):
    loss = getattr(losses, name)()
    for shape in ((4, 4, 1), (1, 1, 3), (4, 1, 3)):
        with pytest.raises(ValueError, match=r"target must be \[4, 4, 3\]"):
            loss.score(features((4, 4, 3), 0), loss.target(features(shape, 1)))
