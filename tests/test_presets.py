"""Presets: each number of published code, in totals computed anew from the same features."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg
from problems import picture

from nstjax import losses, presets, terms
from nstjax.objective import Objective, make_targets, term_weights
from nstjax.vgg import TAPS, WIDTHS

STYLE = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
ALL = [
    name
    for name, f in inspect.getmembers(presets, inspect.isfunction)
    if name[0] != "_" and name not in ("term", "reached", "style_term")
]


def features(image, tap):
    """A stand-in for VGG-19 with its widths: [3, 4, c] of an image [6, 8, 3]."""
    if tap == "image":
        return image
    lines = np.random.default_rng(TAPS.index(tap)).normal(size=(3, WIDTHS[int(tap[4]) - 1]))
    return jnp.maximum(image[::2, ::2] @ lines.astype(np.float32), 0 if tap.startswith("relu") else -9)


def apply(params, image, taps):
    return {tap: features(image, tap) for tap in taps}


IMAGE, CONTENT, PAINTING = (picture(seed, (6, 8)) for seed in range(3))


def total(preset):
    built = terms.build(preset)
    references = {"content": [(CONTENT, 1.0)], "style": [(PAINTING, 1.0)]}
    targets = make_targets(apply, None, built, references)
    numbers = {
        name: tuple(t.weight * w for w in t.tap_weights) or float(t.weight) for name, t in preset.items()
    }
    weights = term_weights(built, numbers)
    return Objective(apply, built)(IMAGE, None, targets, weights, jax.random.key(0))


def of(image, tap):
    x = np.asarray(features(image, tap), float)
    return x.reshape(-1, x.shape[-1])


def content(tap):
    return ((of(IMAGE, tap) - of(CONTENT, tap)) ** 2).mean()


def gram(tap, scale):
    """Sum of squared differences of F'F times a scale that is given N and C."""
    x, s = of(IMAGE, tap), of(PAINTING, tap)
    return ((x.T @ x - s.T @ s) ** 2).sum() * scale(*x.shape)


def torch7_tv(image, weight):
    x = 256 * np.asarray(image, float)
    across, down = x[:-1, 1:] - x[:-1, :-1], x[1:, :-1] - x[:-1, :-1]
    return weight * 0.5 * (across**2 + down**2).sum()


def w2(tap):
    """crowsonkb: channel means, 1e-4 on both diagonals."""
    (m, a), (n, b) = (
        (x.mean(0), np.cov(x.T, bias=True) + 1e-4 * np.eye(x.shape[1]))
        for x in (of(IMAGE, tap), of(PAINTING, tap))
    )
    root = scipy.linalg.sqrtm(b).real
    cross = scipy.linalg.sqrtm(root @ a @ root).real
    return ((m - n) ** 2).mean() + np.diag(a + b - 2 * cross).mean()


def moments(tap):
    x, s = (1 / (1 + np.exp(-of(image, tap))) for image in (IMAGE, PAINTING))
    return sum(
        np.linalg.norm(a - b)
        for a, b in [(x.mean(0), s.mean(0))]
        + [(((x - x.mean(0)) ** k).mean(0), ((s - s.mean(0)) ** k).mean(0)) for k in range(2, 6)]
    )


def nine_point(image):
    p = np.pad(np.asarray(image, float), ((1, 1), (1, 1), (0, 0)), mode="edge")
    axes = ((p[1:-1, 2:] - p[1:-1, 1:-1]) ** 2).mean() + ((p[2:, 1:-1] - p[1:-1, 1:-1]) ** 2).mean()
    diagonals = ((p[1:, 1:] - p[:-1, :-1]) ** 2).mean() + ((p[1:, :-1] - p[:-1, 1:]) ** 2).mean()
    return 2 * (axes / 3 + diagonals / 12)


WHOLE = {
    "gatys2016_paper": lambda: (
        1e-3 * content("relu4_2") * of(IMAGE, "relu4_2").size / 2
        + sum(0.2 * gram(tap, lambda n, c: 1 / (4 * c**2 * n**2)) for tap in STYLE)
    ),
    "gatys2016_normalised": lambda: (
        1e6 * content("relu4_2") + sum(1e9 / 5 * gram(tap, lambda n, c: 1 / (n * c) ** 2) for tap in STYLE)
    ),
    "gatys2016_code": lambda: (
        content("relu4_2") + sum(1e3 * gram(tap, lambda n, c: 1 / (n**2 * c**4)) for tap in STYLE)
    ),
    "deep_textures": lambda: sum(
        1e9 * gram(tap, lambda n, c: 1 / (4 * n**2 * c**2))
        for tap in ("relu1_1", "pool1", "pool2", "pool3", "pool4")
    ),
    "neural_style": lambda: (
        5 * content("relu4_2")
        + sum(100 * gram(tap, lambda n, c: 1 / (n**2 * c**4)) for tap in STYLE)
        + torch7_tv(IMAGE, 1e-3)
    ),
    "fast_neural_style": lambda: (
        content("relu3_3")
        + sum(
            5 * gram(tap, lambda n, c: 1 / (n**2 * c**4))
            for tap in ("relu1_2", "relu2_2", "relu3_3", "relu4_3")
        )
        + torch7_tv(IMAGE, 1e-6) * (255 / 256) ** 2
    ),
    "wct2017": lambda: sum(
        ((np.cov(of(IMAGE, tap).T, bias=True) - np.cov(of(PAINTING, tap).T, bias=True)) ** 2).mean()
        for tap in STYLE
    ),
    "kalischek2021": lambda: sum(
        1e3 / c**2 * moments(f"conv{b}_1") for b, c in enumerate((64, 128, 256, 512, 512), 1)
    ),
    "crowsonkb": lambda: (
        0.015 * content("relu4_2")
        + sum(w / 341 * w2(tap) for w, tap in zip((256, 64, 16, 4, 1), STYLE, strict=True))
        + 2 * nine_point(IMAGE)
    ),
}


@pytest.mark.parametrize("name", WHOLE)
def test_a_preset_computes_what_its_source_does(name):
    # Newton-Schulz, as crowsonkb has it, leaves a part in a thousand of the roots of 12 positions.
    rtol = 2e-3 if name == "crowsonkb" else 1e-4
    np.testing.assert_allclose(total(getattr(presets, name)())[0], WHOLE[name](), rtol=rtol)


@pytest.mark.parametrize("blocks", [3, 5])
def test_style_terms_keep_to_their_taps(blocks):
    for loss in presets.STYLE_LOSSES:
        made = presets.style_term(loss, blocks, weight=2.0)
        parts = {part for tap in made.taps for part in tap.split("+")} - {"image"}
        assert made.loss == loss and made.weight == 2.0 and made.reference == "style" and made.taps
        assert all(blocks == 5 or TAPS.index(part) <= TAPS.index("relu3_4") for part in parts)
    of_content = {"feature", "feature_deep_photo", "feature_sum", "self_similarity", "laplacian"}
    others = {name for name in losses.__all__ if name.startswith("tv_")} | {"value_range", "Loss"}
    assert set(presets.STYLE_LOSSES) == set(losses.__all__) - of_content - others


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("blocks", [3, 5])
def test_every_preset_is_an_objective(name, blocks):
    preset = getattr(presets, name)(blocks)
    value, report = total(preset)
    assert np.isfinite(value) and value > 0
    reached = [part for key in report for part in key.split("/")[1].split("+") if part != "image"]
    if blocks == 3:
        assert max(map(TAPS.index, reached)) <= TAPS.index("relu3_4")


def test_weights_of_strotss_and_lapstyle():
    for alpha, palette in ((16, 1 / 16), (0.5, 1)):
        given = {name: t.weight * (alpha + 2) for name, t in presets.strotss(alpha=alpha).items()}
        expected = {"content": alpha, "style": 1, "moments": 1, "palette": palette}
        assert given == pytest.approx(expected)
    with_edges, without = presets.lapstyle(), presets.neural_style()
    assert with_edges["content"].weight == 20 and with_edges["laplacian"].weight == 100
    assert with_edges["style"] == without["style"] and with_edges["tv"] == without["tv"]
    report = total(with_edges)[1]
    x = (255 * np.asarray(IMAGE - CONTENT, float)).sum(-1)[:4, :8].reshape(1, 4, 2, 4).mean((1, 3))
    difference = x[0, 0] - x[0, 1]  # of two blocks of 4 x 4, each with one neighbour
    np.testing.assert_allclose(report["laplacian/image"], difference**2, rtol=1e-4)
    limits = {name: t.limit for name, t in presets.risser2017().items()}
    assert limits == {"content": 1, "style": 100, "histogram": 100}
