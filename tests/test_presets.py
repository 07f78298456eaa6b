"""Presets: each number of published code, in totals computed anew from the same features."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from problems import picture
from rows.pairs import cosine as cosines
from rows.pairs import moment_loss, mrf, palette, remd, self_similarity

from nstjax import losses, presets
from nstjax.images.matting import matting_laplacian
from nstjax.networks.vgg import TAPS, WIDTHS
from nstjax.optimize import Objective, Problem, Reference, make_targets, term_weights
from nstjax.runs import terms

STYLE = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
ALL = [
    name
    for name, f in inspect.getmembers(presets, inspect.isfunction)
    if name[0] != "_" and name not in ("term", "reached", "style_term")
]


def lines(tap):
    shape = (3, WIDTHS[int(tap[4]) - 1])
    return np.random.default_rng(TAPS.index(tap)).normal(0, 6.5, size=shape).astype(np.float32)


def features(image, tap):
    """A stand-in for VGG-19 with its widths: [3, 4, c] of an image [6, 8, 3]."""
    if tap == "image":
        return image
    return jnp.maximum(image[::2, ::2] @ lines(tap), 0 if tap.startswith("relu") else -9)


def apply(params, image, taps):
    return {tap: features(image, tap) for tap in taps}


IMAGE, CONTENT, PAINTING = (picture(seed, (6, 8)) for seed in range(3))


def objective(preset):
    """The weights of a preset, and the function of an image and a key that it is: (total, report)."""
    built = terms.build(preset)
    references = {"content": [Reference(CONTENT)], "style": [Reference(PAINTING)]}
    targets = make_targets(apply, None, built, references)
    numbers = {
        name: tuple(t.weight * w for w in t.tap_weights) or float(t.weight) for name, t in preset.items()
    }
    weights = term_weights(built, numbers)
    return weights, lambda image, key: Objective(apply, built)(image, Problem(None, targets, weights, key))


def maps(image, tap):
    """`features` in float64."""
    image = np.asarray(image, float)
    if tap == "image":
        return image
    return np.maximum(image[::2, ::2] @ lines(tap).astype(float), 0 if tap.startswith("relu") else -9)


def of(image, tap):
    return maps(image, tap).reshape(-1, maps(image, tap).shape[-1])


def content(tap):
    return ((of(IMAGE, tap) - of(CONTENT, tap)) ** 2).mean()


def gram(tap, scale):
    """Sum of squared differences of F'F times a scale that is given N and C."""
    x, s = of(IMAGE, tap), of(PAINTING, tap)
    return ((x.T @ x - s.T @ s) ** 2).sum() * scale(*x.shape)


def neural_style(n, c):
    return 1 / (n**2 * c**4)


def torch7_tv(image, weight):
    x = 256 * np.asarray(image, float)
    across, down = x[:-1, 1:] - x[:-1, :-1], x[1:, :-1] - x[:-1, :-1]
    return weight * 0.5 * (across**2 + down**2).sum()


def matting(image, guide):
    flat = np.asarray(image, float).reshape(-1, 3)
    return (flat * (matting_laplacian(np.asarray(guide, float)) @ flat)).sum()


def newton_schulz(a):
    scale, eye = np.linalg.norm(a), np.eye(len(a))
    y, z = a / scale, eye
    for _ in range(12):
        step = (3 * eye - z @ y) / 2
        y, z = y @ step, step @ z
    return y * np.sqrt(scale)


def w2(tap):
    """crowsonkb: channel means, 1e-4 on both diagonals, roots by 12 Newton-Schulz steps."""
    (m, a), (n, b) = (
        (x.mean(0), np.cov(x.T, bias=True) + 1e-4 * np.eye(x.shape[1]))
        for x in (of(IMAGE, tap), of(PAINTING, tap))
    )
    root = newton_schulz(b)
    cross = newton_schulz(root @ a @ root)
    return ((m - n) ** 2).mean() + np.diag(a + b - 2 * cross).mean()


def lyapunov(root):
    """sqrtm.py: the gradient with respect to a matrix of the trace of its root, by 12 steps."""
    scale, eye = np.linalg.norm(root), np.eye(len(root))
    a, q = root / scale, eye / scale
    for _ in range(12):
        rest = 3 * eye - a @ a
        q = (q @ rest - a @ (a @ q - q @ a)) / 2
        a = a @ rest / 2
    return q / 2


def w2_slope(tap, change):
    """The derivative of `w2` as crowsonkb computes it, along a change [n, c] of features."""
    x, s = of(IMAGE, tap), of(PAINTING, tap)
    (n, c), centred = x.shape, x - x.mean(0)
    a, b = (np.cov(v.T, bias=True) + 1e-4 * np.eye(c) for v in (x, s))
    root = newton_schulz(b)
    by_covariance = (np.eye(c) - 2 * root @ lyapunov(newton_schulz(root @ a @ root)) @ root) / c
    by_mean = 2 * (x.mean(0) - s.mean(0)) / c
    return ((by_mean / n + centred @ (by_covariance + by_covariance.T) / n) * change).sum()


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


def edges(image, other):
    """LapStyle: a convolution, without padding, of the means of blocks of 4 x 4 pixels of all channels."""
    x = (256 * (np.asarray(image, float) - np.asarray(other, float))).sum(-1)
    h, w = (side // 4 for side in x.shape)
    x = x[: 4 * h, : 4 * w].reshape(h, 4, w, 4).mean((1, 3))
    x = 4 * x[1:-1, 1:-1] - x[:-2, 1:-1] - x[2:, 1:-1] - x[1:-1, :-2] - x[1:-1, 2:]
    return (x**2).mean() if x.size else 0.0


def column(image):
    """Ten parts of a hypercolumn [3, 4, c]; the image is halved by a triangle of four pixels' width."""

    def halving(n):
        distances = np.abs(2 * np.arange(n // 2)[:, None] + 0.5 - np.arange(n))
        weights = np.maximum(0, 1 - distances / 2)
        return weights / weights.sum(1, keepdims=True)

    halved = np.einsum("ij,kl,jlc->ikc", halving(6), halving(8), np.asarray(image, float))
    rest = ("1_1", "1_2", "2_1", "2_2", "3_2", "3_3", "4_3", "5_1")
    return np.concatenate([maps(image, "relu3_1"), halved, *(maps(image, f"relu{n}") for n in rest)], -1)


def strotss(alpha):
    x, c, s = map(column, (IMAGE, CONTENT, PAINTING))
    flat = (v.reshape(-1, v.shape[-1]) for v in (x, s))
    colours = palette(*(np.asarray(v, float) for v in (IMAGE, PAINTING)))
    terms = {
        "content": alpha * self_similarity(x, c),
        "style": remd(1 - cosines(*flat)),
        "moments": moment_loss(x, s),
        "palette": colours / max(alpha, 1),
    }
    return {name: value / (alpha + 2) for name, value in terms.items()}


def kalischek(tap):
    return 1e3 / of(IMAGE, tap).shape[1] ** 2 * moments(tap)


WHOLE = {
    "gatys2016_paper": lambda: {
        "content": 1e-3 * content("relu4_2") * of(IMAGE, "relu4_2").size / 2,
        "style": sum(0.2 * gram(tap, lambda n, c: 1 / (4 * c**2 * n**2)) for tap in STYLE),
    },
    "gatys2016_normalised": lambda: {
        "content": 1e6 * content("relu4_2"),
        "style": sum(1e9 / 5 * gram(tap, lambda n, c: 1 / (n * c) ** 2) for tap in STYLE),
    },
    "gatys2016_code": lambda: {
        "content": content("relu4_2"),
        "style": sum(1e3 * gram(tap, neural_style) for tap in STYLE),
    },
    "deep_textures": lambda: {
        "style": sum(
            1e9 * gram(tap, lambda n, c: 1 / (4 * n**2 * c**2))
            for tap in ("relu1_1", "pool1", "pool2", "pool3", "pool4")
        )
    },
    "neural_style": lambda: {
        "content": 5 * content("relu4_2"),
        "style": sum(100 * gram(tap, neural_style) for tap in STYLE),
        "tv": torch7_tv(IMAGE, 1e-3),
    },
    "fast_neural_style": lambda: {
        "content": content("relu3_3"),
        "style": sum(5 * gram(f"relu{layer}", neural_style) for layer in ("1_2", "2_2", "3_3", "4_3")),
        "tv": torch7_tv(IMAGE, 1e-6) * (255 / 256) ** 2,
    },
    "wct2017": lambda: {
        "style": sum(
            ((np.cov(of(IMAGE, tap).T, bias=True) - np.cov(of(PAINTING, tap).T, bias=True)) ** 2).mean()
            for tap in STYLE
        )
    },
    "deep_photo_code": lambda: {
        "content": 5 * content("relu4_2"),
        "style": sum(100 * gram(tap, neural_style) for tap in STYLE),
        "tv": torch7_tv(IMAGE, 1e-3),
        "matting": 1e4 * matting(IMAGE, CONTENT),
    },
    "deep_photo_paper": lambda: {
        "content": content("conv4_2") / 2,
        "style": sum(100 / 5 * gram(tap, lambda n, c: 1 / (2 * n**2 * c**2)) for tap in STYLE),
        "matting": 1e4 * matting(IMAGE, CONTENT),
    },
    "lapstyle": lambda: {
        "content": 20 * content("relu4_2"),
        "style": sum(100 * gram(tap, neural_style) for tap in STYLE),
        "laplacian": 100 * edges(IMAGE, CONTENT),
        "tv": torch7_tv(IMAGE, 1e-3),
    },
    "mrf": lambda: {
        "content": 20 * content("relu4_1"),
        "style": sum(1e-4 * mrf(maps(IMAGE, tap), maps(PAINTING, tap), overlap=True) for tap in STYLE[2:4]),
        "tv": torch7_tv(IMAGE, 1e-3),
    },
    "strotss": lambda: strotss(alpha=16),
    "kalischek2021": lambda: {"content": 0, "style": sum(kalischek(f"conv{b}_1") for b in range(1, 6))},
    "crowsonkb": lambda: {
        "content": 0.015 * content("relu4_2"),
        "style": sum(w / 341 * w2(tap) for w, tap in zip((256, 64, 16, 4, 1), STYLE, strict=True)),
        "tv": 2 * nine_point(IMAGE),
    },
}


def parts(preset):
    """{term: its part of the total}."""
    weights, score = objective(preset)
    whole, report = score(IMAGE, jax.random.key(0))
    found = {
        name: sum(float(weight * report[f"{name}/{tap}"]) for tap, weight in taps.items())
        for name, taps in weights.items()
    }
    assert whole == pytest.approx(sum(found.values()))
    return found


def test_every_preset_is_held_to_its_source():
    elsewhere = {"risser2017", "deep_painterly", "heitz2021"}  # by gradient, and by a mean over directions
    assert set(ALL) == set(WHOLE) | elsewhere


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.slow] * (n in ("crowsonkb", "strotss"))) for n in WHOLE]
)
def test_a_preset_computes_what_its_source_does(name):
    assert parts(getattr(presets, name)()) == pytest.approx(WHOLE[name](), rel=1e-4)


STEP = 1e-6


def slopes(name, direction, monkeypatch):
    """{term: the derivative of its part along a direction}, by differences of the source's values."""
    parts = []
    for side in (1, -1):
        monkeypatch.setattr(f"{__name__}.w2", lambda tap: 0.0)  # has a gradient that is not its derivative
        monkeypatch.setattr(f"{__name__}.IMAGE", np.asarray(IMAGE, float) + side * STEP * direction)
        parts.append(WHOLE[name]())
        monkeypatch.undo()
    found = {term: (after - parts[1][term]) / 2 / STEP for term, after in parts[0].items()}
    if name == "crowsonkb":
        changes = {
            tap: np.subtract(*(of(np.asarray(IMAGE, float) + h * direction, tap) for h in (STEP, -STEP)))
            for tap in STYLE
        }
        found["style"] = sum(
            w / 341 * w2_slope(tap, changes[tap] / 2 / STEP)
            for w, tap in zip((256, 64, 16, 4, 1), STYLE, strict=True)
        )
    return found


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow) if n == "crowsonkb" else n for n in WHOLE]
)
def test_a_preset_has_the_gradient_of_its_source(name, monkeypatch):
    weights, score = objective(getattr(presets, name)())

    def found(image):
        report = score(image, jax.random.key(0))[1]
        return {
            name: sum(weight * report[f"{name}/{tap}"] for tap, weight in taps.items())
            for name, taps in weights.items()
        }

    gradients = jax.jit(jax.jacrev(found))(IMAGE)
    direction = np.random.default_rng(3).normal(size=IMAGE.shape)
    for term, expected in slopes(name, direction, monkeypatch).items():
        gradient = np.asarray(gradients[term], float)
        size = np.linalg.norm(gradient) * np.linalg.norm(direction)
        # Of float32, beside differences in float64.
        assert (gradient * direction).sum() == pytest.approx(expected, rel=1e-3, abs=1e-5 * size), term


def differences(tap):
    """What pulls features: of content, of Gram matrices of sums, of ranks; each [n, c]."""
    x, c, s = (of(image, tap) for image in (IMAGE, CONTENT, PAINTING))
    matched = np.take_along_axis(np.sort(s, 0), x.argsort(0).argsort(0), 0)
    return {"content": x - c, "style": x @ (x.T @ x - s.T @ s), "histogram": x - matched}


def limited(pull, limit):
    return pull * min(1, limit / np.linalg.norm(pull))


def risser2017(name, tap, pull):
    factors = {"content": 1, "style": 4 / pull.shape[1] ** 2, "histogram": 2e6 / pull.size}
    return limited(factors[name] * pull, {"content": 1}.get(name, 100))


def deep_painterly(name, tap, pull):
    return {"content": 1, "style": 1, "histogram": 10}[name] * pull / (np.linalg.norm(pull) + 1e-8)


@pytest.mark.parametrize(
    "controlled",
    [pytest.param(risser2017, marks=pytest.mark.slow), deep_painterly],
    ids=lambda f: f.__name__,
)
def test_a_preset_pulls_as_its_source_does(controlled):
    reads = {"content": STYLE[3:4], "style": STYLE[:4], "histogram": STYLE[:4:3]}
    expected = np.zeros((6, 8, 3))
    for name, tap in ((name, tap) for name, taps in reads.items() for tap in taps):
        pull = controlled(name, tap, differences(tap)[name]) * (of(IMAGE, tap) > 0)
        expected[::2, ::2] += (pull @ lines(tap).T.astype(float)).reshape(3, 4, 3)
    _, score = objective(getattr(presets, controlled.__name__)())
    pulled = jax.grad(lambda image: score(image, jax.random.key(0))[0])(IMAGE)
    np.testing.assert_allclose(pulled, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


@pytest.mark.slow
def test_the_mean_over_directions_of_heitz2021():
    taps = [f"relu{block}_{i}" for block, last in enumerate((2, 2, 4, 4), 1) for i in range(1, last + 1)]
    rng, expected = np.random.default_rng(0), 0.0
    for tap in taps:
        x, s = of(IMAGE, tap), of(PAINTING, tap)
        drawn = rng.normal(size=(x.shape[1], 20_000))
        drawn /= np.linalg.norm(drawn, axis=0)
        expected += ((np.sort(x @ drawn, 0) - np.sort(s @ drawn, 0)) ** 2).mean()
    _, score = objective(presets.heitz2021())
    found = jax.jit(jax.vmap(lambda key: score(IMAGE, key)[0]))(jax.random.split(jax.random.key(0), 16))
    error = np.std(found) / 4
    assert error < 0.02 * expected and abs(np.mean(found) - expected) < 3 * error


def test_style_terms_read_taps_that_exist():
    for loss in presets.STYLE_LOSSES:
        made = presets.style_term(loss, weight=2.0)
        parts = {part for tap in made.taps for part in tap.split("+")}
        assert made.loss == loss and made.weight == 2.0 and made.reference == "style" and made.taps
        assert parts <= {*TAPS, "image"}
    of_content = {"feature", "feature_deep_photo", "feature_sum", "self_similarity", "laplacian", "matting"}
    others = {name for name in losses.__all__ if name.startswith("tv_")} | {"value_range", "Loss"}
    assert set(presets.STYLE_LOSSES) == set(losses.__all__) - of_content - others


def test_the_laplacian_of_lapstyle_is_of_blocks_with_four_neighbours():
    (loss,) = (t.loss for t in terms.build(presets.lapstyle()) if t.name == "laplacian")
    x, content = picture(0, (18, 21)), picture(1, (18, 21))  # those of `IMAGE` are too few
    value, gradient = jax.jit(jax.value_and_grad(lambda x: loss.score(x, loss.target(content))))(x)
    assert value == pytest.approx(edges(x, content), rel=1e-5)
    change = np.random.default_rng(2).normal(size=x.shape)
    near = [edges(np.asarray(x, float) + side * 1e-3 * change, content) for side in (1, -1)]
    assert (gradient * change).sum() == pytest.approx((near[0] - near[1]) / 2e-3, rel=1e-4)


def test_strotss_weighs_its_palette_by_alpha():
    assert parts(presets.strotss(alpha=0.5)) == pytest.approx(strotss(alpha=0.5), rel=1e-4)
