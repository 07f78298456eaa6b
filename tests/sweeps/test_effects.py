"""Paired comparisons of few repeats: by hand, and by simulated sweeps whose effect is known."""

import math
from statistics import NormalDist

import numpy as np
import pytest
import scipy.stats

from nstjax.sweeps.effects import _resampling, paired

NORMAL = {p: NormalDist().inv_cdf(p) for p in (0.975, 0.8)}
STUDENT_199 = 1.971956544  # the 97.5 % quantile of 199 degrees of freedom, from a table

OURS = {("a", 0): 3.0, ("a", 1): 5.0, ("b", 0): 10.0, ("b", 1): 14.0}
THEIRS = {("a", 0): 1.0, ("a", 1): 2.0, ("b", 0): 6.0, ("b", 1): 8.0}


def of_differences(rows, baseline=0.0, **options):
    """The `Effect` of differences: a row for each pair, a number for each seed."""
    values = {(p, s): baseline + d for p, row in enumerate(rows) for s, d in enumerate(row)}
    return paired(values, dict.fromkeys(values, baseline), **options)


def test_means_effect_and_noise_by_hand():
    effect = paired(OURS, THEIRS)
    assert effect[:3] == (4.25, 8.0, 3.75)
    # differences 2, 3 and 4, 6: squares about the means 1/2 and 2, a freedom of 2
    assert effect.noise == pytest.approx(math.sqrt(2.5 / 2))
    assert (effect.pairs, effect.seeds, effect.left_out) == (2, 2, 0)


def test_interval_of_two_pairs_by_hand():
    # Means of two of 2.5 and 5 are 2.5 in a quarter, 5 in a quarter: the percentiles are 1.25 from 3.75.
    # Student's distribution of one degree of freedom is Cauchy's, of quantiles tan(pi (p - 1 / 2)).
    stretch = math.tan(math.pi * 0.475) / NORMAL[0.975] * math.sqrt(2)
    effect = paired(OURS, THEIRS)
    assert (effect.low, effect.high) == pytest.approx((3.75 - 1.25 * stretch, 3.75 + 1.25 * stretch))
    assert (effect.verdict, effect.why) == (
        "unclear",
        "interval includes no effect; 2 pairs only: the interval is a guess",
    )
    narrow = paired(OURS, THEIRS, level=0.6)
    stretch = math.tan(math.pi * 0.3) / NORMAL[0.8] * math.sqrt(2)
    assert narrow.low == pytest.approx(3.75 - 1.25 * stretch)
    assert narrow.verdict == "higher"


def test_interval_of_many_pairs_is_students():
    d = np.random.default_rng(0).normal(size=200)
    effect = of_differences(d[:, None])
    half = STUDENT_199 * np.std(d, ddof=1) / math.sqrt(200)
    # of 10000 resamples a percentile is known to about 2 %
    assert effect.effect - effect.low == pytest.approx(half, rel=0.05)
    assert effect.high - effect.effect == pytest.approx(half, rel=0.05)


@pytest.mark.parametrize("level", [0.5, 0.95, 0.999])
@pytest.mark.parametrize("units", [2, 3, 4, 11, 101])
def test_percentiles_are_stretched_by_students_quantile(level, units):
    """Of units that are 0 but for one, a resampled mean is in proportion to a binomial count."""
    effect = of_differences([[0.0]] * (units - 1) + [[1.0]], level=level)
    means = _resampling(units, 10000, 0)[:, -1]
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2]) - 1 / units
    above = (1 + level) / 2
    stretch = (
        scipy.stats.t.ppf(above, units - 1) / NormalDist().inv_cdf(above) * math.sqrt(units / (units - 1))
    )
    assert (effect.low, effect.high) == pytest.approx((1 / units + stretch * low, 1 / units + stretch * high))


def test_ratios_are_exponentials_of_differences_of_logs():
    logs = [{key: math.log(value) for key, value in side.items()} for side in (OURS, THEIRS)]
    ratio, difference = paired(OURS, THEIRS, scale="ratio"), paired(*logs)
    assert ratio[:6] == pytest.approx([math.exp(number) for number in difference[:6]])
    assert ratio[6:] == difference[6:]
    assert ratio.baseline == pytest.approx((1 * 2 * 6 * 8) ** 0.25)
    assert ratio.effect == pytest.approx(ratio.value / ratio.baseline)


def test_order_of_keys_is_irrelevant_and_the_same_seed_gives_the_same():
    values = {(p, s): float(np.sin(7 * p + s)) for p in range(5) for s in range(3)}
    zero = dict.fromkeys(values, 0.0)
    backwards = dict(reversed(values.items()))
    assert paired(values, zero) == paired(backwards, zero) == paired(values, zero)
    assert paired(values, zero, seed=1).low != paired(values, zero).low


@pytest.mark.parametrize("scale", ["difference", "ratio"])
def test_exchanged_the_effect_has_the_other_sign(scale):
    rng = np.random.default_rng(0)
    theirs = {(p, s): rng.uniform(1, 2) for p in range(4) for s in range(3)}
    ours = {key: 2 * value + rng.uniform(0, 0.1) for key, value in theirs.items()}
    one, other = paired(ours, theirs, scale=scale), paired(theirs, ours, scale=scale)
    invert = (lambda a: 1 / a) if scale == "ratio" else (lambda a: -a)
    assert (one.effect, one.low, one.high) == pytest.approx(
        [invert(a) for a in (other.effect, other.high, other.low)]
    )
    assert (one.baseline, one.value, one.noise) == pytest.approx((other.value, other.baseline, other.noise))
    assert (one.verdict, other.verdict) == ("higher", "lower")


@pytest.mark.parametrize(
    "rows, verdict, why",
    [
        ([[2, 3], [3, 4], [2.5, 3.5]], "higher", ""),
        ([[-2, -3], [-3, -4], [-2.5, -3.5]], "lower", ""),
        # always there, less than a seed moves it
        ([[-9, 11]] * 3, "within the noise", "an effect, but smaller than the noise of one seed"),
        ([[-9, 10], [-11, 10], [-10, 10]], "within the noise", "interval includes no effect"),
        # noise sqrt(200): the interval reaches 18.8, then 29.6; twice the noise is 28.3
        ([[-17, 3], [-3, 17], [-10, 10]], "within the noise", "interval includes no effect"),
        ([[-21, -1], [1, 21], [-10, 10]], "unclear", "interval includes no effect"),
        # pairs go either way, by far more than the noise
        ([[8, 8.1], [-8, -8.1], [0, 0.1]], "unclear", "interval includes no effect"),
        ([[0, 3], [-4, 3], [4, 6]], "unclear", "interval includes no effect"),
        ([[2], [3], [2.5]], "higher", "one seed: noise unknown"),
        ([[2, 2], [3, 3], [2.5, 2.5]], "higher", "seeds make no difference"),
        ([[0.1, 0.1, 0.1]] * 3, "higher", "seeds make no difference"),
        ([[0, 0]] * 3, "within the noise", "interval includes no effect; seeds make no difference"),
        ([[2, 2.1, 2.2]], "higher", "one pair of pictures: says nothing of others"),
        ([[2, 2.1], [2.1, 2.2]], "higher", "2 pairs only: the interval is a guess"),
    ],
)
def test_verdicts(rows, verdict, why):
    effect = of_differences(rows)
    assert (effect.verdict, effect.why) == (verdict, why)


def test_a_single_pair_leaves_the_seeds_as_units():
    effect = of_differences([[1.0, 2.0, 6.0]])
    same = of_differences([[1.0], [2.0], [6.0]])
    assert (effect.low, effect.high) == (same.low, same.high)
    assert effect.low < 0 < effect.high
    assert (same.noise, effect.noise) == (None, pytest.approx(math.sqrt(7)))


def test_one_repeat_has_no_interval():
    effect = of_differences([[2.0]], baseline=1.0)
    assert effect[:6] == (1.0, 3.0, 2.0, None, None, None)
    assert effect[6:] == (1, 1, "unclear", "one repeat: no interval", 0)


def test_seeds_that_make_no_difference_are_one_repeat():
    effect = of_differences([[0.1, 0.1, 0.1]])
    assert effect[3:6] == (None, None, 0.0)
    assert effect.verdict == "unclear"
    assert effect.why == "one pair of pictures: says nothing of others; seeds make no difference"


def test_only_shared_and_finite_numbers_count():
    ours = OURS | {("b", 1): math.nan, ("b", 2): 7.0, ("c", 0): 1.0}
    effect = paired(ours, THEIRS | {("c", 0): math.inf})
    # differences 2, 3 and 4: a pair counts as much as the other
    assert effect.effect == 3.25
    assert (effect.pairs, effect.seeds, effect.left_out) == (2, 2, 2)
    assert effect.why.endswith("; 2 not finite, left out")
    assert effect.noise == pytest.approx(math.sqrt(0.5))


def test_numbers_without_a_logarithm_are_left_out_of_ratios():
    ours, theirs = {(p, 0): float(p) for p in range(-1, 3)}, {(p, 0): 1.0 for p in range(-1, 3)}
    effect = paired(ours, theirs, scale="ratio")
    assert effect.value == pytest.approx(math.sqrt(2))
    assert (effect.pairs, effect.left_out) == (2, 2)


def test_nothing_in_common():
    effect = paired({("a", 0): 1.0, ("b", 0): math.nan}, {("a", 1): 1.0, ("b", 0): 1.0})
    assert effect == (None,) * 6 + (0, 0, "unclear", "no repeats; 1 not finite, left out", 1)


@pytest.mark.parametrize(
    "bad, message",
    [
        ({"scale": "log"}, "scale must be difference or ratio; got 'log'"),
        ({"level": 95}, "level must be between 0 and 1; got 95"),
        ({"resamples": 0}, "resamples must be at least 1; got 0"),
    ],
)
def test_arguments_are_checked(bad, message):
    with pytest.raises(ValueError, match=message):
        paired(OURS, THEIRS, **bad)


# The table in the docstring of the module.
@pytest.mark.parametrize(
    "pairs, seeds, covered, false",
    [
        (1, 3, 0.950, 0.050),
        (2, 3, 0.942, 0.033),
        (3, 3, 0.947, 0.028),
        (5, 1, 0.922, 0.078),
        (5, 3, 0.943, 0.028),
    ],
)
def test_simulated_sweeps_are_covered_and_rarely_misjudged(pairs, seeds, covered, false):
    rng = np.random.default_rng(0)
    between_pairs = 0 if pairs == 1 else 1
    effects = [
        of_differences(between_pairs * rng.normal(size=(pairs, 1)) + rng.normal(size=(pairs, seeds)))
        for _ in range(1000)
    ]
    # another machine may round a percentile to the other side of 0
    assert np.mean([e.low <= 0 <= e.high for e in effects]) == pytest.approx(covered, abs=0.0021)
    assert np.mean([e.verdict in ("higher", "lower") for e in effects]) == pytest.approx(false, abs=0.0021)


def test_simulated_effects_are_seen():
    """An effect of three times the differences between pairs and seeds, at 5 pairs of 3 seeds."""
    rng = np.random.default_rng(0)
    effects = [
        of_differences(3 + rng.normal(size=(5, 1)) + rng.normal(size=(5, 3)), baseline=9.0)
        for _ in range(200)
    ]
    assert np.mean([e.verdict == "higher" for e in effects]) > 0.95
    assert np.mean([e.low <= 3 <= e.high for e in effects]) > 0.9
