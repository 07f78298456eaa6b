"""Losses on moments: by hand, and of several styles."""

import numpy as np
import pytest
from rows import blended_value, features, value

from nstjax import losses

STATISTICS = (
    losses.covariance(),
    losses.correlation(),
    losses.mean_std(),
    losses.gram(),
    losses.cmd(),
    losses.mmd_polynomial(c=1.0),
)


def test_statistics_by_hand():
    # The ambiguity of Gatys: a constant of 1 / sqrt(2) and an alternation of 0 and 1 have one Gram matrix.
    constant = np.full((4, 4, 1), 0.5**0.5, np.float32)
    coin = np.indices((4, 4)).sum(0)[..., None] % 2 * np.float32(1)
    assert abs(value(losses.gram(), constant, coin)) < 1e-12
    expected = (0.5**0.5 - 0.5) ** 2 + 0.5**2
    np.testing.assert_allclose(value(losses.mean_std(eps=1e-12), constant, coin), expected, rtol=1e-5)
    np.testing.assert_allclose(value(losses.covariance(), constant, coin), 0.25**2, rtol=1e-5)
    raw = losses.cmd(squash=False)
    moments = value(raw, constant, coin)
    np.testing.assert_allclose(moments, 0.5**0.5 - 0.5 + 1 / 4 + 1 / 16, rtol=1e-5)
    moved = features((4, 5, 3), 0)
    by = np.array([1, -2, 2], np.float32)
    np.testing.assert_allclose(value(raw, moved + by, moved), 3, rtol=1e-3)
    x, s, gain = features((7, 6, 3), 0), features((5, 9, 3), 1), np.array([2, 5, 0.5], np.float32)
    loss = losses.correlation(eps=1e-9)
    np.testing.assert_allclose(value(loss, gain * x + 3, s), value(loss, x, s), rtol=1e-4)
    # Mean and deviation cannot tell two channels that go together from two that go against each other.
    ramp = np.linspace(-1, 1, 16, dtype=np.float32).reshape(4, 4)
    together, against = np.stack([ramp, ramp], -1), np.stack([ramp, -ramp], -1)
    assert value(losses.mean_std(), together, against) < 1e-12
    np.testing.assert_allclose(value(losses.correlation(), together, against), 2, rtol=1e-3)
    with pytest.raises(ValueError, match="convention must be one of adain, neural_style_mmd; got 'mean'"):
        losses.mean_std(convention="mean")


def test_moments_of_two_styles_are_averaged_into_those_of_both():
    a, b = features((6, 4, 3), 0), 2 + features((6, 4, 3), 1)
    both, x = np.concatenate([a, b]), features((6, 4, 3), 2)
    for loss in STATISTICS:
        np.testing.assert_allclose(
            blended_value(loss, x, [a, b], [0.5, 0.5]), value(loss, x, both), rtol=1e-5
        )


def test_order_of_positions_does_not_matter_but_to_shifts():
    x, s = features((6, 6, 3), 0), features((6, 6, 3), 1)
    mixed = np.random.default_rng(2).permutation(x.reshape(36, 3)).reshape(6, 6, 3)
    for loss in STATISTICS:
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


def test_a_cross_gram_is_a_block_of_the_gram_of_both_layers():
    x, s = features((5, 4, 5), 0), features((6, 7, 5), 1)
    whole = losses.gram().target(x)
    np.testing.assert_allclose(losses.cross_gram(split=2).target(x), whole[:2, 2:], rtol=1e-5)
    blocks = [(losses.gram().target(x) - losses.gram().target(s))[:2, 2:]]
    np.testing.assert_allclose(value(losses.cross_gram(split=2), x, s), np.square(blocks).mean(), rtol=1e-5)
    np.testing.assert_array_equal(
        losses.cross_gram(split=0.4).target(x), losses.cross_gram(split=2).target(x)
    )
    for split in (5, 0.95):
        with pytest.raises(ValueError, match=f"split must leave some of 5 channels on both .*; got {split}"):
            losses.cross_gram(split=split).target(x)
    with pytest.raises(ValueError, match="split must be above 0; got 0"):
        losses.cross_gram(split=0)
