"""The shared table: what holds of every loss."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from rows import TABLE, blended_value, eager_value, features, value

from nstjax import losses

SHAPE = (6, 8, 3)
INSIDE = np.s_[1:5, 2:6]
KEY = jax.random.key(0)


def by_rows(*rows):
    """The rows of a test's module; its tests come row by row, so that they share compiled programs."""
    return pytest.mark.parametrize("row", rows, ids=lambda row: row.name, scope="module")


ROWS = by_rows(*TABLE)


@functools.cache
def evaluate(loss):
    """Compiled `(x, s, where, target_where) -> (value, gradient)`; each mask an array or None."""
    return jax.jit(jax.value_and_grad(lambda x, s, *masks: value(loss, x, s, *masks)))


@functools.cache
def small_values(loss):
    """Values of `SMALL` shapes, and of the part of SHAPE inside the block, in one program."""
    x, s = features(SHAPE, 0)[INSIDE], features(SHAPE, 1)[INSIDE]
    pairs = [*((features(shape, 0), features(shape, 1)) for shape in SMALL), (x, s)]
    return jax.jit(lambda pairs: [eager_value(loss, *pair) for pair in pairs])(pairs)


SMALL = (2, 2, 6), (1, 1, 4)


def block():
    """A binary mask of SHAPE: 1 inside INSIDE."""
    where = np.zeros(SHAPE[:2], np.float32)
    where[INSIDE] = 1
    return where


def shaped(*shape):
    return jax.ShapeDtypeStruct(shape, jnp.float32)


def test_every_public_loss_is_in_the_table():
    assert {row.name.split()[0] for row in TABLE} == set(losses.__all__) - {"Loss"}


@pytest.mark.parametrize("shape", [SHAPE, *SMALL, pytest.param((9, 4, 2), marks=pytest.mark.slow)])
@ROWS
def test_value_is_that_of_the_transcription(row, shape):
    x, s = features(shape, 0), features(shape, 1)
    if shape in SMALL:
        ours = small_values(row.loss)[SMALL.index(shape)]
    else:
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
@ROWS
def test_gradient_is_that_of_finite_differences_in_float64(row, shape, masked):
    with jax.enable_x64(True):
        x, s = (features(shape, seed, float) for seed in range(2))
        where = np.random.default_rng(2).uniform(size=shape[:2]) if masked else None

        def score(x):
            return eager_value(row.loss, x, s, where, where)

        if row.gradient:
            value, gradient = jax.jit(jax.value_and_grad(score))(x)
        else:
            steps = 1e-6 * np.eye(x.size).reshape(-1, *shape)
            both = jax.jit(lambda x, near: (jax.value_and_grad(score)(x), jax.vmap(score)(near)))
            (value, gradient), near = both(x, np.concatenate([x + steps, x - steps]))
        assert value.dtype == gradient.dtype == jnp.float64
        value, gradient = np.asarray(value), np.asarray(gradient)
    if row.gradient:
        np.testing.assert_allclose(gradient, row.gradient(x, s, where), rtol=1e-5, atol=1e-10)
        return
    after, before = np.split(np.asarray(near), 2)
    # Central differences of step 1e-6 leave an error of about 1e-9 of the value.
    numeric = np.reshape((after - before) / 2e-6, shape)
    np.testing.assert_allclose(gradient, numeric, rtol=1e-5, atol=1e-7 * abs(value))
    assert np.abs(gradient).max() > 0


@pytest.mark.parametrize("x", ["identity", "constant", "zero", "dead channel"])
@ROWS
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
    if x in ("constant", "zero") and not row.compares:
        assert got == 0 and not np.abs(gradient).any()


@by_rows(*(row for row in TABLE if row.compares and not row.estimates))
def test_a_loss_is_zero_at_its_own_target(row):
    s = features(SHAPE, 1)
    # Not compiled: a target that is fused with the score may be rounded otherwise.
    assert eager_value(row.loss, s, s) <= row.rounding


@by_rows(*(row for row in TABLE if row.compares and not row.estimates))
def test_the_gradient_is_zero_at_the_own_target(row):
    """Of features whose sums are exact, so that no rounding stands for a difference."""
    s = np.round(2 * features((4, 8, 3), 1, float)) / 2
    with jax.enable_x64(True):
        own, near = jax.jit(jax.vmap(jax.grad(lambda x: eager_value(row.loss, x, s))))(
            np.stack([s, s + 0.1 * features(s.shape, 2)])
        )
        own, near = np.abs(own).max(), np.abs(near).max()
    assert own <= 1e-6 * near > 0


# Losses with a kink where two numbers are equal: |difference|, or an unsquared norm of differences.
KINKS = ("gram_l1_normalised", "cmd", "moments_l1", "self_similarity")


@by_rows(*(row for row in TABLE if row.name in KINKS))
def test_the_gradient_at_a_kink_is_the_mean_of_those_beside_it(row):
    """As central differences are: of a dead channel, and of a position that is the target's."""
    x, s = (features((4, 5, 3), seed, float) * [1, 0, 1] for seed in range(2))
    x[0] = s[0]
    with jax.enable_x64(True):
        score = jax.jit(jax.value_and_grad(lambda x: eager_value(row.loss, x, s)))
        _, gradient = score(x)
        steps = 1e-6 * np.eye(x.size).reshape(-1, *x.shape)
        after, before = (np.array([score(near)[0] for near in x + side * steps]) for side in (1, -1))
    np.testing.assert_allclose(gradient, ((after - before) / 2e-6).reshape(x.shape), rtol=1e-5, atol=1e-7)


def test_cmd_is_precise_near_its_target_in_float32():
    """Its program takes central moments, whose differences float32 knows to 1e-4 of the gradient here."""
    loss = losses.cmd()
    s = features((32, 32, 16), 1, float) + 3
    x = s + 0.01 * features(s.shape, 2, float)
    gradient = jax.jit(jax.grad(lambda x, s: eager_value(loss, x, s)))
    with jax.enable_x64(True):
        exact = np.asarray(gradient(x, s))
    found = gradient(x.astype(np.float32), s.astype(np.float32))
    assert np.linalg.norm(found - exact) < 1e-3 * np.linalg.norm(exact)


def test_a_blend_of_cmd_has_the_moments_of_the_mixture():
    loss, x = losses.cmd(squash=False), features((4, 5, 3), 0)
    a, b = features((4, 6, 3), 1), 2 * features((2, 6, 3), 2) + 1
    found = blended_value(loss, x, [a, b], [2 / 3, 1 / 3])
    np.testing.assert_allclose(found, value(loss, x, np.concatenate([a, b])), rtol=1e-5)


@ROWS
def test_jit_is_eager_and_vmap_is_a_loop(row):
    xs, s = jnp.stack([features(SHAPE, seed) for seed in range(3)]), jnp.asarray(features(SHAPE, 9))
    one = jnp.stack([evaluate(row.loss)(x, s, None, None)[0] for x in xs])
    np.testing.assert_allclose(eager_value(row.loss, xs[0], s), one[0], rtol=1e-5)
    many = jax.jit(jax.vmap(lambda x, s: eager_value(row.loss, x, s), (0, None)))(xs, s)
    np.testing.assert_allclose(many, one, rtol=1e-5)


@ROWS
def test_a_mask_of_ones_is_no_mask(row):
    x, s, ones = features(SHAPE, 0), features(SHAPE, 1), np.ones(SHAPE[:2], np.float32)
    plain, _ = evaluate(row.loss)(x, s, None, None)
    np.testing.assert_allclose(evaluate(row.loss)(x, s, ones, ones)[0], plain, rtol=1e-5)
    np.testing.assert_allclose(evaluate(row.loss)(x, s, ones, None)[0], plain, rtol=1e-5)


@pytest.mark.parametrize("level", [1e-3, 1e-30])
@ROWS
def test_a_constant_mask_is_no_mask(row, level):
    """Masks are normalised by area: value and gradient are those without one."""
    x, s, same = features(SHAPE, 0), features(SHAPE, 1), np.full(SHAPE[:2], level, np.float32)
    plain, slope = evaluate(row.loss)(x, s, None, None)
    for target_where in (same, None):
        got, gradient = evaluate(row.loss)(x, s, same, target_where)
        np.testing.assert_allclose(got, plain, rtol=max(row.rtol, 1e-5))
        np.testing.assert_allclose(
            gradient, slope, rtol=1e-3, atol=1e-4 * np.abs(slope).max()
        )  # sums in float32


@ROWS
def test_an_empty_mask_scores_zero_with_zero_gradient(row):
    x, s, none = features(SHAPE, 0), features(SHAPE, 1), np.zeros(SHAPE[:2], np.float32)
    for target_where in (None, none):
        got, gradient = evaluate(row.loss)(x, s, none, target_where)
        assert got == 0 and not np.asarray(gradient).any()


@ROWS
def test_the_gradient_is_zero_outside_a_binary_mask(row):
    where = block()
    _, gradient = evaluate(row.loss)(features(SHAPE, 0), features(SHAPE, 1), where, where)
    assert not np.asarray(gradient)[where == 0].any()
    assert np.asarray(gradient)[where == 1].any()


@by_rows(*(row for row in TABLE if row.compares and row.cuts))
def test_a_binary_mask_is_the_region_cut_out(row):
    where, alone = block(), small_values(row.loss)[-1]
    # feature_sum scales the region's mean to the whole picture, as every sum here does.
    expected = alone * where.size / where.sum() if row.name == "feature_sum" else alone
    got, _ = evaluate(row.loss)(features(SHAPE, 0), features(SHAPE, 1), where, where)
    np.testing.assert_allclose(got, expected, rtol=1e-5)


@ROWS
def test_batches_and_other_masks_are_refused(row):
    """Shapes suffice to refuse, so that nothing is computed."""
    target = jax.eval_shape(row.loss.target, shaped(*SHAPE))
    batch = r"features must be \[h, w, c\]; got \[2, 6, 8, 3\] \(jax.vmap maps over a batch\)"
    with pytest.raises(ValueError, match=batch):
        jax.eval_shape(row.loss.target, shaped(2, *SHAPE))
    with pytest.raises(ValueError, match=batch):
        jax.eval_shape(row.loss.score, shaped(2, *SHAPE), target)
    for where in (shaped(8, 6), shaped(*SHAPE[:2], 1)):
        with pytest.raises(ValueError, match=r"where must be \[h, w\] = \[6, 8\]; got "):
            jax.eval_shape(
                lambda x, t, where: row.loss.score(x, t, where=where), shaped(*SHAPE), target, where
            )


def other_channels(row, channels):
    """The score of features with a target of so many channels, by shapes alone."""
    target = jax.eval_shape(row.loss.target, shaped(*SHAPE[:2], channels))
    return jax.eval_shape(lambda x, t: row.loss.score(x, t, key=KEY), shaped(*SHAPE), target)


# Losses whose target has no channels: none at all, or their sum.
CHANNEL_FREE = [row for row in TABLE if not row.compares or row.name == "laplacian"]


@pytest.mark.parametrize("channels", [2, 5])
@by_rows(*(row for row in TABLE if row not in CHANNEL_FREE))
def test_a_target_of_other_channels_is_refused(row, channels):
    with pytest.raises(ValueError, match=r"target must be .* as features .* have; got "):
        other_channels(row, channels)


@by_rows(*CHANNEL_FREE)
def test_a_target_without_channels_fits_any_features(row):
    assert other_channels(row, 2).shape == other_channels(row, 5).shape == ()


@pytest.mark.parametrize("name", ["feature", "feature_sum", "feature_deep_photo", "self_similarity"])
def test_a_target_of_another_size_is_refused_where_positions_are_compared(name):
    loss = getattr(losses, name)()
    for shape in ((4, 4, 1), (1, 1, 3), (4, 1, 3)):
        target = jax.eval_shape(loss.target, shaped(*shape))
        with pytest.raises(ValueError, match=r"target must be \[4, 4, 3\]"):
            jax.eval_shape(loss.score, shaped(4, 4, 3), target)
