"""Universal style transfer: against PyTorch, and its properties at any size, style, mask and transform."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small import tiny_levels

from nstjax import images, transforms, universal
from nstjax.universal import levels

WCT, ADAIN = transforms.wct(), transforms.adain()
DOWN = (5, 4, 3, 2, 1)


def slow(value):
    """A parameter that only `make test-all` tests."""
    return pytest.param(value, marks=pytest.mark.slow)


# For tests of the chain, whatever the transform: that of WCT takes ten times as long to compile.
chained = pytest.mark.parametrize("transform", [ADAIN, slow(WCT)], ids=["adain", "wct"])
encode, decode = jax.jit(universal.encode), jax.jit(levels.Level.decode)
to_style = jax.jit(lambda transform, *arguments: transform.apply(*arguments), static_argnums=0)
blend = jax.jit(universal.blend, static_argnums=0)
moved_features = jax.jit(universal.moved, static_argnames=("transform", "mask_mode"))


def picture(height, width, seed=0):
    """A picture with large shapes and texture, in [0, 1]."""
    rng, (rows, columns) = np.random.default_rng(seed), np.mgrid[:height, :width]
    waves = [np.sin(rows * a + columns * b + c) for a, b, c in rng.uniform(0.05, 0.9, (3, 3))]
    noise = 0.1 * rng.uniform(size=(height, width, 3))
    return np.clip(0.45 + 0.25 * np.stack(waves, -1) + noise, 0, 1).astype(np.float32)


@pytest.fixture(scope="module")
def mini():
    return levels.load("mini").levels


@pytest.fixture(scope="module")
def tiny():
    return tiny_levels()


def apply(order, content, style, transform=WCT, **options):
    known = universal.statistics(order, transform, style)
    return np.asarray(universal.stylize(order, transform, content, [universal.StyleRegion(known)], **options))


def psnr(image, expected):
    return -10 * np.log10(np.mean((np.clip(image, 0, 1) - np.clip(expected, 0, 1)) ** 2))


# Against PyTorch ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "names, alpha",
    [
        (("tubingen", "starry_night"), 0.6),
        pytest.param(("tubingen", "starry_night"), 1.0, marks=pytest.mark.slow),
        pytest.param(("golden_gate", "the_scream"), 0.6, marks=pytest.mark.slow),
    ],
)
def test_the_published_chain_agrees_with_pytorch(shared, names, alpha):
    pytest.importorskip("torch", reason="the oracle extra (PyTorch) is not installed")
    from benchmarks import peers_universal as peers

    content, style = (
        images.resize_to_cover(images.load_picture(str(shared / "images" / f"{name}.jpg")).pixels, *size)
        for name, size in zip(names, ((80, 96), (96, 112)), strict=True)
    )
    expected = peers.make_chain(shared / "weights", DOWN, alpha)(content, style)
    loaded = levels.load(str(shared / "weights")).levels
    ours = apply([loaded[n] for n in DOWN], content, style, alpha=alpha)
    assert ours.shape == expected.shape and expected.std() > 0.1
    assert psnr(ours, expected) >= 70  # 84 to 94 were measured


# Levels -------------------------------------------------------------------------------------------


def covariance(x, where=None):
    flat = np.asarray(x, np.float64).reshape(-1, x.shape[-1])
    flat = flat if where is None else flat[where.ravel()]
    return np.cov(flat.T)


def power(a, exponent):
    """Of a symmetric matrix, on the space of its eigenvalues above 1e-5 and float32 rounding."""
    e, v = np.linalg.eigh(a)
    kept = e > max(1e-5, 2e-6 * e[-1])
    return v[:, kept] * e[kept] ** exponent @ v[:, kept].T


@pytest.mark.parametrize("level", (1, slow(2), 3, slow(4), 5))
def test_features_have_the_covariance_of_the_style_before_they_are_decoded(mini, level):
    content, style = picture(96, 128), picture(80, 112, 1)
    (known,) = universal.statistics([mini[level]], WCT, style)
    moved = moved_features(mini[level], WCT, content, [universal.StyleRegion(known)])
    wanted, own = (covariance(encode(mini[level], x)) for x in (style, content))
    # Of fewer positions than channels, in the directions in which the content varies.
    half, varied = power(wanted, 0.5), power(own, 0.0)
    expected = half @ varied @ half
    assert level > 3 or np.trace(varied) > 0.8 * len(own)  # some channels never fire
    assert np.abs(covariance(moved) - expected).max() < 1e-2 * np.abs(expected).max()
    assert np.abs(own - expected).max() > 0.1 * np.abs(expected).max()
    mean, mean_s = (np.mean(x, (0, 1)) for x in (moved, encode(mini[level], style)))
    np.testing.assert_allclose(mean, mean_s, atol=1e-3 * np.abs(mean_s).max())


@chained
@pytest.mark.parametrize("order", [(3, 1), (1, 1), *map(slow, ((4, 2), (2, 4), (3,)))])
def test_levels_are_applied_in_their_order_and_alpha_0_only_decodes(mini, order, transform):
    content, style = picture(32, 48), picture(48, 48, 1)
    chosen = [mini[n] for n in order]
    x = y = jnp.asarray(content)
    for level in chosen:
        x = decode(level, encode(level, x))
        (known,) = universal.statistics([level], transform, style)
        features = encode(level, y)
        y = decode(level, 0.7 * to_style(transform, features, known) + 0.3 * features)
    np.testing.assert_allclose(apply(chosen, content, style, transform, alpha=0.0), x, atol=1e-4)
    # Whitening multiplies float32 rounding, level by level.
    atol = 2e-2 if transform is WCT else 1e-4
    np.testing.assert_allclose(apply(chosen, content, style, transform, alpha=0.7), y, atol=atol)
    assert np.abs(x - y).max() > 0.05
    if len(set(order)) > 1:
        reversed_ = apply(chosen[::-1], content, style, transform, alpha=0.7)
        assert np.abs(reversed_ - y).max() > 0.1


@chained
def test_alpha_of_each_level_is_its_own(tiny, transform):
    content, style = picture(32, 32), picture(32, 32, 1)
    chosen = [tiny[3], tiny[1]]
    known = universal.statistics(chosen, transform, style)
    first = universal.stylize(chosen[:1], transform, content, [universal.StyleRegion(known[:1])], alpha=0.9)
    both = universal.stylize(chosen[1:], transform, first, [universal.StyleRegion(known[1:])], alpha=0.2)
    image = apply(chosen, content, style, transform, alpha=(0.9, 0.2))
    np.testing.assert_allclose(image, both, atol=1e-3)
    assert np.abs(apply(chosen, content, style, transform, alpha=(0.2, 0.9)) - both).max() > 1e-2
    with pytest.raises(ValueError, match=r"alpha must be a number or one for each of 2 levels; got \(3,\)"):
        apply(chosen, content, style, transform, alpha=(0.9, 0.2, 0.1))


@chained
def test_a_pass_goes_on_with_the_result_of_the_last(tiny, transform):
    content, style = picture(32, 32), picture(32, 32, 1)
    chosen = [tiny[3], tiny[1]]
    once = apply(chosen, content, style, transform, alpha=0.6)
    twice = apply(chosen, content, style, transform, alpha=0.6, passes=2)
    np.testing.assert_allclose(twice, apply(chosen, once, style, transform, alpha=0.6), atol=1e-4)
    assert np.abs(twice - once).max() > 1e-3


# Sizes and pictures that are hardly ones ----------------------------------------------------------


@pytest.mark.parametrize(
    "shape, order",
    [
        *(((17, 31), (5,)), ((1, 1), (4,))),
        *(
            pytest.param(shape, DOWN, marks=pytest.mark.slow)
            for shape in ((17, 31), (1, 1), (3, 200), (257, 2))
        ),
    ],
)
def test_any_size_is_kept_and_finite(tiny, shape, order):
    chosen = [tiny[n] for n in order]
    for content, style in ((shape, (24, 20)), ((24, 20), shape)):
        image = apply(chosen, picture(*content), picture(*style, 1), alpha=0.6)
        assert image.shape == (*content, 3) and np.isfinite(image).all()


@pytest.mark.parametrize("name", [slow("adain"), "histogram", slow("mean_shift")])
def test_other_transforms_take_odd_sizes(tiny, name):
    transform, chosen = getattr(transforms, name)(), [tiny[5]]
    image = apply(chosen, picture(17, 31), picture(5, 9, 1), transform)
    assert image.shape == (17, 31, 3) and np.isfinite(image).all()


@chained
def test_a_picture_is_continued_by_its_mirror_image(mini, transform):
    content, style, level = picture(21, 35), picture(32, 32, 1), mini[3]
    known = universal.statistics([level], transform, style)
    mirrored = np.pad(content, ((0, 3), (0, 1), (0, 0)), mode="symmetric")
    whole = apply([level], mirrored, style, transform)
    np.testing.assert_allclose(apply([level], content, style, transform), whole[:21, :35], atol=1e-4)
    assert encode(level, content).shape[:2] == (6, 9)
    assert len(known) == 1


@pytest.mark.parametrize("level", (1, slow(2), slow(3), slow(4), 5))
def test_a_picture_in_its_own_style_is_only_decoded(mini, level):
    content = picture(64, 48)
    image, plain = (apply([mini[level]], content, content, alpha=alpha) for alpha in (1.0, 0.0))
    np.testing.assert_allclose(image, plain, atol=1e-2)  # whitening and colouring multiply rounding
    other = apply([mini[level]], content, picture(64, 48, 1))
    assert np.abs(other - plain).max() > 0.05


@pytest.mark.parametrize(
    "name, shape",
    [
        *(("wct", (5, 5)), ("wct", (32, 32)), ("histogram", (32, 32))),
        pytest.param("histogram", (5, 5), marks=pytest.mark.slow),
        *(
            pytest.param(name, shape, marks=pytest.mark.slow)
            for name in ("adain", "mean_shift")
            for shape in ((5, 5), (32, 32))
        ),
    ],
)
def test_styles_and_contents_of_one_colour_are_finite_and_flat(mini, name, shape):
    transform, chosen = getattr(transforms, name)(), [mini[n] for n in (3, 1)]
    red = np.broadcast_to(np.float32([0.8, 0.2, 0.1]), (*shape, 3))
    content, style = picture(*shape), picture(*shape, 1)
    flat = apply(chosen, red, red, transform)
    assert np.isfinite(flat).all() and np.abs(flat - flat.mean((0, 1))).max() < 2e-2
    image = apply(chosen, content, red, transform)
    assert np.isfinite(image).all()
    if name in ("histogram", "wct"):  # the others keep variation, or a trace of it
        assert np.abs(image - image.mean((0, 1))).max() < 2e-2
        assert np.abs(image.mean((0, 1)) - flat.mean((0, 1))).max() < 2e-2
    assert np.isfinite(apply(chosen, red, style, transform)).all()


# Masks, blends, statistics ------------------------------------------------------------------------


@chained
def test_outside_of_a_region_there_is_nothing_of_its_style(tiny, transform):
    content, style = picture(64, 96), picture(48, 48, 1)
    left = np.zeros((64, 96), np.float32)
    left[:, :40] = 1
    order = [tiny[3], tiny[1]]
    known = universal.statistics(order, transform, style)
    for i, level in enumerate(order):
        x = np.asarray(encode(level, content))
        moved = np.asarray(moved_features(level, transform, content, [universal.StyleRegion(known[i], left)]))
        edge = 40 // level.unit
        np.testing.assert_array_equal(moved[:, edge:], x[:, edge:])
        assert np.abs(moved[:, :edge] - x[:, :edge]).max() > 1e-2
        inside = to_style(transform, x[:, :edge], known[i])  # by the statistics of the region alone
        np.testing.assert_allclose(moved[:, :edge], inside, atol=1e-2 * np.abs(inside).max())
    image = universal.stylize(order, transform, content, [universal.StyleRegion(known, left)])
    plain = content
    for level in order:
        plain = decode(level, encode(level, plain))
    # As far as networks see: 24 + 20 pixels at level 3, 2 at level 1.
    np.testing.assert_allclose(image[:, 90:], plain[:, 90:], atol=1e-5)
    assert np.abs(image - plain)[:, :40].max() > 1e-2


@pytest.mark.parametrize("level", [2, slow(4)])
@pytest.mark.parametrize("transform", [WCT, slow(ADAIN)], ids=["wct", "adain"])
def test_two_regions_have_two_styles(tiny, transform, level):
    level = tiny[level]
    content, a, b = picture(32, 48), picture(40, 32, 1), picture(40, 32, 2)
    left = np.zeros((32, 48), np.float32)
    left[:, :24] = 1
    known = [universal.statistics([level], transform, s)[0] for s in (a, b)]
    masked = [universal.StyleRegion(known[0], left), universal.StyleRegion(known[1], 1 - left)]
    both = moved_features(level, transform, content, masked, alpha=0.8)
    first, second = (moved_features(level, transform, content, [region], alpha=0.8) for region in masked)
    edge = 24 // level.unit
    np.testing.assert_allclose(both[:, :edge], first[:, :edge], atol=1e-5)
    np.testing.assert_allclose(both[:, edge:], second[:, edge:], atol=1e-5)
    none = universal.StyleRegion([known[0]], np.zeros((32, 48), np.float32))
    image = universal.stylize([level], transform, content, [none])
    np.testing.assert_allclose(image, decode(level, encode(level, content)), atol=1e-5)


def test_a_style_is_read_inside_its_mask_alone(mini):
    style, other = picture(64, 64, 1), picture(64, 64, 2)
    where = np.zeros((64, 64), np.float32)
    where[:, :40] = 1
    other[:, :40] = style[:, :40]
    for level in (mini[1], mini[2], mini[3]):
        a, b = (
            jax.tree.leaves(universal.statistics([level], WCT, s, where=where, mask_mode="inside"))
            for s in (style, other)
        )
        for x, y in zip(a, b, strict=True):
            np.testing.assert_allclose(x, y, atol=1e-5 * np.abs(x).max())


@pytest.mark.parametrize("name", ["wct", "histogram", slow("adain"), slow("mean_shift")])
def test_styles_are_interpolated(tiny, name):
    transform, order = getattr(transforms, name)(), [tiny[2]]
    content, a, b = picture(32, 48), picture(40, 32, 1), picture(32, 32, 2)
    known = [universal.statistics(order, transform, s) for s in (a, b)]
    first, second = (
        universal.stylize(order, transform, content, [universal.StyleRegion(k)], alpha=0.9) for k in known
    )
    for portions, expected in (((1.0, 0.0), first), ((0.0, 1.0), second)):
        blended = universal.StyleRegion(blend(transform, known, portions))
        image = universal.stylize(order, transform, content, [blended], alpha=0.9)
        np.testing.assert_allclose(image, expected, atol=1e-4)
    assert np.abs(first - second).max() > 1e-2


def test_a_style_is_given_as_a_picture_too(tiny):
    order, content, style = [tiny[2], tiny[1]], picture(20, 28), picture(24, 30, 1)
    given = universal.stylize(order, WCT, content, [universal.StyleRegion(style)])
    np.testing.assert_allclose(given, apply(order, content, style), atol=1e-5)


@chained
def test_a_size_is_compiled_once_for_any_style_and_alpha(tiny, compilations, transform):
    order = [tiny[2], tiny[1]]
    styles = [universal.statistics(order, transform, picture(24, 24, seed)) for seed in range(3)]
    contents = [jnp.asarray(picture(20, 28, seed)) for seed in range(3)]

    def all_of_them():
        for content, known, alpha in zip(contents, styles, (0.2, 0.5, 0.9), strict=True):
            universal.stylize(
                order, transform, content, [universal.StyleRegion(known)], alpha=alpha, passes=2
            )

    universal.stylize(order, transform, contents[0], [universal.StyleRegion(styles[0])], alpha=1.0)
    with compilations() as seen:
        all_of_them()
        universal.statistics(order, transform, picture(24, 24, 9))
    assert len(seen) == 0
    with compilations() as seen:
        universal.stylize(order, transform, jnp.asarray(picture(22, 28)), [universal.StyleRegion(styles[0])])
    assert len(seen) > 0


@pytest.mark.parametrize(
    "name, order",
    [
        ("wct", (3,)),  # of 16 positions for 64 channels
        *(
            pytest.param(name, (4, 1), marks=pytest.mark.slow)
            for name in ("wct", "adain", "histogram", "mean_shift")
        ),
    ],
)
def test_gradients_are_finite_where_eigenvalues_repeat_or_vanish(mini, name, order):
    transform, order = getattr(transforms, name)(), [mini[n] for n in order]
    style = picture(32, 32, 1)
    known = universal.statistics(order, transform, style)
    weights = np.random.default_rng(0).normal(size=(16, 16, 3))

    @jax.jit
    def value_and_gradient(content):
        def scalar(content):
            image = universal.transfer(order, transform, content, [universal.StyleRegion(known)], alpha=0.8)
            return jnp.sum(weights * image)

        return jax.value_and_grad(scalar)(content)

    stripes = np.broadcast_to((np.arange(16) // 4 % 2)[:, None, None], (16, 16, 3)).astype(np.float32)
    for content in (picture(16, 16), np.full((16, 16, 3), 0.5, np.float32), 0 * stripes, stripes):
        value, gradient = value_and_gradient(content)
        assert np.isfinite(value) and np.isfinite(gradient).all()
    assert np.abs(value_and_gradient(picture(16, 16))[1]).max() > 0
