"""The shared table: what holds of every transform."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from transform_rows import ROWS, SHAPE, TABLE, alike, blended, eager, moved, pair, sample

from nstjax import transforms


def test_every_public_transform_is_in_the_table():
    assert {row.name.split()[0] for row in TABLE} == set(transforms.__all__) - {"Transform"}


SHAPES = ((5, 7, 3), (2, 2, 6), (1, 1, 4), (1, 8, 3), (9, 4, 2))


@functools.cache
def values(row, dtype):
    """Transformed features of all SHAPES, or of two in float64, in one program."""
    pairs = [pair(row, shape, dtype) for shape in SHAPES[: 2 if dtype is float else None]]
    with jax.enable_x64(dtype is float):
        program = jax.jit(lambda pairs: [moved(row.transform, *pair) for pair in pairs])
        return jax.tree.map(np.asarray, program(pairs))


@pytest.mark.parametrize("shape", SHAPES)
@ROWS
def test_value_is_that_of_the_transcription(row, shape):
    x, s = pair(row, shape)
    expected = row.formula(x.astype(float), s.astype(float))
    ours = values(row, np.float32)[SHAPES.index(shape)]
    assert ours.dtype == np.float32
    # Whitening multiplies float32 rounding by the square root of a condition number, here up to 100.
    np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("shape", SHAPES[:2])
@ROWS
def test_value_in_float64_is_that_of_the_transcription(row, shape):
    ours = values(row, float)[SHAPES.index(shape)]
    assert ours.dtype == np.float64
    np.testing.assert_allclose(ours, row.formula(*pair(row, shape, float)), rtol=1e-7, atol=1e-8)


@ROWS
def test_jit_is_eager_and_vmap_is_a_loop(row):
    x, s = alike(row)
    xs = np.stack([x, 0.9 * x, x[::-1]])
    one = np.stack([moved(row.transform, x, s, alpha=0.7) for x in xs])
    np.testing.assert_allclose(
        eager(row.transform, x, s, alpha=0.7), one[0], rtol=1e-4, atol=1e-5
    )  # as above
    many = jax.jit(jax.vmap(lambda x, s: moved(row.transform, x, s, alpha=0.7), (0, None)))(xs, s)
    np.testing.assert_allclose(many, one, rtol=1e-4, atol=1e-5)


@ROWS
def test_degenerate_features_give_finite_values_and_gradients(row):
    x, s = alike(row)
    dead = x * np.array([1, 0, 1], np.float32)
    f = jax.jit(jax.value_and_grad(lambda x, s: jnp.sum(jnp.sin(moved(row.transform, x, s)))))
    for given in (np.full_like(x, 0.7), np.zeros_like(x), dead, x):
        for style in (s, np.zeros_like(s), np.full_like(s, 0.4)):
            value, gradient = f(given, style)
            assert np.isfinite(value) and np.isfinite(gradient).all()


@ROWS
def test_own_statistics_change_nothing(row):
    x, _ = alike(row)
    same = np.allclose(moved(row.transform, x, x), x, atol=1e-4)
    assert same == row.identity


@ROWS
def test_alpha_goes_from_features_to_transformed_ones(row):
    x, s = alike(row)
    np.testing.assert_array_equal(moved(row.transform, x, s, alpha=0.0), x)
    half = moved(row.transform, x, s, alpha=0.25)
    np.testing.assert_allclose(
        half, 0.25 * moved(row.transform, x, s, alpha=1.0) + 0.75 * x, rtol=1e-5, atol=1e-6
    )


@functools.partial(jax.jit, static_argnums=0)
def mapped(transform, x, s, where=None, style_where=None):
    """Features x mapped everywhere by the statistics under masks."""
    return transform.map(x, transform.style(s, where=style_where), where=where)


@ROWS
def test_masks(row):
    x, s = alike(row)
    ones = np.ones(SHAPE[:2], np.float32)
    plain = moved(row.transform, x, s)
    np.testing.assert_allclose(moved(row.transform, x, s, ones, ones), plain, rtol=1e-4, atol=1e-5)
    none = np.zeros_like(ones)
    np.testing.assert_array_equal(eager(row.transform, x, s, none), x)
    np.testing.assert_array_equal(eager(row.transform, x, s, None, none), x)
    np.testing.assert_array_equal(moved(row.transform, x, s, none, none), x)
    where = none.copy()
    where[1:5, 2:6] = 1
    inside = moved(row.transform, x, s, where, where)
    np.testing.assert_array_equal(inside[where == 0], x[where == 0])
    cut = moved(row.transform, x[1:5, 2:6], s[1:5, 2:6])
    np.testing.assert_allclose(inside[1:5, 2:6], cut, rtol=1e-4, atol=1e-5)
    half = moved(row.transform, x, s, 0.5 * where, where)
    # A mask of halves has the statistics of the region, and moves it half the way.
    np.testing.assert_allclose(half[1:5, 2:6], (cut + x[1:5, 2:6]) / 2, rtol=1e-4, atol=1e-5)


@ROWS
def test_a_constant_mask_has_the_statistics_of_no_mask(row):
    x, s = alike(row)
    plain = mapped(row.transform, x, s)
    for level in (1e-3, 1e-30):
        same = np.full(SHAPE[:2], level, np.float32)
        np.testing.assert_allclose(mapped(row.transform, x, s, same, same), plain, rtol=1e-4, atol=1e-5)


@ROWS
def test_styles_are_blended(row):
    (x, s), again = alike(row), sample(row, SHAPE, 2)
    t, none = row.transform, np.zeros(SHAPE[:2], np.float32)
    a, b = (np.asarray(moved(t, x, style)) for style in (s, again))
    for weights, alone in (([1.0, 0.0], a), ([0.0, 1.0], b)):
        found = blended(t, x, [s, again], [None, None], weights)
        np.testing.assert_allclose(found, alone, rtol=1e-4, atol=1e-5)
    found = blended(t, x, [s, again], [None, none], [0.5, 0.5])
    np.testing.assert_allclose(found, a, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(blended(t, x, [again, again], [none, none], [0.5, 0.5]), x)
    if row.name.split()[0] in ("adain", "luminance", "mean_shift") or row.name == "wct":
        found = blended(t, x, [s, again], [None, None], [0.25, 0.75])
        np.testing.assert_allclose(found, 0.25 * a + 0.75 * b, rtol=1e-4, atol=1e-5)


def shaped(*shape):
    return jax.ShapeDtypeStruct(shape, jnp.float32)


@ROWS
def test_batches_and_other_masks_are_refused(row):
    """Shapes suffice to refuse, so that nothing is computed."""
    t = row.transform
    style = jax.eval_shape(t.style, shaped(4, 4, 3))
    for f, arguments in ((t.style, (shaped(2, 4, 4, 3),)), (t.apply, (shaped(2, 4, 4, 3), style))):
        with pytest.raises(ValueError, match=r"features must be \[h, w, c\]; got \[2, 4, 4, 3\]"):
            jax.eval_shape(f, *arguments)
    with pytest.raises(ValueError, match=r"where must be \[h, w\] = \[4, 4\]; got \[4, 4, 1\]"):
        jax.eval_shape(
            lambda x, style, where: t.apply(x, style, where=where), shaped(4, 4, 3), style, shaped(4, 4, 1)
        )


@pytest.mark.parametrize("row", [row for row in TABLE if not row.picture], ids=lambda row: row.name)
def test_a_style_of_other_channels_is_refused(row):
    style = jax.eval_shape(row.transform.style, shaped(4, 4, 3))
    with pytest.raises(ValueError, match="target must be "):
        jax.eval_shape(row.transform.apply, shaped(4, 4, 1), style)
