"""Measures of finished pictures: by hand, and beside scikit-image and SciPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage
import scipy.stats
from skimage.filters import sobel
from skimage.metrics import structural_similarity

from nstjax import metrics
from nstjax.images.matting import matting_laplacian

# Every measure as a function of a picture and a reference of its size.
MEASURES = {
    "ssim": metrics.ssim,
    "edge_ssim": metrics.edge_ssim,
    "high_frequency": lambda x, reference: metrics.high_frequency(x),
    "checkerboard": lambda x, reference: metrics.checkerboard(x),
    "saturation": lambda x, reference: metrics.saturation(x),
    "clipped": lambda x, reference: metrics.clipped(x),
    "colour_gaps": metrics.colour_gaps,
}
SIZES = [(1, 1), (3, 2), (10, 14)]
# Compiled, as are helpers of tests below: one program for a measure and a size.
ssim, edge_ssim, high_frequency, saturation, colour_gaps = map(
    jax.jit,
    (metrics.ssim, metrics.edge_ssim, metrics.high_frequency, metrics.saturation, metrics.colour_gaps),
)
each = pytest.mark.parametrize("measure", MEASURES.values(), ids=MEASURES)


def picture(*shape, seed=0):
    return np.random.default_rng(seed).uniform(size=(*shape, 3)).astype(np.float32)


def grey(values):
    return np.repeat(np.asarray(values, np.float32)[..., None], 3, axis=-1)


def some(*size):
    """Pictures and references: random, a constant, black."""
    constant, black = np.full((*size, 3), 0.25, np.float32), np.zeros((*size, 3), np.float32)
    return np.stack([picture(*size), constant, black]), np.stack([picture(*size, seed=1)] * 2 + [black])


def skimage_ssim(x, reference):
    """In float64, of arrays [h, w], as Wang et al. have it."""
    return structural_similarity(
        *(np.asarray(a, np.float64) for a in (x, reference)),
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        data_range=1,
    )


def luminance(x):
    return np.asarray(x, np.float64) @ [0.299, 0.587, 0.114]


@pytest.mark.parametrize(
    "noise, brightness", [(1.0, 0.0), (0.05, 0.5), (0.05, 0.95), (0.01, 0.98), (0.01, 0.0)]
)
def test_structural_similarities_are_those_of_scikit_image(noise, brightness):
    x, reference = (brightness + noise * picture(40, 33, seed=seed) for seed in (1, 2))
    reference = reference * np.linspace(0.2, 1, 33, dtype=np.float32)[:, None]
    ours = ssim(x, reference), edge_ssim(x, reference)
    theirs = skimage_ssim(luminance(x), luminance(reference))
    # scikit-image divides the magnitude by sqrt(2)
    edges = skimage_ssim(*(np.sqrt(2) * sobel(luminance(a)) for a in (x, reference)))
    np.testing.assert_allclose(ours, (theirs, edges), atol=1e-5)


def test_structural_similarity_of_constants_is_of_their_means():
    value = ssim(grey(np.full((12, 12), 0.2)), grey(np.full((12, 12), 0.8)))
    np.testing.assert_allclose(value, (2 * 0.16 + 1e-4) / (0.04 + 0.64 + 1e-4), rtol=1e-5)


def test_a_picture_smaller_than_the_window_has_a_smaller_window():
    one, other = grey([[0.2]]), grey([[0.8]])
    np.testing.assert_allclose(ssim(one, other), (0.32 + 1e-4) / (0.68 + 1e-4), rtol=1e-5)
    # of two pixels [0, 1] and [1, 0], under one window: means 1/2, variances 1/4, covariance -1/4
    ends = np.array([[0.0, 1.0]])
    wanted = (-2 * 0.25 + 9e-4) / (2 * 0.25 + 9e-4)
    np.testing.assert_allclose(ssim(grey(ends), grey(1 - ends)), wanted, rtol=1e-5)


def test_opposite_structure_is_negative():
    x = picture(10, 14)
    assert ssim(x, 1 - x) < -0.8
    np.testing.assert_allclose(edge_ssim(x, 1 - x), 1, rtol=1e-5)


def test_edges_of_a_step_have_its_height():
    step = grey(np.repeat([[0.0, 0.0, 1.0, 1.0]], 4, axis=0))
    flat = np.zeros((4, 4, 3), np.float32)
    # magnitudes 0 1 1 0, under a window of 4 taps of sigma 1.5 along the row
    taps = np.exp(-np.square([1.5, 0.5, 0.5, 1.5]) / 1.5**2 / 2)
    mean = taps[1:3].sum() / taps.sum()
    wanted = 1e-4 / (mean**2 + 1e-4) * 9e-4 / (mean - mean**2 + 9e-4)
    np.testing.assert_allclose(edge_ssim(step, flat), wanted, rtol=1e-4)


@pytest.mark.parametrize("cycles", [1, 6, 12, 30])
def test_what_of_a_wave_counts_as_high_frequency(cycles):
    """Of a cosine that mirrored borders continue, a Gaussian leaves exp(-(sigma omega)^2 / 2)."""
    size, omega = 64, np.pi * cycles / 64
    wave = np.cos(omega * (np.arange(size) + 0.5))
    taken = 0.4 / np.sqrt(2) * (1 - np.exp(-((2 * omega) ** 2) / 2))
    x = grey(np.broadcast_to(0.5 + 0.4 * wave, (9, size)))
    # the Gaussian is cut at 4 sigma and read at whole pixels
    np.testing.assert_allclose(high_frequency(x), taken, atol=2e-4)
    np.testing.assert_allclose(high_frequency(x.swapaxes(0, 1)), taken, atol=2e-4)


def test_high_frequency_is_what_scipy_blurs_away():
    for x in (picture(10, 14), picture(3, 2)):
        y = luminance(x)
        wanted = np.sqrt(np.mean((y - scipy.ndimage.gaussian_filter(y, 2)) ** 2))
        np.testing.assert_allclose(high_frequency(x), wanted, rtol=1e-5)


def test_saturation_by_hand():
    x = jnp.array([[[1, 0, 0], [1, 1, 0]], [[0.25, 0.25, 0.25], [0.1, 0.2, 0.4]]])
    np.testing.assert_allclose(saturation(x), (1 + 1 + 0 + 0.3) / 4, rtol=1e-6)
    np.testing.assert_allclose(saturation(1 - x[..., ::-1]), saturation(x), rtol=1e-6)


def test_clipped_are_the_ends_of_eight_bits():
    codes = np.arange(256, dtype=np.float32) / 255
    assert metrics.clipped(grey(codes[None])) == 2 / 256
    just = np.float32([-1, 0.0019, 0.0020, 0.9980, 0.9981, 2])
    assert metrics.clipped(grey(just[None])) == 4 / 6


def test_colour_gaps_by_hand():
    style = picture(20, 30)
    gaps = colour_gaps(style / 2 + np.float32([0, 0.25, 0.5]), style)
    shift = np.array([0, 0.25, 0.5]) - style.mean((0, 1)) / 2
    np.testing.assert_allclose(gaps["mean"], np.sqrt(np.mean(shift**2)), rtol=1e-5)
    np.testing.assert_allclose(gaps["deviation"], np.sqrt(np.mean(style.var((0, 1)))) / 2, rtol=1e-5)


@pytest.mark.parametrize("sizes", [((20, 30), (20, 30)), ((1, 1), (7, 5)), ((150, 140), (99, 101))])
def test_wasserstein_distance_is_scipys(sizes):
    x, style = picture(*sizes[0]) ** 2, np.round(255 * picture(*sizes[1], seed=1)) / 255
    pairs = zip(x.reshape(-1, 3).T, style.reshape(-1, 3).T, strict=True)
    wanted = np.mean([scipy.stats.wasserstein_distance(*pair) for pair in pairs])
    np.testing.assert_allclose(colour_gaps(x, style)["wasserstein"], wanted, rtol=1e-5)


def test_colours_do_not_depend_on_where_they_lie_or_how_often_the_picture_is_repeated():
    x, style = picture(6, 5), picture(8, 3, seed=1)
    moved = np.tile(x[::-1].transpose(1, 0, 2), (2, 3, 1))
    for name, gap in colour_gaps(moved, style).items():
        np.testing.assert_allclose(gap, colour_gaps(x, style)[name], rtol=1e-5)


@pytest.mark.parametrize("size", SIZES)
def test_a_picture_is_like_itself(size):
    flat = {value: np.full((*size, 3), value, np.float32) for value in (0.0, 0.3, 1.0)}
    for x in (picture(*size), *flat.values()):
        np.testing.assert_allclose([ssim(x, x), edge_ssim(x, x)], 1, rtol=1e-6)
        gaps = colour_gaps(x, x[::-1, ::-1])
        np.testing.assert_allclose(list(gaps.values()), 0, atol=1e-6)
    for value, x in flat.items():
        np.testing.assert_allclose([high_frequency(x), saturation(x)], 0, atol=1e-6)
        assert metrics.clipped(x) == (value != 0.3)


@each
@pytest.mark.parametrize("size", SIZES)
def test_finite_in_float32_and_the_same_under_jit_and_vmap(measure, size):
    def same(ours, theirs):
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), ours, theirs)

    x, reference = some(*size)
    compiled = jax.jit(measure)
    loop = [compiled(*both) for both in zip(x, reference, strict=True)]
    if size == SIZES[-1]:  # the largest: every window is whole along one axis
        eager = measure(x[0], reference[0])
        assert {leaf.dtype for leaf in jax.tree.leaves(eager)} == {np.dtype("float32")}
        same(loop[0], eager)
    assert {leaf.dtype for leaf in jax.tree.leaves(loop)} == {np.dtype("float32")}
    loop = jax.tree.map(lambda *leaves: np.stack(leaves), *loop)
    assert np.isfinite(jax.tree.leaves(loop)).all()
    same(jax.jit(jax.vmap(measure))(x, reference), loop)


@each
def test_gradients_are_finite(measure):
    slope = jax.grad(lambda *both: sum(jax.tree.leaves(measure(*both))))
    assert np.isfinite(jax.jit(jax.vmap(slope))(*some(3, 2))).all()


@pytest.mark.parametrize("measure", [metrics.ssim, metrics.edge_ssim, metrics.colour_gaps])
def test_gradients_are_zero_where_pictures_are_one(measure):
    x = picture(6, 5)
    slope = jax.jit(jax.grad(lambda *both: sum(jax.tree.leaves(measure(*both)))))
    own, near = np.abs(slope(x, x)).max(), np.abs(slope(x, picture(6, 5, seed=1))).max()
    assert own < 1e-5 * near


@pytest.mark.parametrize("measure", [metrics.ssim, metrics.edge_ssim])
def test_shapes_are_checked(measure):
    with pytest.raises(ValueError, match=r"one shape; got \(4, 4, 3\) and \(4, 5, 3\)"):
        measure(picture(4, 4), picture(4, 5))
    with pytest.raises(ValueError, match=r"a picture must be \[h, w, 3\]; got \[4, 4, 1\]"):
        measure(*[picture(4, 4)[..., :1]] * 2)


def test_gaps_are_in_units_of_the_references_deviations():
    rng = np.random.default_rng(0)
    style = rng.normal(size=(20, 30, 4)) * [1, 2, 0.5, 0] + 3
    unit = np.sqrt(style.var((0, 1)).mean())
    gaps = metrics.channel_gaps(2 * style + 1, style)
    np.testing.assert_allclose(gaps["mean"], (style.mean((0, 1)) + 1) / unit, rtol=1e-5)
    np.testing.assert_allclose(gaps["deviation"], style.std((0, 1)) / unit, rtol=1e-5, atol=1e-6)
    same = metrics.channel_gaps(style[::-1], style)
    assert max(np.abs(values).max() for values in same.values()) < 1e-5


def test_colours_of_regions_are_those_of_the_pixels_in_them():
    x, style = picture(6, 8), picture(9, 4, seed=1)
    where, style_where = np.zeros((6, 8), np.float32), np.zeros((9, 4), np.float32)
    where[:, 3:], style_where[2:] = 1, 1
    found = colour_gaps(x, style, where=where, style_where=style_where)
    wanted = colour_gaps(x[:, 3:], style[2:])
    for name, gap in wanted.items():
        np.testing.assert_allclose(found[name], gap, rtol=1e-5)
    whole = colour_gaps(x, style, where=np.float32(where * 0 + 0.5))
    np.testing.assert_allclose(whole["wasserstein"], colour_gaps(x, style)["wasserstein"], rtol=1e-5)
    nothing = colour_gaps(x, style, where=where * 0)
    np.testing.assert_allclose(nothing["wasserstein"], style.mean(), rtol=1e-5)


def test_gram_gap_by_hand():
    x, style = picture(6, 8), picture(9, 4, seed=1)
    where = np.zeros((6, 8), np.float32)
    where[:4] = 1
    ours, theirs = (a.reshape(-1, 3).T @ a.reshape(-1, 3) / a[..., 0].size for a in (x[:4], style))
    wanted = np.linalg.norm(ours - theirs) / np.linalg.norm(theirs)
    np.testing.assert_allclose(metrics.gram_gap(x, style, where=where), wanted, rtol=1e-5)
    assert metrics.gram_gap(x, 0 * style) == 0 and metrics.gram_gap(style, style) == 0


def test_matting_energy_is_that_of_the_sparse_matrix():
    x, content = picture(9, 7), picture(9, 7, seed=1)
    laplacian = matting_laplacian(content.astype(np.float64))
    flat = x.reshape(-1, 3).astype(np.float64)
    wanted = np.sqrt(np.sum(flat * (laplacian @ flat)) / (9 * flat.size))
    np.testing.assert_allclose(metrics.matting_energy(x, content), wanted, rtol=1e-4)
    assert (
        metrics.matting_energy(content @ np.float32([[0.5, 0, 0], [0.2, 0.3, 0], [0, 0, 1]]), content) < 1e-3
    )


@pytest.mark.parametrize("weights", [(1, 0, 0), (0, 1, 0), (0, 0, 1)])
@pytest.mark.parametrize("grid", [np.eye(2), [[0, 1]], [[0], [1]], np.eye(4)])
def test_a_grid_of_any_colour_and_direction_is_seen(grid, weights):
    noise = np.random.default_rng(0).uniform(0.4, 0.6, (64, 96, 1))
    grid = np.asarray(grid, float)
    pattern = np.tile(grid, (64 // grid.shape[0], 96 // grid.shape[1]))[..., None] * np.array(weights)
    seen = [float(metrics.checkerboard((noise + a * pattern).astype(np.float32))) for a in (0, 0.05)]
    assert seen[0] < 2 and seen[1] > 5
