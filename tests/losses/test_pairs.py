"""Losses on pairs of positions: by hand, invariances, draws, several styles, memory."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from rows import blended_value, eager_value, features, flat, value
from rows.pairs import mrf, remd

from nstjax import losses
from nstjax.ops import pairwise
from nstjax.ops.samples import Samples, draw

FULL = {
    "mmd_gaussian": losses.mmd_gaussian(),
    "mrf": losses.mrf(stride=1),
    "contextual": losses.contextual(samples=None),
    "relaxed_emd": losses.relaxed_emd(samples=None, style_samples=None),
    "palette": losses.palette(samples=None, style_samples=None),
    "moments_l1": losses.moments_l1(samples=None),
    "self_similarity": losses.self_similarity(samples=None),
}
SAMPLED = {
    "contextual": losses.contextual(samples=12),
    "relaxed_emd": losses.relaxed_emd(samples=12, style_samples=15),
    "moments_l1": losses.moments_l1(samples=12),
    "self_similarity": losses.self_similarity(samples=12),
}


def shuffled(x, seed=0):
    return np.random.default_rng(seed).permutation(flat(x)).reshape(x.shape)


def rotation(c):
    return np.linalg.qr(np.random.default_rng(7).normal(size=(c, c)))[0].astype(np.float32)


def scales(x):
    return np.random.default_rng(8).uniform(0.5, 2, size=(*x.shape[:2], 1)).astype(np.float32)


@pytest.mark.parametrize("name", FULL)
def test_16384_positions_take_less_than_2_gb(name):
    loss, x = FULL[name], jax.ShapeDtypeStruct((128, 128, 3 if name == "palette" else 256), jnp.float32)
    step = jax.jit(jax.value_and_grad(loss.score))
    memory = step.lower(x, jax.eval_shape(loss.target, x)).compile().memory_analysis()
    assert memory.temp_size_in_bytes < 2e9


@pytest.mark.parametrize(
    "name",
    ["mmd_gaussian", *(pytest.param(n, marks=pytest.mark.slow) for n in ("contextual", "self_similarity"))],
)
def test_gradients_over_several_blocks_of_a_real_size(name):
    x, s = features((64, 64, 32), 0), features((64, 64, 32), 1)
    gradient = np.asarray(jax.jit(jax.grad(lambda x: eager_value(FULL[name], x, s)))(x))
    change = np.random.default_rng(2).normal(size=x.shape).astype(np.float32)
    forward = jax.jit(lambda x: jax.jvp(lambda x: eager_value(FULL[name], x, s), (x,), (change,))[1])(x)
    np.testing.assert_allclose((gradient * change).sum(), forward, rtol=1e-2)


@pytest.mark.parametrize("name", ["mmd_gaussian", "contextual", "self_similarity"])
def test_the_size_of_blocks_does_not_matter(name, monkeypatch):
    x, s = features((5, 7, 3), 0), features((5, 7, 3), 1)

    def both(x):
        return jax.jit(jax.value_and_grad(lambda x: eager_value(FULL[name], x, s)))(x)

    whole = both(x)
    monkeypatch.setattr(pairwise, "ENTRIES", 100)  # 2 or 3 rows a block, some left over
    for ours, theirs in zip(both(x), whole, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)


def test_gaussian_discrepancy_by_hand():
    x = np.zeros((3, 4, 2), np.float32)
    s = x + np.array([2, 0], np.float32)
    for loss in (losses.mmd_gaussian(gamma=0.5), losses.mmd_gaussian_paired(gamma=0.5)):
        np.testing.assert_allclose(value(loss, x, s), 1.7293294, rtol=1e-6)
    # Squared distances are 0 within and 4 between, whose mean over the four sorts of pairs is 2.
    for loss in (losses.mmd_gaussian(multi=3.0), losses.mmd_gaussian_paired(multi=3.0)):
        np.testing.assert_allclose(value(loss, x, s), 2 - 2 * np.exp(-6), rtol=1e-6)
    for loss in (losses.mmd_gaussian, losses.mmd_gaussian_paired):
        assert value(loss(), x, x) == 0
        with pytest.raises(ValueError, match="gamma must be above 0; got 0"):
            loss(gamma=0)
        with pytest.raises(ValueError, match="multi must be above 0; got -1"):
            loss(multi=-1)


def test_the_bandwidth_is_taken_of_the_distances_and_held():
    x, s = features((4, 5, 3), 0), 2 * features((6, 3, 3), 1) + 1
    a, b = flat(x), flat(s)
    means = [((p[:, None] - q[None]) ** 2).sum(-1).mean() for p, q in ((a, a), (b, b), (a, b), (b, a))]
    fixed = losses.mmd_gaussian(gamma=float(2 / np.mean(means)))
    (ours, slope), (theirs, expected) = (
        jax.jit(jax.value_and_grad(lambda x, k=k: value(k, x, s)))(x)
        for k in (losses.mmd_gaussian(multi=2.0), fixed)
    )
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(slope, expected, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("mask", [None, "binary", "soft"])
def test_random_pairs_estimate_the_discrepancy(mask):
    x, s = features((6, 6, 2), 0), features((5, 6, 2), 1) + 0.5
    where = np.random.default_rng(2).uniform(0.2, 1, size=(6, 6)).astype(np.float32)
    where = {None: None, "soft": where, "binary": (where > 0.5).astype(np.float32)}[mask]
    loss = losses.mmd_gaussian_paired(gamma=0.3)
    keys = jax.random.split(jax.random.key(1), 3000)
    got = jax.jit(jax.vmap(lambda k: loss.score(x, loss.target(s), where=where, key=k)))(keys)

    def mean(a, w, b, v, alike):
        k = np.exp(-0.3 * ((a[:, None] - b[None]) ** 2).sum(-1))
        both = np.outer(w, v) * (1 - np.eye(len(a)) if alike else 1)
        return (k * both).sum() / both.sum()

    a, b = flat(x), flat(s)
    w, v = np.ones(36) if where is None else where.ravel(), np.ones(30)
    expected = mean(a, w, a, w, True) + mean(b, v, b, v, True) - 2 * mean(a, w, b, v, False)
    assert got.std() > 0 and abs(got.mean() - expected) < 4 * got.std() / 3000**0.5


def test_patches_by_hand():
    ones, zeros = np.ones((4, 4, 1), np.float32), np.zeros((4, 4, 1), np.float32)
    counts = [[1, 2, 2, 1], [2, 4, 4, 2], [2, 4, 4, 2], [1, 2, 2, 1]]
    summed = losses.mrf(size=2, stride=1, convention="li_wand2016")
    gradient = jax.jit(jax.grad(lambda x: 0.5 * value(summed, x, zeros)))(ones)
    np.testing.assert_allclose(gradient[..., 0], counts)
    averaged = losses.mrf(size=2, stride=1, convention="cnnmrf")
    got, gradient = jax.jit(jax.value_and_grad(lambda x: value(averaged, x, zeros)))(ones)
    np.testing.assert_allclose(gradient, ones, rtol=1e-6)
    np.testing.assert_allclose(got, 8)
    np.testing.assert_allclose(value(summed, ones, zeros), 9 * 4)
    x, s = features((7, 8, 3), 0), features((6, 9, 3), 1)
    mean = value(losses.mrf(), x, s)
    np.testing.assert_allclose(mean, mrf(x, s), rtol=1e-5)
    paper = value(losses.mrf(convention="li_wand2016"), x, s)
    np.testing.assert_allclose(paper, mean * 3 * 4 * 9 * 3, rtol=1e-6)  # starts 0, 2, 4 and 0, 2, 4, 5
    # All patches of a picture are in one that has it as a part.
    assert value(FULL["mrf"], x, np.concatenate([features((4, 8, 3), 2), x])) == 0
    assert value(FULL["mrf"], x, x[:-1]) > 0
    # The largest cosine is not the least distance.
    near, along = np.array([[[1.0, 1.0]]]), np.array([[[9.0, 0.0]]])
    style = np.concatenate([near, along], 1).astype(np.float32)
    assert value(losses.mrf(size=1), np.array([[[1.0, 0.1]]], np.float32), style) == (8**2 + 0.1**2) / 2
    with pytest.raises(ValueError, match="stride must be at least 1; got 0"):
        losses.mrf(stride=0)
    with pytest.raises(ValueError, match="size must be at least 1; got 0"):
        losses.mrf(size=0)
    with pytest.raises(ValueError, match="convention must be one of mean, li_wand2016, cnnmrf; got 'sum'"):
        losses.mrf(convention="sum")


def test_turned_copies_of_a_style_are_further_styles():
    loss, s = losses.mrf(stride=1), features((5, 6, 3), 0)
    turned = np.rot90(s)
    assert value(loss, turned, s) > 0.1
    assert blended_value(loss, turned, [s, turned], [0.5, 0.5]) == 0
    only = blended_value(loss, turned, [s, turned], [1.0, 0.0])
    np.testing.assert_allclose(only, value(loss, turned, s), rtol=1e-6)


def test_patches_weigh_as_their_least_position():
    x, s, where = features((3, 4, 2), 0), features((5, 5, 2), 1), np.ones((3, 4), np.float32)
    left, right = (value(FULL["mrf"], p, s) for p in (x[:, :3], x[:, 1:]))
    where[1, 0], where[2, 0] = 0.25, 0.5
    got = value(FULL["mrf"], x, s, where)
    np.testing.assert_allclose(got, (0.25 * left + right) / 1.25, rtol=1e-5)


def test_nearest_both_ways_by_hand():
    loss, x, s = losses.relaxed_emd(), features((4, 5, 3), 0), features((6, 5, 3), 1)
    part = np.concatenate([x, s])
    a, b = (flat(v) / np.linalg.norm(flat(v), axis=1, keepdims=True) for v in (x, part))
    np.testing.assert_allclose(value(loss, x, part), (1 - b @ a.T).min(1).mean(), rtol=1e-5)
    np.testing.assert_allclose(value(loss, x, part), remd(1 - a @ b.T), rtol=1e-5)
    # Zeros, as after a ReLU: alike among themselves, half way from everything else.
    dead = x * np.array([0, 1])[np.arange(4) % 2][:, None, None]
    assert value(loss, dead, dead) < 1e-12
    np.testing.assert_allclose(value(loss, 0 * x, x), 0.5, rtol=1e-6)
    assert not np.asarray(jax.jit(jax.grad(lambda x: value(loss, x, s)))(0 * x)).any()
    grey = np.full((2, 2, 3), 0.25, np.float32)
    np.testing.assert_allclose(value(losses.palette(), 3 * grey, grey), 0.5, rtol=1e-6)
    moved = losses.moments_l1()
    np.testing.assert_allclose(value(moved, x - [1, 2, 3], x), 2, rtol=1e-5)
    for factory in (losses.relaxed_emd, losses.moments_l1, losses.self_similarity, losses.contextual):
        with pytest.raises(ValueError, match="samples must be at least 1, or None for all; got 0"):
            factory(samples=0)


def test_draws_of_picture_and_style_are_apart():
    x, s = features((3, 4, 3), 0), features((4, 5, 3), 1)
    keys = jax.random.split(jax.random.key(0), 20)

    def scores(loss, s):
        return np.asarray(jax.jit(jax.vmap(lambda k: loss.score(x, loss.target(s), key=k)))(keys))

    a, b = (flat(v) / np.linalg.norm(flat(v), axis=1, keepdims=True) for v in (x, s))
    one_of_the_style = scores(losses.relaxed_emd(samples=None, style_samples=1), s)
    gaps = np.abs(one_of_the_style[:, None] - (1 - a @ b.T).mean(0))
    assert gaps.min(1).max() < 1e-5 and len(set(gaps.argmin(1))) > 1
    assert scores(losses.relaxed_emd(samples=5, style_samples=5), x).max() > 1e-3
    assert scores(losses.contextual(samples=5), x).max() < 1e-3  # the same positions of both


def test_one_position_is_like_itself():
    x, s = features((50, 1, 1, 64), 0), features((50, 1, 1, 64), 1)
    got = jax.jit(jax.vmap(lambda x, s: eager_value(FULL["self_similarity"], x, s)))(x, s)
    assert not np.asarray(got).any()


def test_what_does_not_matter():
    x, s = features((6, 6, 4), 0), features((6, 6, 4), 1)
    turn, scale = rotation(4), scales(x)
    for name in ("mmd_gaussian", "contextual", "relaxed_emd", "palette", "moments_l1"):
        plain = value(FULL[name], x, s)
        np.testing.assert_allclose(value(FULL[name], shuffled(x), shuffled(s, 1)), plain, rtol=1e-4)
        if name != "contextual":
            np.testing.assert_allclose(value(FULL[name], s, x), plain, rtol=1e-4)
    for name in ("mmd_gaussian", "mrf", "contextual", "relaxed_emd", "palette", "self_similarity"):
        np.testing.assert_allclose(value(FULL[name], x @ turn, s @ turn), value(FULL[name], x, s), rtol=1e-3)
    for name in ("relaxed_emd", "self_similarity"):
        np.testing.assert_allclose(value(FULL[name], x * scale, s), value(FULL[name], x, s), rtol=1e-4)
    np.testing.assert_allclose(value(FULL["self_similarity"], x @ turn, x), 0, atol=1e-5)
    for name in ("relaxed_emd", "palette"):  # a picture beside itself
        twice = value(FULL[name], np.tile(x, (2, 1, 1)), s)
        np.testing.assert_allclose(twice, value(FULL[name], x, s), rtol=1e-5)


def test_contextual_by_hand():
    x, loss = features((8, 8, 16), 0), losses.contextual()
    assert value(loss, shuffled(x), x) < 1e-5
    noise = [value(loss, features((8, 8, 16), 2 * i), features((8, 8, 16), 2 * i + 1)) for i in range(3)]
    assert all(1.9 < v < 2.3 for v in noise)
    assert abs(noise[0] - value(loss, features((8, 8, 16), 1), features((8, 8, 16), 0))) > 1e-4
    # Of two targets at right angles and one position at the first of them, at distances 0 and 1/2.
    s = np.array([[[1.0, 1.0], [-1.0, 1.0], [-1.0, -1.0], [1.0, -1.0]]], np.float32)
    w = np.exp(-np.array([0, 0.5, 1.0, 0.5]) / (1e-5 * 1e5))
    expected = -np.log((w / w.sum()).mean())
    np.testing.assert_allclose(value(losses.contextual(bandwidth=1e5), s[:, :1], s), expected, rtol=1e-2)
    with pytest.raises(ValueError, match="bandwidth must be above 0; got 0"):
        losses.contextual(bandwidth=0)


def test_a_soft_mask_weights_positions():
    # A position that weighs a third is there once where the others are there three times.
    x, s, where = features((5, 4, 3), 0), features((1, 6, 3), 1), np.ones((1, 6), np.float32)
    where[0, :2] = 1 / 3
    repeated = np.repeat(s, [1, 1, 3, 3, 3, 3], axis=1)
    for name in ("mmd_gaussian", "relaxed_emd"):
        got = value(FULL[name], x, s, None, where)
        np.testing.assert_allclose(got, value(FULL[name], x, repeated), rtol=1e-4, err_msg=name)
        got = value(FULL[name], s, x, where, None)
        np.testing.assert_allclose(got, value(FULL[name], repeated, x), rtol=1e-4, err_msg=name)
    a, b = features((1, 6, 3), 2), np.repeat(features((1, 6, 3), 2), [1, 1, 3, 3, 3, 3], axis=1)
    got = value(FULL["self_similarity"], s, a, where)
    np.testing.assert_allclose(got, value(FULL["self_similarity"], repeated, b), rtol=1e-4)


def test_styles_are_pooled_by_weight():
    x, a, b = features((5, 4, 3), 2), features((6, 4, 3), 0), 2 + features((4, 3, 3), 1)
    both = np.concatenate([flat(a), *[flat(b)] * 2])[None]  # each counts alike
    for name in ("mmd_gaussian", "relaxed_emd", "moments_l1"):
        loss = FULL[name]
        for shares, style in (([0.5, 0.5], both), ([1.0, 0.0], a)):
            got = blended_value(loss, x, [a, b], shares)
            np.testing.assert_allclose(got, value(loss, x, style), rtol=1e-4, err_msg=name)


@pytest.mark.parametrize("name", SAMPLED)
def test_samples_lie_in_the_mask_and_estimate_the_whole(name):
    x, s, where = features((6, 8, 3), 0), features((6, 8, 3), 1), np.zeros((6, 8), np.float32)
    where[1:6, 2:7] = 1
    loss = SAMPLED[name]

    def score(x, seed):
        return loss.score(x, loss.target(s, where=where), where=where, key=jax.random.key(seed))

    got, gradient = jax.jit(jax.vmap(jax.value_and_grad(score), (None, 0)))(x, jnp.arange(200))
    assert got.std() > 0 and not np.asarray(gradient)[:, where == 0].any()
    assert np.asarray(gradient).any(0)[where == 1].all()  # every position has its turn
    # The nearest of fewer are farther.
    np.testing.assert_allclose(got.mean(), value(FULL[name], x, s, where, where), rtol=1)
    small = np.zeros((6, 8), np.float32)  # fewer than are to be drawn
    small[2:5, 2:5] = 1
    got, all_of_it = (value(loss, x, s, small, small) for loss in (loss, FULL[name]))
    np.testing.assert_allclose(got, all_of_it, rtol=1e-5)


def test_draws_are_distinct_and_in_proportion_to_weights():
    values = jnp.arange(10.0)[:, None]
    plain = draw(Samples(values, None), 4, jax.random.key(0))
    assert len(set(np.ravel(plain.values))) == 4 and plain.weights is None
    ones = draw(Samples(values, jnp.ones(10)), 4, jax.random.key(0))
    assert np.array_equal(plain.values, ones.values)
    weights = jnp.array([0.0, 1, 1, 1, 1, 2, 0, 0, 0, 0])
    keys = jax.random.split(jax.random.key(1), 6000)
    first = jax.jit(jax.vmap(lambda k: draw(Samples(values, weights), 1, k).values[0, 0]))(keys)
    share = np.bincount(np.asarray(first, int), minlength=10) / 6000
    np.testing.assert_allclose(share, weights / 6, atol=0.025)
    few = draw(Samples(values, weights), 7, jax.random.key(2))
    assert (
        sorted(np.ravel(few.values)[np.asarray(few.weights) > 0]) == [1, 2, 3, 4, 5]
        and few.weights.max() == 1
    )
