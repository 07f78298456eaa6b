r"""Paired comparisons of few repeats: is a measure higher than at the baseline, and would one run show it?

The interval is a percentile bootstrap with the pairs as its units, each with the mean of its seeds. As
percentiles of few units are much too narrow, their distances from the effect are stretched by
:math:`t_{P-1} / z \cdot \sqrt{P / (P - 1)}`, t and z being quantiles of Student's and the normal
distribution at `level`. It speaks of other pairs, as far as those measured are a fair sample of them. A
single pair leaves its seeds as the units; the interval then speaks of that pair alone. Seeds are not
resampled within pairs: the means of pairs already differ by the noise of their seeds, which would count
twice.

Of 1000 simulated sweeps, with normal differences between pairs and, as large, between seeds (of a single
pair: between seeds), the 95 % interval covers the effect, and "higher" or "lower" is said where there is
none, in (`pytest tests/sweeps/test_effects.py -k simulated`):

==================  ======  ======  ======  ======  ======
pairs x seeds       1 x 3   2 x 3   3 x 3   5 x 1   5 x 3
covered             95.0 %  94.2 %  94.7 %  92.2 %  94.3 %
higher or lower     5.0 %   3.3 %   2.8 %   7.8 %   2.8 %
==================  ======  ======  ======  ======  ======

So a report of a hundred effects may have a few that are none. With 2 pairs the interval is 9 times as
wide as they differ, rarely excludes anything, and stands on the normal distribution alone.

The verdict, where |effect| and noise are those of logs for ratios:

- "higher", "lower": the interval excludes no effect, and the effect is above the noise. The noise is that
  of one seed while the effect is a mean over seeds, on purpose: a single run beside the baseline then
  shows the sign of such an effect 5 times in 6 or more (normal noise). How sure the mean is, the interval
  says; it decides alone where the noise is unknown.
- "within the noise": the effect is not above the noise, and either the interval excludes no effect (there
  is one, but it takes many seeds to see) or lies within twice the noise, as 19 in 20 differences
  of single runs would without an effect.
- "unclear": anything else.

Differs from the paper: Hesterberg reads percentiles farther out by the same factor. Of 2 or 3 units the
means have none farther out, so the distances are stretched instead.

References:
  Hesterberg 2015, "What Teachers Should Know About the Bootstrap", https://arxiv.org/abs/1411.5279
  Davison & Hinkley 1997, "Bootstrap Methods and their Application", section 3.8 (pairs kept whole)
"""

import functools
import math
from collections.abc import Hashable, Mapping
from typing import NamedTuple

import numpy as np
from scipy import special


class Effect(NamedTuple):
    """A setting beside the baseline, over repeats that both have.

    Attributes:
      baseline, value: means of the baseline and of the setting over pairs of means over seeds; geometric
        for ratios. None without a repeat, as is the effect.
      effect: value - baseline, or value / baseline.
      low, high: the interval of the effect; None with a single repeat, or a single pair whose seeds
        make no difference.
      noise: the standard deviation between seeds, within pairs of pictures, of a single paired difference,
        pooled over pairs (n - 1 for each); for ratios exp of that of their logs: a factor, 1 for
        none. What a seed does to both alike does not count. None where no pair has two seeds.
      pairs: of pictures that have a repeat.
      seeds: repeats of the pair that has most.
      verdict: "higher", "lower", "within the noise" or "unclear".
      why: what limits the verdict, in words; may be empty.
      left_out: repeats of both whose numbers are not finite, or have no logarithm.
    """

    baseline: float | None
    value: float | None
    effect: float | None
    low: float | None
    high: float | None
    noise: float | None
    pairs: int
    seeds: int
    verdict: str
    why: str
    left_out: int


def paired(
    values: Mapping[tuple[Hashable, Hashable], float],
    baseline: Mapping[tuple[Hashable, Hashable], float],
    *,
    scale: str = "difference",
    level: float = 0.95,
    resamples: int = 10000,
    seed: int = 0,
) -> Effect:
    r"""Compares a setting with the baseline at the same pairs of pictures and the same seeds.

    .. math:: d_{ps} = v_{ps} - b_{ps}, \quad \bar d_p = \frac1{n_p} \sum_s d_{ps}, \quad
              \text{effect} = \frac1P \sum_p \bar d_p

    The module says how the interval and the verdict are made, and how far to trust them.

    Args:
      values: {(pair, seed): measure of the setting}. Only keys that `baseline` has too count.
      baseline: {(pair, seed): measure of the baseline}.
      scale: "difference"; or "ratio", which works with logs of positive measures and gives factors.
      level: of the interval, between 0 and 1.
      resamples: how many.
      seed: of the resampling: the same gives the same.

    Returns:
      An `Effect`.

    >>> ours, theirs = {("cat", 0): 3.0, ("cat", 1): 5.0}, {("cat", 0): 1.0, ("cat", 1): 4.0}
    >>> paired(ours, theirs).effect, paired(ours, theirs, scale="ratio").value
    (1.5, 3.872983346207417)
    """
    _check(scale, level, resamples)
    transform, back = (np.log, np.exp) if scale == "ratio" else (np.asarray, np.asarray)
    samples, left_out = _by_pair(values, baseline, transform)
    shown = functools.partial(_shown, back)
    omitted = [f"{left_out} not finite, left out"] if left_out else []
    if not samples:
        return Effect(*[None] * 6, 0, 0, "unclear", "; ".join(["no repeats", *omitted]), left_out)
    value, base = np.mean([np.mean(sample, axis=0) for sample in samples], axis=0)
    differences = [sample[:, 0] - sample[:, 1] for sample in samples]
    effect = float(np.mean([np.mean(d) for d in differences]))
    noise = _noise(differences)
    units = [np.mean(d) for d in differences] if len(differences) > 1 else differences[0]
    alike = len(samples) == 1 and not noise
    low, high = (None, None) if alike else _interval(np.asarray(units), level, resamples, seed)
    counts = len(samples), max(map(len, samples))
    verdict, reasons = _verdict(effect, low, high, noise)
    return Effect(
        *(shown(number) for number in (base, value, effect, low, high, noise)),
        *counts,
        verdict,
        "; ".join([*reasons, *_limits(*counts, noise), *omitted]),
        left_out,
    )


def _check(scale, level, resamples):
    """Raises ValueError for an argument of `paired` out of its range."""
    if scale not in ("difference", "ratio"):
        raise ValueError(f"scale must be difference or ratio; got {scale!r}")
    if not 0 < level < 1:
        raise ValueError(f"level must be between 0 and 1; got {level}")
    if resamples < 1:
        raise ValueError(f"resamples must be at least 1; got {resamples}")


def _by_pair(values, baseline, transform):
    """Samples [n, 2] of the setting and the baseline, one for each pair; how many repeats are left out."""
    samples, left_out = {}, 0
    for key in sorted(values.keys() & baseline.keys(), key=repr):
        with np.errstate(divide="ignore", invalid="ignore"):
            both = transform(np.array([values[key], baseline[key]], float))
        if np.isfinite(both).all():
            samples.setdefault(key[0], []).append(both)
        else:
            left_out += 1
    return [np.stack(sample) for sample in samples.values()], left_out


def _noise(differences):
    """Standard deviation within samples, pooled; None where none has two."""
    freedom = sum(len(d) - 1 for d in differences)
    if not freedom:
        return None
    # From the first, so that equal ones differ by exactly 0.
    return math.sqrt(sum(len(d) * np.var(d - d[0]) for d in differences) / freedom)


def _interval(units, level, resamples, seed):
    """Stretched percentiles of the mean of two numbers or more."""
    n = len(units)
    means = _resampling(n, resamples, seed) @ units
    percentiles = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    above = (1 + level) / 2
    # scipy.stats has the same quantiles, and takes a second to import.
    stretch = special.stdtrit(n - 1, above) / special.ndtri(above) * math.sqrt(n / (n - 1))
    return np.mean(units) + stretch * (percentiles - np.mean(units))


@functools.lru_cache(maxsize=8)
def _resampling(n, resamples, seed):
    """Weights [resamples, n] of units drawn with replacement."""
    return np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=resamples) / n


def _verdict(effect, low, high, noise):
    """(verdict, reasons) of numbers of which 0 is no effect."""
    if low is None:
        return "unclear", []
    excludes = low > 0 or high < 0
    above = noise is None or abs(effect) > noise
    if excludes and above:
        return "higher" if effect > 0 else "lower", []
    if excludes:
        return "within the noise", ["an effect, but smaller than the noise of one seed"]
    small = not above and max(-low, high) <= 2 * noise
    return "within the noise" if small else "unclear", ["interval includes no effect"]


def _limits(pairs, seeds, noise):
    """Limits that the numbers of repeats set to a verdict."""
    if pairs == seeds == 1:
        return ["one repeat: no interval"]
    return [
        *(["one pair of pictures: says nothing of others"] if pairs == 1 else []),
        *(["2 pairs only: the interval is a guess"] if pairs == 2 else []),
        *(["one seed: noise unknown"] if noise is None else []),
        *(["seeds make no difference"] if noise == 0 else []),
    ]


def _shown(back, number):
    with np.errstate(over="ignore"):
        return None if number is None else float(back(number))
