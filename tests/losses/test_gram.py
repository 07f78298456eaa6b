"""Gram losses: by hand, and the conventions of published code to the factor."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from rows import features, flat, value

from nstjax import losses
from nstjax.losses._gram import CONVENTIONS
from nstjax.ops.moments import gram_matrix


def gradient_of(loss):
    return jax.jit(jax.grad(lambda x, s: value(loss, x, s)))


@pytest.mark.parametrize("name", CONVENTIONS)
def test_conventions_are_what_the_code_computes(name):
    """Each source's own formula, transcribed with its own Gram matrix and its own loss."""
    shape = (6, 4, 5)
    x, s = features(shape, 0), features(shape, 1)
    where = np.random.default_rng(2).integers(0, 2, shape[:2]).astype(np.float32)
    n, c = shape[0] * shape[1], shape[2]
    f, g = flat(x).astype(float), flat(s).astype(float)
    d = f.T @ f - g.T @ g
    masked = f * where.reshape(-1, 1)
    masked_s = g * where.reshape(-1, 1)
    cover = where.mean()
    d_photo = (masked.T @ masked - masked_s.T @ masked_s) / (c * n * cover)
    expected = {
        "gatys2016": (d**2).sum() / (4 * c**2 * n**2),
        "deep_textures": 0.25 * ((d / n) ** 2).sum() / c**2,
        "neural_image_synthesis": ((d / n) ** 2).mean(),
        "neural_style": ((d / (c * n)) ** 2).mean(),
        "fast_neural_style": ((d / (c * n)) ** 2).mean(),
        "johnson2016": ((d / (c * n)) ** 2).sum(),
        "deep_photo": (d_photo**2).mean() * cover,
        "neural_texture_synthesis": (d**2).mean(),
    }[name]
    loss = losses.gram(convention=name)
    where = where if name == "deep_photo" else None
    np.testing.assert_allclose(value(loss, x, s, where, where), expected, rtol=1e-5)


def test_soft_masks_of_deep_photo_weigh_by_their_square():
    """neuralstyle_seg.lua, in float64; its gradient by hand lacks the last factor of the mask."""
    with jax.enable_x64(True):
        x, s = features((6, 4, 5), 0, float), features((6, 4, 5), 1, float)
        where, where_s = (np.random.default_rng(seed).uniform(size=(6, 4)) for seed in (2, 3))
        (n, c), cover = flat(x).shape, where.mean()

        def theirs(f, mask):
            masked = flat(f) * mask.reshape(-1, 1)
            return masked.T @ masked / (c * n * mask.mean()), masked

        (ours, masked), (wanted, _) = theirs(x, where), theirs(s, where_s)
        by_hand = 4 * cover * masked @ (ours - wanted) / c**2 / (c * n * cover)
        loss = losses.gram(convention="deep_photo")
        found, gradient = jax.jit(jax.value_and_grad(lambda x: value(loss, x, s, where, where_s)))(x)
        np.testing.assert_allclose(found, ((ours - wanted) ** 2).mean() * cover, rtol=1e-12)
        np.testing.assert_allclose(flat(gradient), by_hand * where.reshape(-1, 1), rtol=1e-9, atol=1e-12)


def test_a_shifted_gram_is_that_of_novak_and_nikulin():
    """As titu1994 computes it of a picture with two pixels per position along each axis."""
    x, s = features((6, 4, 5), 0), features((6, 4, 5), 1)
    f, g = flat(x).astype(float) - 1, flat(s).astype(float) - 1
    expected = ((f.T @ f - g.T @ g) ** 2).sum() / (4 * 3**2 * (12 * 8) ** 2)
    found = 5**2 / (36 * 2**4) * value(losses.gram(shift=-1.0), x, s)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


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
    constant = np.broadcast_to(np.array([1.0, 2.0, 3.0], np.float32), (4, 5, 3))
    np.testing.assert_allclose(gram_matrix(constant), [[1, 2, 3], [2, 4, 6], [3, 6, 9]], rtol=1e-6)
    x, s = features((4, 6, 3), 0), features((5, 5, 3), 1)
    np.testing.assert_allclose(gram_matrix(np.tile(x, (2, 3, 1))), gram_matrix(x), rtol=1e-5)
    np.testing.assert_allclose(gram_matrix(3 * x), 9 * gram_matrix(x), rtol=1e-5)
    loss = losses.gram()
    np.testing.assert_allclose(value(loss, 2 * x, 2 * s), 16 * value(loss, x, s), rtol=1e-5)
    permuted = np.random.default_rng(0).permutation(flat(x)).reshape(x.shape)
    np.testing.assert_allclose(value(loss, permuted, s), value(loss, x, s), rtol=1e-5)
    assert np.linalg.eigvalsh(gram_matrix(x)).min() > -1e-6
    # Gatys' ambiguity: a constant and a coin have one Gram matrix.
    coin = np.indices((4, 4)).sum(0)[..., None] % 2 * np.float32(1)
    assert value(loss, coin, np.full_like(coin, 0.5**0.5)) < 1e-12


def test_a_gram_matrix_has_the_derivatives_of_the_product():
    rng = np.random.default_rng(0)
    x, mask = jnp.asarray(rng.normal(size=(5, 4, 3))), jnp.asarray(rng.uniform(size=(5, 4)))

    def ours(x, mask):
        return jnp.sum(jnp.sin(gram_matrix(x, where=mask)))

    def plain(x, mask):
        products = jnp.einsum("hwc,hwd,hw->cd", x, x, mask, precision="highest")
        return jnp.sum(jnp.sin(products / jnp.sum(mask)))

    for derivative in (jax.grad, jax.jacfwd, jax.hessian):
        found, expected = (jax.jit(derivative(f, (0, 1)))(x, mask) for f in (ours, plain))
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), found, expected)
    inside = jax.grad(lambda x: ours(x, mask > 0.5))(x)
    np.testing.assert_array_equal(inside[mask <= 0.5], 0)


def test_gatys_gradients_are_those_of_the_paper():
    x, s = np.maximum(features((4, 5, 3), 0), 0), np.maximum(features((4, 5, 3), 1), 0)
    n, c, f = 20, 3, flat(x)
    gradient = gradient_of(losses.gram(convention="gatys2016"))(x, s)
    expected = f @ (f.T @ f - flat(s).T @ flat(s)) / (c**2 * n**2)
    np.testing.assert_allclose(flat(np.asarray(gradient)), expected, rtol=1e-4, atol=1e-7)  # float32
    gradient = gradient_of(losses.feature_sum())(x, s)
    np.testing.assert_allclose(gradient, x - s, rtol=1e-5)


def test_a_detached_gram_has_the_value_and_no_gradient():
    """The failure that plateaus: statistics computed outside the graph. Equal values prove nothing."""
    attached = losses.gram()
    detached = losses.Loss(
        attached.target, lambda x, t, **kw: attached.score(jax.lax.stop_gradient(x), t, **kw)
    )
    x, s = features((4, 5, 3), 0), features((4, 5, 3), 1)
    assert value(attached, x, s) == value(detached, x, s) > 0
    assert not gradient_of(detached)(x, s).any()
    assert jnp.abs(gradient_of(attached)(x, s)).max() > 1e-3
