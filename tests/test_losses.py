"""Every loss: the shared table, values by hand, and the conventions of published code to the factor."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nstjax import losses
from nstjax.losses.gram import CONVENTIONS, gram_matrix


# Independent float64 transcriptions, straight from the sources: f(x, target features) -> float.
def flat(x):
    return x.reshape(-1, x.shape[-1])


def mean_square(x, s):
    return ((x - s) ** 2).mean()


def gram_n(x, s):
    return ((flat(x).T @ flat(x) / len(flat(x)) - flat(s).T @ flat(s) / len(flat(s))) ** 2).mean()


def gram_l1(x, s):
    d = flat(x).T @ flat(x) / len(flat(x)) - flat(s).T @ flat(s) / len(flat(s))
    return (d**2).sum() / (np.abs(d).sum() + 1e-8)


def cov(x):
    return np.cov(flat(x).T, bias=True).reshape(x.shape[-1], -1)


def corr(x, eps=1e-5):
    sigma = cov(x)
    d = np.diag(1 / np.sqrt(np.diag(sigma) + eps))
    return d @ sigma @ d


def moments(x, s):
    mean = (flat(x).mean(0) - flat(s).mean(0)) ** 2
    std = (np.sqrt(flat(x).var(0) + 1e-6) - np.sqrt(flat(s).var(0) + 1e-6)) ** 2
    return (mean + std).mean()


def central(x, orders):
    mean = flat(x).mean(0)
    return [mean, *[((flat(x) - mean) ** k).mean(0) for k in range(2, orders + 1)]]


def cmd(x, s, orders=5, f=lambda x: 1 / (1 + np.exp(-x))):
    pairs = zip(central(f(x), orders), central(f(s), orders), strict=True)
    return sum(np.linalg.norm(a - b) for a, b in pairs)


def kernel_distance(x, s, kernel):
    a, b = flat(x), flat(s)
    return kernel(a @ a.T).mean() + kernel(b @ b.T).mean() - 2 * kernel(a @ b.T).mean()


def transport(x, s):
    return ((np.sort(flat(x), 0) - np.sort(flat(s), 0)) ** 2).mean()


def sliced(x, s, directions=None):
    c = x.shape[-1]
    lines = np.asarray(jax.random.normal(jax.random.key(0), (c, directions or c)), float)
    lines /= np.linalg.norm(lines, axis=0)
    return transport(flat(x) @ lines, flat(s) @ lines)


def shifted(x, s, shifts=(1, 3)):
    def matrices(x):
        pairs = [(x[:, :-d], x[:, d:]) for d in shifts] + [(x[:-d], x[d:]) for d in shifts]
        return [
            flat(a).T @ flat(b) / len(flat(a)) if a.size else np.zeros((x.shape[-1],) * 2) for a, b in pairs
        ]

    return np.mean([((a - b) ** 2).mean() for a, b in zip(matrices(x), matrices(s), strict=True)])


def tv(x, s):
    return ((x[1:] - x[:-1]) ** 2).sum() + ((x[:, 1:] - x[:, :-1]) ** 2).sum()


def corner(x):
    return (x[:-1, 1:] - x[:-1, :-1]) ** 2 + (x[1:, :-1] - x[:-1, :-1]) ** 2


def nine_point(x, s):
    p = np.pad(x, ((1, 1), (1, 1), (0, 0)), mode="edge")
    axes = ((p[1:-1, 2:] - p[1:-1, 1:-1]) ** 2).mean() + ((p[2:, 1:-1] - p[1:-1, 1:-1]) ** 2).mean()
    diagonals = ((p[1:, 1:] - p[:-1, :-1]) ** 2).mean() + ((p[1:, :-1] - p[:-1, 1:]) ** 2).mean()
    return 2 * (axes / 3 + diagonals / 12)


# The shared table: a row a loss. (id, loss, transcription, whether it compares with its target)
TABLE = [
    ("feature", losses.feature(), mean_square, True),
    ("feature_sum", losses.feature_sum(), lambda x, s: 0.5 * ((x - s) ** 2).sum(), True),
    ("feature_deep_photo", losses.feature_deep_photo(), lambda x, s: ((x - s) ** 2).sum() / 2 / x.size, True),
    ("gram", losses.gram(), gram_n, True),
    ("gram shifted", losses.gram(shift=-1.0), lambda x, s: gram_n(x - 1, s - 1), True),
    ("gram_l1_normalised", losses.gram_l1_normalised(), gram_l1, True),
    ("covariance", losses.covariance(), lambda x, s: ((cov(x) - cov(s)) ** 2).mean(), True),
    ("correlation", losses.correlation(), lambda x, s: ((corr(x) - corr(s)) ** 2).mean(), True),
    ("mean_std", losses.mean_std(), moments, True),
    (
        "mean_std summed",
        losses.mean_std(convention="adain"),
        lambda x, s: x.shape[-1] * moments(x, s),
        True,
    ),
    ("cmd", losses.cmd(), cmd, True),
    ("cmd 3", losses.cmd(orders=3, squash=False), lambda x, s: cmd(x, s, 3, lambda x: x), True),
    ("mmd_linear", losses.mmd_linear(), lambda x, s: kernel_distance(x, s, lambda k: k), True),
    ("mmd_polynomial", losses.mmd_polynomial(), lambda x, s: kernel_distance(x, s, np.square), True),
    (
        "mmd_polynomial c",
        losses.mmd_polynomial(c=2.0),
        lambda x, s: kernel_distance(x, s, lambda k: (k + 2) ** 2),
        True,
    ),
    ("histogram", losses.histogram(), transport, True),
    ("sliced_wasserstein", losses.sliced_wasserstein(), sliced, True),
    (
        "sliced_wasserstein 20",
        losses.sliced_wasserstein(directions=20),
        lambda x, s: sliced(x, s, 20),
        True,
    ),
    ("shifted_gram", losses.shifted_gram(shifts=(1, 3)), shifted, True),
    ("tv_anisotropic", losses.tv_anisotropic(), tv, False),
    ("tv_isotropic", losses.tv_isotropic(), lambda x, s: corner(x).sum(), False),
    ("tv_isotropic 2.5", losses.tv_isotropic(beta=2.5), lambda x, s: (corner(x) ** 1.25).sum(), False),
    ("tv_isotropic 1", losses.tv_isotropic(beta=1.0), lambda x, s: (corner(x) ** 0.5).sum(), False),
    ("tv_corner", losses.tv_corner(), lambda x, s: 0.5 * 255**2 * corner(x).sum(), False),
    ("tv_nine_point", losses.tv_nine_point(), nine_point, False),
]
ROWS = pytest.mark.parametrize("loss, formula, compares", [r[1:] for r in TABLE], ids=[r[0] for r in TABLE])
SHAPES = [(5, 7, 3), (2, 2, 6), (1, 1, 4), (1, 8, 3), (9, 4, 2)]


STATISTICS = losses.covariance(), losses.correlation(), losses.mean_std(), losses.gram()


def features(shape, seed, dtype=np.float32):
    # Shifted off zero so that no factory's value is small by accident.
    return (np.random.default_rng(seed).normal(size=shape) + 0.3).astype(dtype)


def value(loss, x, s, where=None, target_where=None):
    return loss.score(x, loss.target(s, where=target_where), where=where, key=jax.random.key(0))


def test_every_public_loss_is_in_the_table():
    assert {row[0].split()[0] for row in TABLE} == set(losses.__all__) - {"Loss"}


@ROWS
@pytest.mark.parametrize("shape", SHAPES)
def test_value_is_that_of_the_transcription(loss, formula, compares, shape):
    x, s = features(shape, 0), features(shape, 1)
    ours = value(loss, x, s)
    assert ours.dtype == jnp.float32 and ours.shape == ()
    np.testing.assert_allclose(ours, formula(x.astype(float), s.astype(float)), rtol=1e-5)


@ROWS
@pytest.mark.parametrize("shape", [(4, 5, 3), (2, 2, 6)])
@pytest.mark.parametrize("masked", [False, True], ids=["everywhere", "masked"])
def test_gradient_is_that_of_finite_differences(loss, formula, compares, shape, masked):
    with jax.enable_x64(True):
        x, s = features(shape, 0, float), features(shape, 1, float)
        where = np.random.default_rng(2).uniform(size=shape[:2]) if masked else None

        def f(x):
            return value(loss, x, s, where, where)

        gradient = np.asarray(jax.jit(jax.grad(f))(x))
        steps = 1e-6 * np.eye(x.size).reshape(-1, *shape)
        after, before = (jax.jit(jax.vmap(f))(x + sign * steps) for sign in (1, -1))
        numeric = np.reshape((after - before) / 2e-6, shape)
        # Central differences of step 1e-6 leave an error of about 1e-9 of the value.
        np.testing.assert_allclose(gradient, numeric, rtol=1e-5, atol=1e-7 * float(f(x)))
        assert np.abs(gradient).max() > 0


@ROWS
@pytest.mark.parametrize("x", ["identity", "constant", "zero", "dead channel"])
def test_degenerate_features_give_finite_values_and_gradients(loss, formula, compares, x):
    s = features((6, 5, 4), 1)
    given = {
        "identity": s,
        "constant": np.full_like(s, 0.7),
        "zero": np.zeros_like(s),
        "dead channel": s * np.array([1, 0, 1, 1], np.float32),
    }[x]
    got, gradient = jax.value_and_grad(lambda x: value(loss, x, s))(jnp.asarray(given))
    assert np.isfinite(got) and np.isfinite(gradient).all() and got >= 0
    if x == "identity" and compares:
        assert got == 0
    if x in ("constant", "zero") and not compares:
        assert got == 0 and not np.abs(gradient).any()


@ROWS
def test_jit_is_eager_and_vmap_is_a_loop(loss, formula, compares):
    xs = jnp.stack([features((5, 4, 3), seed) for seed in range(3)])
    s = features((5, 4, 3), 9)
    one = jnp.stack([value(loss, x, s) for x in xs])
    np.testing.assert_allclose(jax.vmap(lambda x: value(loss, x, s))(xs), one, rtol=1e-5)
    np.testing.assert_allclose(jax.jit(lambda x: value(loss, x, s))(xs[0]), one[0], rtol=1e-5)


@ROWS
def test_a_mask_of_ones_is_no_mask(loss, formula, compares):
    x, s, ones = features((6, 5, 3), 0), features((6, 5, 3), 1), np.ones((6, 5), np.float32)
    np.testing.assert_allclose(value(loss, x, s, ones, ones), value(loss, x, s), rtol=1e-5)


@ROWS
def test_an_empty_mask_scores_zero_with_zero_gradient(loss, formula, compares):
    x, s, none = features((6, 5, 3), 0), features((6, 5, 3), 1), jnp.zeros((6, 5))
    for target_where in (None, none):
        got, gradient = jax.value_and_grad(lambda x, w=target_where: value(loss, x, s, none, w))(x)
        assert got == 0 and not np.asarray(gradient).any()


@ROWS
def test_the_gradient_is_zero_outside_a_binary_mask(loss, formula, compares):
    x, s = features((6, 8, 3), 0), features((6, 8, 3), 1)
    where = jnp.zeros((6, 8)).at[1:5, 2:6].set(1)
    gradient = jax.grad(lambda x: value(loss, x, s, where, where))(x)
    assert not np.asarray(gradient)[np.asarray(where) == 0].any()
    assert np.asarray(gradient)[np.asarray(where) == 1].any()


@pytest.mark.parametrize("row", [r for r in TABLE if r[3]], ids=lambda r: r[0])
def test_a_binary_mask_is_the_region_cut_out(row):
    loss = row[1]
    x, s = features((6, 8, 3), 0), features((6, 8, 3), 1)
    where = np.zeros((6, 8), np.float32)
    where[1:5, 2:6] = 1
    inside = value(loss, x[1:5, 2:6], s[1:5, 2:6])
    # feature_sum scales the region's mean to the whole picture, as every sum here does.
    expected = inside * (6 * 8 / 16) if row[0] == "feature_sum" else inside
    np.testing.assert_allclose(value(loss, x, s, where, where), expected, rtol=1e-5)


@pytest.mark.parametrize("name", CONVENTIONS)
def test_conventions_are_what_the_code_computes(name):
    """Each source's own formula, transcribed with its own Gram matrix and its own loss."""
    shape, stride = (6, 4, 5), 2
    x, s = features(shape, 0), features(shape, 1)
    where = np.random.default_rng(2).integers(0, 2, shape[:2]).astype(np.float32)
    n, c, area = shape[0] * shape[1], shape[2], shape[0] * shape[1] * stride**2
    f, g = flat(x).astype(float), flat(s).astype(float)
    d = f.T @ f - g.T @ g
    masked = f * where.reshape(-1, 1)
    masked_s = g * where.reshape(-1, 1)
    cover = where.mean()
    d_photo = (masked.T @ masked - masked_s.T @ masked_s) / (c * n * cover)
    d_shift = (f - 1).T @ (f - 1) - (g - 1).T @ (g - 1)
    expected = {
        "gatys2016": (d**2).sum() / (4 * c**2 * n**2),
        "deep_textures": 0.25 * ((d / n) ** 2).sum() / c**2,
        "neural_image_synthesis": ((d / n) ** 2).mean(),
        "neural_style": ((d / (c * n)) ** 2).mean(),
        "fast_neural_style": ((d / (c * n)) ** 2).mean(),
        "johnson2016": ((d / (c * n)) ** 2).sum(),
        "deep_photo": (d_photo**2).mean() * cover,
        "neural_texture_synthesis": (d**2).mean(),
        "titu1994": (d_shift**2).sum() / (4 * 3**2 * area**2),
    }[name]
    loss = losses.gram(convention=name, shift=-1.0 if name == "titu1994" else 0.0, stride=stride)
    where = where if name == "deep_photo" else None
    np.testing.assert_allclose(value(loss, x, s, where, where), expected, rtol=1e-5)


def test_convention_factors_are_those_of_the_table():
    x, s = features((6, 4, 5), 0), features((6, 4, 5), 1)
    n, c, base = 24, 5, float(value(losses.gram(), x, s))
    factors = {
        "gatys2016": 1 / 4,
        "deep_textures": 1 / 4,
        "neural_image_synthesis": 1,
        "neural_style": 1 / c**2,
        "fast_neural_style": 1 / c**2,
        "johnson2016": 1,
        "neural_texture_synthesis": n**2,
    }
    for name, factor in factors.items():
        ours = value(losses.gram(convention=name), x, s)
        np.testing.assert_allclose(ours, factor * base, rtol=1e-6)
    with pytest.raises(ValueError, match=r"convention must be one of gatys2016, .*; got 'gatys'"):
        losses.gram(convention="gatys")


def test_gram_by_hand():
    constant = jnp.broadcast_to(jnp.array([1.0, 2.0, 3.0]), (4, 5, 3))
    np.testing.assert_allclose(gram_matrix(constant), [[1, 2, 3], [2, 4, 6], [3, 6, 9]], rtol=1e-6)
    x, s = features((4, 6, 3), 0), features((5, 5, 3), 1)
    np.testing.assert_allclose(gram_matrix(np.tile(x, (2, 3, 1))), gram_matrix(x), rtol=1e-5)
    np.testing.assert_allclose(gram_matrix(3 * x), 9 * gram_matrix(x), rtol=1e-5)
    twice = value(losses.gram(), 2 * x, 2 * s)
    np.testing.assert_allclose(twice, 16 * value(losses.gram(), x, s), rtol=1e-5)
    permuted = np.random.default_rng(0).permutation(flat(x)).reshape(x.shape)
    np.testing.assert_allclose(value(losses.gram(), permuted, s), value(losses.gram(), x, s), rtol=1e-5)
    assert np.linalg.eigvalsh(gram_matrix(x)).min() > -1e-6
    # Gatys' ambiguity: a constant and a coin have one Gram matrix.
    coin = jnp.indices((4, 4)).sum(0)[..., None] % 2 * 1.0
    assert value(losses.gram(), coin, jnp.full_like(coin, 0.5**0.5)) < 1e-12


def test_a_gram_matrix_has_the_derivatives_of_the_product():
    rng = np.random.default_rng(0)
    x, mask = jnp.asarray(rng.normal(size=(5, 4, 3))), jnp.asarray(rng.uniform(size=(5, 4)))

    def ours(x, mask):
        return jnp.sum(jnp.sin(gram_matrix(x, where=mask)))

    def plain(x, mask):
        products = jnp.einsum("hwc,hwd,hw->cd", x, x, mask, precision="highest")
        return jnp.sum(jnp.sin(products / jnp.sum(mask)))

    for derivative in (jax.grad, jax.jacfwd, jax.hessian):
        found, expected = (derivative(f, (0, 1))(x, mask) for f in (ours, plain))
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), found, expected)
    inside = jax.grad(lambda x: ours(x, mask > 0.5))(x)
    np.testing.assert_array_equal(inside[mask <= 0.5], 0)


def test_statistics_by_hand():
    # The ambiguity of Gatys: a constant of 1 / sqrt(2) and an alternation of 0 and 1 have one Gram matrix.
    constant = np.full((4, 4, 1), 0.5**0.5, np.float32)
    coin = np.indices((4, 4)).sum(0)[..., None] % 2 * np.float32(1)
    assert abs(value(losses.gram(), constant, coin)) < 1e-12
    expected = (0.5**0.5 - 0.5) ** 2 + 0.5**2
    np.testing.assert_allclose(value(losses.mean_std(eps=1e-12), constant, coin), expected, rtol=1e-5)
    np.testing.assert_allclose(value(losses.covariance(), constant, coin), 0.25**2, rtol=1e-5)
    moments = value(losses.cmd(squash=False), constant, coin)
    np.testing.assert_allclose(moments, 0.5**0.5 - 0.5 + 1 / 4 + 1 / 16, rtol=1e-5)
    moved = features((4, 5, 3), 0)
    by = np.array([1, -2, 2], np.float32)
    np.testing.assert_allclose(value(losses.cmd(squash=False), moved + by, moved), 3, rtol=1e-3)
    x, s, gain = features((7, 6, 3), 0), features((5, 9, 3), 1), np.array([2, 5, 0.5], np.float32)
    plain = value(losses.correlation(eps=1e-9), x, s)
    np.testing.assert_allclose(value(losses.correlation(eps=1e-9), gain * x + 3, s), plain, rtol=1e-4)
    # Mean and deviation cannot tell two channels that go together from two that go against each other.
    ramp = np.linspace(-1, 1, 16, dtype=np.float32).reshape(4, 4)
    together, against = np.stack([ramp, ramp], -1), np.stack([ramp, -ramp], -1)
    assert value(losses.mean_std(), together, against) < 1e-12
    np.testing.assert_allclose(value(losses.correlation(), together, against), 2, rtol=1e-3)
    with pytest.raises(ValueError, match="convention must be one of adain, neural_style_mmd; got 'mean'"):
        losses.mean_std(convention="mean")


def test_transport_by_hand():
    constant = np.full((4, 4, 1), 0.5**0.5, np.float32)
    coin = np.indices((4, 4)).sum(0)[..., None] % 2 * np.float32(1)
    np.testing.assert_allclose(value(losses.histogram(), constant, coin), 1 - 0.5**0.5, rtol=1e-5)
    x, s = features((5, 5, 3), 0), features((5, 5, 3), 1)
    # Every value three times over is the same distribution, and so is a picture beside itself.
    for loss in (losses.histogram(), losses.sliced_wasserstein()):
        plain = value(loss, x, s)
        np.testing.assert_allclose(value(loss, x, np.tile(s, (3, 1, 1))), plain, rtol=1e-5)
        np.testing.assert_allclose(value(loss, np.tile(x, (3, 1, 1)), s), plain, rtol=1e-5)
        np.testing.assert_allclose(
            value(loss, x[..., :1], s[..., :1]), transport(x[..., :1], s[..., :1]), rtol=1e-4
        )
    # Of 2 and of 3 points: quantiles at 1/4 and 3/4 are the first and the last.
    two, three = np.array([0.0, 10]).reshape(1, 2, 1), np.array([5.0, 1, 4]).reshape(1, 3, 1)
    assert value(losses.histogram(), two, three) == (1 + 25) / 2
    by = np.array([1, -2, 2], np.float32)
    cost = value(losses.sliced_wasserstein(directions=20000), x + by, x)
    np.testing.assert_allclose(cost, by @ by / 3, rtol=0.02)
    with pytest.raises(ValueError, match="directions must be at least 1; got 0"):
        losses.sliced_wasserstein(directions=0)


def test_equal_values_are_ranked_at_random():
    x, s = jnp.zeros((32, 32, 1)), features((32, 32, 1), 0)
    push = jax.grad(lambda x, key: losses.histogram().score(x, losses.histogram().target(s), key=key))
    first, second = (np.asarray(push(x, jax.random.key(seed)))[..., 0] for seed in range(2))
    assert not np.array_equal(first, second)
    for gradient in (first, second):  # no raster: rows and columns get what they would by chance
        assert np.abs(gradient.mean(0)).max() < 5 * gradient.std() / 32**0.5 + abs(gradient.mean())
        assert np.abs(gradient.mean(1)).max() < 5 * gradient.std() / 32**0.5 + abs(gradient.mean())


def test_samples_of_two_styles_are_pooled_by_weight():
    a, b = features((6, 4, 3), 0), 2 + features((4, 3, 3), 1)
    x = features((8, 4, 3), 2)  # the middle of no share is where two values of the style meet
    for loss in (losses.histogram(), losses.sliced_wasserstein()):
        targets = [loss.target(a), loss.target(b)]
        both = np.concatenate([a.reshape(24, 3), *[b.reshape(12, 3)] * 2])[None]  # each counts alike
        pooled = loss.blend(targets, [0.5, 0.5])
        key = jax.random.key(0)
        np.testing.assert_allclose(loss.score(x, pooled, key=key), value(loss, x, both), rtol=1e-5)
        np.testing.assert_allclose(
            loss.score(x, loss.blend(targets, [1.0, 0.0]), key=key), value(loss, x, a), rtol=1e-5
        )


def test_moments_of_two_styles_are_averaged_into_those_of_both():
    a, b = features((6, 4, 3), 0), 2 + features((6, 4, 3), 1)
    both, x = np.concatenate([a, b]), features((6, 4, 3), 2)
    for loss in (*STATISTICS, losses.cmd(), losses.mmd_polynomial(c=1.0)):
        half = loss.blend([loss.target(a), loss.target(b)], [0.5, 0.5])
        np.testing.assert_allclose(loss.score(x, half), value(loss, x, both), rtol=1e-5)


def test_order_of_positions_does_not_matter_but_to_shifts():
    x, s = features((6, 6, 3), 0), features((6, 6, 3), 1)
    mixed = np.random.default_rng(2).permutation(x.reshape(36, 3)).reshape(6, 6, 3)
    for loss in (*STATISTICS, losses.cmd(), losses.mmd_polynomial(c=1.0)):
        np.testing.assert_allclose(value(loss, mixed, s), value(loss, x, s), rtol=1e-4)
    waves = np.tile(features((1, 4, 3), 3), (6, 6, 1))  # of period 4 along the rows
    shift = losses.shifted_gram(shifts=(4,))
    same, mixed = value(shift, waves, np.roll(waves, 1, 1)), value(shift, waves, np.sort(waves, 1))
    assert same < 1e-10 and mixed > 1e-3
    with pytest.raises(ValueError, match="c must be at least 0; got -1"):
        losses.mmd_polynomial(c=-1)
    with pytest.raises(ValueError, match="orders must be at least 1; got 0"):
        losses.cmd(orders=0)
    for shifts in ((), (0, 4)):
        with pytest.raises(ValueError, match="shifts must be positions above 0"):
            losses.shifted_gram(shifts=shifts)


def test_gatys_gradients_are_those_of_the_paper():
    x, s = np.maximum(features((4, 5, 3), 0), 0), np.maximum(features((4, 5, 3), 1), 0)
    n, c, f = 20, 3, flat(x)
    gradient = jax.grad(lambda x: value(losses.gram(convention="gatys2016"), x, s))(x)
    expected = f @ (f.T @ f - flat(s).T @ flat(s)) / (c**2 * n**2)
    np.testing.assert_allclose(flat(np.asarray(gradient)), expected, rtol=1e-4, atol=1e-7)  # float32
    gradient = jax.grad(lambda x: value(losses.feature_sum(), x, s))(x)
    np.testing.assert_allclose(gradient, x - s, rtol=1e-5)


def test_feature_by_hand():
    p = features((4, 5, 3), 0)
    np.testing.assert_allclose(value(losses.feature_sum(), p + 2, p), 0.5 * 20 * 3 * 4, rtol=1e-5)
    np.testing.assert_allclose(value(losses.feature(), p + 2, p), 4, rtol=1e-5)


def test_total_variation_by_hand():
    ramp = jnp.tile(jnp.arange(4.0)[None, :, None], (4, 1, 1))
    board = jnp.indices((4, 4)).sum(0)[..., None] % 2 * 1.0
    expected = {
        losses.tv_anisotropic(): (12, 24),
        losses.tv_corner(pixel_range=1.0): (4.5, 9),
        losses.tv_nine_point(): (0.7, 1.16),
    }
    for loss, (on_ramp, on_board) in expected.items():
        np.testing.assert_allclose(value(loss, ramp, ramp), on_ramp, rtol=1e-6)
        np.testing.assert_allclose(value(loss, board, board), on_board, rtol=1e-6)
        x = features((5, 6, 3), 0)
        np.testing.assert_allclose(value(loss, x + 5, x), value(loss, x, x), rtol=1e-4)  # float32
        np.testing.assert_allclose(value(loss, 3 * x, x), 9 * value(loss, x, x), rtol=1e-5)


def test_a_detached_gram_has_the_value_and_no_gradient():
    """The failure that plateaus: statistics computed outside the graph. Equal values prove nothing."""
    attached = losses.gram()
    detached = losses.Loss(
        attached.target, lambda x, t, **kw: attached.score(jax.lax.stop_gradient(x), t, **kw)
    )
    x, s = features((4, 5, 3), 0), features((4, 5, 3), 1)
    assert value(attached, x, s) == value(detached, x, s) > 0
    assert not jax.grad(lambda x: value(detached, x, s))(x).any()
    assert jnp.abs(jax.grad(lambda x: value(attached, x, s))(x)).max() > 1e-3
