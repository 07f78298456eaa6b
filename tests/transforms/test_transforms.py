"""The shared table of transforms, and each of them by hand."""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from rows import features, flat

from nstjax import transforms
from nstjax.transforms._colour import METHODS, YUV, from_yuv, to_yuv
from nstjax.transforms._wct import CONVENTIONS


class Row(NamedTuple):
    """A transform and an independent transcription of it in float64, straight from its source.

    Attributes:
      name: the factory's, and whatever tells its arguments.
      transform: a `Transform`.
      formula: f(x, style features) -> transformed features, all [h, w, c].
      picture: whether it is of pictures [H, W, 3] in [0, 1].
      identity: whether it leaves features as they are that have the style's statistics.
    """

    name: str
    transform: transforms.Transform
    formula: Callable
    picture: bool = False
    identity: bool = True


def moments(x, ridge=0.0, ddof=0):
    f = flat(x)
    centred = f - f.mean(0)
    return f.mean(0), centred.T @ centred / max(len(f) - ddof, 1) + ridge * np.eye(f.shape[1])


def power(a, exponent, cut=0.0):
    """Of a symmetric matrix, by its singular vectors, as the programs have it."""
    u, e, _ = np.linalg.svd(a)
    kept = e > max(cut, 1e-12 * e[0])
    return u[:, kept] * e[kept] ** exponent @ u[:, kept].T


def wct(x, s, ridges=(0.0, 0.0), cut=1e-5, ddof=1, clamp=False):
    (mean, a), (mean_s, b) = moments(x, ridges[0], ddof), moments(s, ridges[1], ddof)
    y = (power(b, 0.5, cut) @ power(a, -0.5, cut) @ (flat(x) - mean).T).T + mean_s
    return (np.clip(y, x.min(), x.max()) if clamp else y).reshape(x.shape)


def adain(x, s, eps=1e-5):
    f, g = flat(x), flat(s)
    y = (f - f.mean(0)) / np.sqrt(f.var(0) + eps) * np.sqrt(g.var(0) + eps) + g.mean(0)
    return y.reshape(x.shape)


def mean_shift(x, s):
    return x + (flat(s).mean(0) - flat(x).mean(0))


def histogram(x, s):
    f, g = flat(x), np.sort(flat(s), 0)
    n, m = len(f), len(g)
    y = np.empty_like(f)
    for c in range(f.shape[1]):
        for rank, i in enumerate(np.argsort(f[:, c])):
            y[i, c] = g[int(np.ceil(round((rank + 0.5) / n * m, 9))) - 1, c]
    return y.reshape(x.shape)


def colour(x, s, method, eps=1e-5):
    (mean, a), (mean_s, b) = moments(x, eps), moments(s, eps)
    matrix = {
        "cholesky": lambda: np.linalg.cholesky(b) @ np.linalg.inv(np.linalg.cholesky(a)),
        "symmetric": lambda: power(b, 0.5) @ np.linalg.inv(power(a, 0.5)),
        "optimal_transport": lambda: (
            power(a, -0.5) @ power(power(a, 0.5) @ b @ power(a, 0.5), 0.5) @ power(a, -0.5)
        ),
    }[method]()
    return np.clip((flat(x) - mean) @ matrix.T + mean_s, 0, 1).reshape(x.shape)


def luminance(x, s):
    yuv = x @ np.array(YUV).T
    yuv[..., 1:] = (s @ np.array(YUV).T)[..., 1:]
    return np.clip(yuv @ np.linalg.inv(np.array(YUV)).T, 0, 1)


TABLE = (
    Row("wct", transforms.wct(), wct),
    Row(
        "wct fast_photo_style",
        transforms.wct(ridge_content=1.0),
        lambda x, s: wct(x, s, (1, 0)),
        identity=False,
    ),
    Row("wct wct2", transforms.wct(**CONVENTIONS["wct2"]), lambda x, s: wct(x, s, (1, 1), clamp=True)),
    Row("wct cut", transforms.wct(cut=0.2), lambda x, s: wct(x, s, cut=0.2)),
    Row("wct biased", transforms.wct(cut=0.0, unbiased=False), lambda x, s: wct(x, s, cut=0, ddof=0)),
    Row(
        "wct newton_schulz",
        transforms.wct(ridge_content=0.1, ridge_style=0.1, iterations=20),
        lambda x, s: wct(x, s, (0.1, 0.1)),
    ),
    Row("adain", transforms.adain(), adain),
    Row("histogram", transforms.histogram(), histogram),
    Row("mean_shift", transforms.mean_shift(), mean_shift),
    *(
        Row(f"colour {m}", transforms.colour(method=m), lambda x, s, m=m: colour(x, s, m), picture=True)
        for m in METHODS
    ),
    Row("luminance", transforms.luminance(), luminance, picture=True),
)
ROWS = pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)


def sample(row, shape, seed, dtype=np.float32):
    """Features, or a muted picture: one that no transform takes out of [0, 1]."""
    x = features(shape, seed, dtype)
    return (0.5 + 0.05 * np.tanh(x)).astype(dtype) if row.picture else x


def pair(row, shape, dtype=np.float32):
    """Features and a style, of another size unless the reference must be of the picture's."""
    shape = (*shape[:2], 3) if row.picture else shape
    other = shape if row.name == "luminance" else (shape[0] + 1, shape[1] + 2, shape[2])
    return sample(row, shape, 0, dtype), sample(row, other, 1, dtype)


@functools.partial(jax.jit, static_argnums=0)
def moved(transform, x, s, where=None, style_where=None, alpha=1.0, key=None):
    """Features x moved to the style of features s; each mask [h, w] or None."""
    style = transform.style(s, where=style_where)
    return transform.apply(x, style, where=where, alpha=alpha, key=key)


# Not compiled as a whole: its operations are compiled once for all transforms.
eager = moved.__wrapped__
SHAPE = (6, 8, 3)


def alike(row):
    """Features and a style of one SHAPE, by which most tests share their programs."""
    return sample(row, SHAPE, 0), sample(row, SHAPE, 1)


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
    # A mask of halves has the statistics of the region, but for n - 1, and moves it half the way.
    tolerance = 0.1 if "wct" in row.name else 1e-5
    np.testing.assert_allclose(half[1:5, 2:6], (cut + x[1:5, 2:6]) / 2, rtol=1e-4, atol=tolerance)


def blended(transform, x, styles, masks, weights):
    """Features x moved to a blend of the styles of features under masks, each [h, w] or None."""
    pairs = zip(styles, masks, strict=True)
    style = transform.blend([transform.style(s, where=where) for s, where in pairs], weights)
    return transform.apply(x, style)


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


def test_wct_gives_the_moments_of_the_style():
    x, s = features((9, 7, 4), 0), 2 * features((8, 5, 4), 1) @ features((4, 4), 2)
    (mean, cov), (mean_s, cov_s) = (
        moments(np.asarray(moved(TABLE[0].transform, x, s)), ddof=1),
        moments(s, ddof=1),
    )
    np.testing.assert_allclose(mean, mean_s, atol=1e-5)
    np.testing.assert_allclose(cov, cov_s, rtol=1e-4, atol=1e-4)  # as above
    # Fewer positions than channels: the style's covariance on the directions in which the content varies.
    few, many = features((1, 4, 6), 0), features((5, 6, 6), 1)
    cov, (_, cov_s) = (
        moments(np.asarray(moved(TABLE[0].transform, few, many)), ddof=1)[1],
        moments(many, ddof=1),
    )
    varied = power(moments(few.astype(float), ddof=1)[1], 0.0, 1e-5)
    np.testing.assert_allclose(np.trace(varied), 3)
    np.testing.assert_allclose(cov, power(cov_s, 0.5) @ varied @ power(cov_s, 0.5), rtol=1e-4, atol=1e-4)
    # Channels that have nothing to do with each other are but scaled and moved.
    signs = np.array([[1, 1], [1, -1], [-1, 1], [-1, -1]], np.float32).reshape(2, 2, 2)
    x, s = signs * [1, 2] + [3, 0], signs * [5, 0.5]
    np.testing.assert_allclose(moved(TABLE[0].transform, x, s), adain(x, s, 0.0), atol=1e-4)


def test_wct_conventions_are_those_of_the_programs():
    x, s = features((4, 5, 3), 0), 3 * features((6, 4, 3), 1)
    expected = {
        "universal_style_transfer": wct(x, s),
        "pytorch_wct": wct(x, s),
        "fast_photo_style": wct(x, s, (1, 0)),
        "wct2": wct(x, s, (1, 1), clamp=True),
        "collaborative_distillation": wct(x, s, cut=1e-100),
    }
    assert set(expected) == set(CONVENTIONS)
    for name, arguments in CONVENTIONS.items():
        found = moved(transforms.wct(**arguments), x, s)
        np.testing.assert_allclose(found, expected[name], rtol=1e-4, atol=1e-4)


def test_wct_clamps_to_the_range_inside_the_mask():
    x, s = features((6, 5, 3), 0), 20 * features((4, 7, 3), 1)
    where = np.zeros((6, 5), np.float32)
    where[:3] = 1
    x[3:] *= 10
    y = moved(transforms.wct(**CONVENTIONS["wct2"]), x, s, where)[:3]
    assert y.min() == x[:3].min() and y.max() == x[:3].max()


def test_adain_gives_means_and_deviations_of_the_style():
    x, s = features((6, 5, 3), 0), 3 * features((4, 7, 3), 1) + 2
    y = flat(np.asarray(moved(transforms.adain(), x, s)))
    np.testing.assert_allclose(y.mean(0), flat(s).mean(0), rtol=1e-5)
    np.testing.assert_allclose(y.std(0), flat(s).std(0), rtol=1e-4)


def test_histogram_match_by_hand():
    t = transforms.histogram()
    x, s = features(SHAPE, 0), features((3, 16, 3), 1)
    y = moved(t, x, s)
    np.testing.assert_array_equal(np.sort(flat(y), 0), np.sort(flat(s), 0))
    np.testing.assert_array_equal(np.argsort(flat(y), 0), np.argsort(flat(x), 0))
    np.testing.assert_array_equal(moved(t, y, s), y)
    np.testing.assert_array_equal(moved(t, s, s), s)
    np.testing.assert_array_equal(moved(t, 4 * x + 2, s), y)
    # Of 2 and of 3 values: quantiles at 1/4 and 3/4 are the first and the last.
    two, three = np.array([10.0, 0]).reshape(1, 2, 1), np.array([5.0, 1, 4]).reshape(1, 3, 1)
    assert moved(t, two, three).ravel().tolist() == [5, 1]
    assert (blended(t, x, [s, s + 100], [None, None], [0.5, 0.5]) > 50).sum() == x.size / 2


def test_equal_values_are_matched_in_random_order():
    t, s = transforms.histogram(), features((32, 32, 1), 0)
    flat_zero = np.zeros((32, 32, 1), np.float32)
    unkeyed, first, second = (
        np.asarray(moved(t, flat_zero, s, key=key))[..., 0]
        for key in (None, jax.random.key(1), jax.random.key(2))
    )
    assert not np.array_equal(first, second)
    for y in (unkeyed, first, second):  # no raster: rows and columns have the means of chance
        assert (
            max(np.abs(y.mean(0) - y.mean()).max(), np.abs(y.mean(1) - y.mean()).max())
            < 5 * y.std() / 32**0.5
        )


def test_colours_by_hand():
    row = TABLE[-1]
    x, s = pair(row, (9, 8, 3))
    for method in METHODS:
        t = transforms.colour(method=method, eps=0.0)
        (mean, cov), (mean_s, cov_s) = moments(np.asarray(moved(t, x, s))), moments(s)
        np.testing.assert_allclose(mean, mean_s, atol=1e-6)
        np.testing.assert_allclose(cov, cov_s, atol=1e-7)
    x, s = pair(row, (4, 5, 3))
    y = to_yuv(moved(row.transform, x, s))
    np.testing.assert_allclose(y[..., 0], to_yuv(x)[..., 0], atol=1e-6)
    np.testing.assert_allclose(y[..., 1:], to_yuv(s)[..., 1:], atol=1e-6)
    np.testing.assert_allclose(from_yuv(to_yuv(x)), x, atol=1e-6)
    grey = jnp.full((2, 2, 3), 0.25)
    np.testing.assert_allclose(to_yuv(grey), np.broadcast_to([0.25, 0, 0], (2, 2, 3)), atol=1e-3)
    # Luminance of a style matched to the content's: (sd_c / sd_s) (L - mean_s) + mean_c.
    t = transforms.adain(eps=0.0)
    light, light_s = (np.asarray(to_yuv(picture)[..., :1]) for picture in (x, s))
    expected = light.std() / light_s.std() * (light_s - light_s.mean()) + light.mean()
    np.testing.assert_allclose(moved(t, light_s, light), expected, rtol=1e-5)
    out = moved(transforms.colour(), features((4, 4, 3), 0), features((4, 4, 3), 1))
    assert out.min() == 0 and out.max() == 1


def test_mistakes_are_named():
    x = np.zeros((4, 4, 3), np.float32)
    for arguments in ({"ridge_content": -1}, {"ridge_style": -1}, {"cut": -1}, {"iterations": 0}):
        ((name, _),) = arguments.items()
        with pytest.raises(ValueError, match=f"{name} must be at least"):
            transforms.wct(**arguments)
    with pytest.raises(ValueError, match=r"method must be one of cholesky, .*; got 'pca'"):
        transforms.colour(method="pca")
    with pytest.raises(ValueError, match="eps must be at least 0; got -1"):
        transforms.colour(eps=-1)
    with pytest.raises(ValueError, match=r"image must be a picture \[H, W, 3\]; got \(4, 4, 2\)"):
        transforms.colour().style(x[..., :2])
    t = transforms.luminance()
    with pytest.raises(
        ValueError, match=r"target must be .*\[4, 4, 2\], as features \[4, 4, 3\] have; got .*\[2, 4, 2\]"
    ):
        t.apply(x, t.style(x[:2]))


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
