"""Pictures too large for one pass: their windows, and results equal to those of one pass."""

import jax
import numpy as np
import pytest
from small import tiny_levels

from nstjax import images, transforms, universal
from nstjax.ops import moments
from nstjax.universal import levels, tiled

encode, decode = jax.jit(levels.Level.encode), jax.jit(levels.Level.decode)


@pytest.fixture(scope="module")
def tiny():
    return tiny_levels()


def picture(height, width, seed=0):
    return np.random.default_rng(seed).uniform(size=(height, width, 3)).astype(np.float32)


@pytest.mark.parametrize("length, side, halo", [(100, 64, 24), (64, 64, 24), (65, 64, 4), (1000, 64, 28)])
def test_windows_are_of_one_size_and_keep_every_pixel_once(length, side, halo):
    seen = np.zeros((length, 80), int)
    for window in tiled.windows((length, 80), side, halo):
        (top, bottom), (left, right) = window.seen
        assert (bottom - top, right - left) == (min(side, length), min(side, 80))
        (first, last), _ = window.kept
        assert first - top >= halo or top == first == 0
        assert bottom - last >= halo or bottom == last == length
        seen[tuple(slice(*span) for span in window.kept)] += 1
        assert np.zeros((bottom - top, right - left))[window.inside()].size
    assert (seen == 1).all()


@pytest.mark.parametrize("level", (2, 3))
def test_a_halo_is_as_far_as_networks_see(tiny, level):
    def seen(decoded):
        """How far a pixel reaches."""
        x, y = picture(96, 96), picture(96, 96)
        y[48, 48] = 0.5
        a, b = (encode(tiny[level], each) for each in (x, y))
        a, b = (decode(tiny[level], a), decode(tiny[level], b)) if decoded else (a, b)
        rows = np.flatnonzero(np.abs(a - b).max((1, 2)))
        unit = 1 if decoded else tiny[level].unit
        return max(48 - rows[0] * unit, (rows[-1] + 1) * unit - 49)

    for decoded in (False, True):
        halo = tiled.halo(level, decoded=decoded)
        assert halo - 2 * tiny[level].unit <= seen(decoded) <= halo + tiny[level].unit


TILED = {
    "wct": transforms.wct(),
    "clamped": transforms.wct(ridge_content=0.1, clamp=True, unbiased=False),
    "adain": transforms.adain(),
    "mean_shift": transforms.mean_shift(),
}


@pytest.mark.parametrize(
    "name, order",
    [
        ("adain", (3,)),
        pytest.param("clamped", (2, 1), marks=pytest.mark.slow),
        *(pytest.param(name, (3, 1), marks=pytest.mark.slow) for name in TILED),
    ],
)
def test_window_by_window_is_all_at_once(tiny, name, order):
    transform, order, made = TILED[name], [tiny[n] for n in order], []
    content, styles = picture(90, 151), [picture(75, 133, 1), picture(75, 133, 2) ** 2]
    left = np.zeros((90, 151), np.float32)
    left[:, :70] = 1
    alpha = (0.9, 0.5)[: len(order)]
    for tile in (None, 64):
        known = [tiled.statistics(order, transform, style, tile=tile) for style in styles]
        regions = [universal.StyleRegion(known[0], left), universal.StyleRegion(known[1], 1 - left)]
        options = {"alpha": alpha, "passes": 2}
        made.append(np.asarray(tiled.stylize(order, transform, content, regions, tile=tile, **options)))
    assert made[0].shape == (90, 151, 3) and np.abs(made[0] - content).max() > 0.1
    np.testing.assert_allclose(made[1], made[0], atol=2e-3 * np.abs(made[0]).max())


@pytest.mark.slow
def test_five_levels_of_mini_window_by_window_are_all_at_once():
    loaded = levels.load("mini").levels
    order, made = [loaded[n] for n in (5, 4, 3, 2, 1)], []
    content, painting = (images.load_picture(f"example:{name}").pixels for name in ("coffee", "brushwork"))
    content, painting = images.resize(content, 430, 645), images.resize(painting, 400, 480)
    for tile in (None, 432):
        known = tiled.statistics(order, transforms.wct(), painting, tile=tile)
        regions = [universal.StyleRegion(known)]
        made.append(
            np.asarray(tiled.stylize(order, transforms.wct(), content, regions, alpha=0.6, tile=tile))
        )
    assert np.abs(made[0] - content).max() > 0.1
    np.testing.assert_allclose(*made, atol=2 / 255, rtol=0)


def test_pictures_that_fit_are_done_at_once_and_others_need_parts(tiny):
    order, content = [tiny[3]], picture(64, 40)
    known = tiled.statistics(order, transforms.histogram(), content, tile=64)
    tiled.stylize(order, transforms.histogram(), content, [universal.StyleRegion(known)], tile=64)
    with pytest.raises(ValueError, match="the transform must see all of a picture"):
        tiled.statistics(order, transforms.histogram(), picture(65, 40), tile=64)
    for tile in (60, 66):
        with pytest.raises(ValueError, match="tile must be a multiple of 4, at least 64; got 6"):
            tiled.statistics(order, transforms.wct(), picture(80, 40), tile=tile)


@pytest.mark.parametrize("spread", ["covariance", "variances"])
def test_moments_of_parts_are_merged(spread):
    rng = np.random.default_rng(0)
    x, where = rng.normal(3, 2, (7, 9, 4)), rng.uniform(size=(7, 9))
    where[3:5] = 0

    def of(rows):
        w, flat = where[rows].ravel(), x[rows].reshape(-1, 4)
        n = w.sum()
        mean = w @ flat / max(n, 1e-30)
        covariance = (w * (flat - mean).T) @ (flat - mean) / max(n, 1e-30)
        shown = flat[w > 0] if n else flat
        around = covariance if spread == "covariance" else covariance.diagonal()
        shares = (w @ w) / max(n, 1e-30) ** 2
        return moments.Moments(n, mean, around, shown.min(), shown.max(), shares)

    with jax.enable_x64(True):
        merged = of(np.s_[:2])
        for rows in (np.s_[2:3], np.s_[3:5], np.s_[5:]):
            merged = moments.merge(merged, of(rows))
        for got, wanted in zip(merged, of(np.s_[:]), strict=True):
            np.testing.assert_allclose(got, wanted, rtol=1e-6)
        nothing = moments.merge(of(np.s_[3:4]), of(np.s_[4:5]))
    assert nothing.n == 0 and not np.any(nothing.mean)
