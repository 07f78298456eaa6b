"""Transforms by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from rows import features, flat
from transform_rows import SHAPE, TABLE, adain, blended, moments, moved, pair, power, wct

from nstjax import transforms
from nstjax.transforms._colour import METHODS, from_yuv, to_yuv
from nstjax.transforms._wct import CONVENTIONS


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


def test_wct2_keeps_its_ridge_in_float32():
    """A style of few positions and large features: along most directions its covariance is the ridge."""
    t = transforms.wct(**CONVENTIONS["wct2"] | {"clamp": False})
    spread = np.linalg.qr(features((32, 32), 2, float))[0] * np.logspace(3, 1, 32)
    x, s = 30 * features((16, 16, 32), 0, float), features((4, 4, 32), 1, float) @ spread.T
    found = moved(t, x.astype(np.float32), s.astype(np.float32))
    expected = wct(x, s, (1, 1))
    assert np.linalg.norm(found - expected) < 2e-4 * np.linalg.norm(expected)


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
