"""The objective: the weighted sum of every term's score, with a flat report."""

import dataclasses
import functools
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from nstjax.ops.gradients import controlled
from nstjax.optimize.averages import averages
from nstjax.optimize.groups import by_groups
from nstjax.optimize.targets import Term, averaged_taps, extract


class Problem(NamedTuple):
    """The arguments of an objective beside the picture; a pytree of arrays.

    Attributes:
      params: network weights.
      targets: {term: {tap: {label: Region}}}, from `make_targets`.
      weights: {term: {tap: scalar}}, from `term_weights`.
      key: PRNG key for random losses.
    """

    params: Any
    targets: Mapping[str, Any]
    weights: Mapping[str, Mapping[str, Any]]
    key: Any


@dataclasses.dataclass(frozen=True)
class Objective:
    """The function to minimise: the weighted sum of every term's score.

    Equal objectives hash alike, so a program compiled for one serves the other.

    Attributes:
      apply: of an `Encoder`.
      terms: a tuple of `Term`.
    """

    apply: Callable
    terms: tuple[Term, ...]

    def prepare(self, problem: Problem) -> Problem:
        """The problem, to evaluate many times: what an encoder makes of its params alone is made."""
        if not hasattr(self.apply, "prepare"):
            return problem
        return problem._replace(params=self.apply.prepare(problem.params))

    def __call__(self, image, problem: Problem):
        """The objective and its parts.

        Args:
          image: [H, W, 3] sRGB in [0, 1].
          problem: a `Problem`; each term draws from a key of its own.

        Returns:
          `(total, report)`: the weighted sum, and {"term/tap": scalar}, raw and unweighted.
        """
        groups = self._groups(problem.params)
        return by_groups(self, groups, image, problem) if groups[1:] else self.at(groups[0], image, problem)

    def _groups(self, params):
        """The taps in groups whose features, or averages, are made at one time."""
        taps = tuple(dict.fromkeys(tap for term in self.terms for tap in term.taps))
        if not hasattr(self.apply, "groups"):
            return (taps,)
        averaged = averaged_taps(self.terms)
        others = self.apply.groups(params, [tap for tap in taps if tap not in averaged])
        return (averaged, *others) if averaged else others

    def at(self, taps, image, problem):
        """The part of the objective, and of its report, that is at some taps."""
        if hasattr(self.apply, "summed") and set(taps) <= set(averaged_taps(self.terms)):
            score = self._score_of_averages(taps, image, problem)
        else:
            score = self._score_of_features(taps, image, problem)
        total, report = jnp.zeros((), image.dtype), {}
        for term in self.terms:
            for tap in (tap for tap in term.taps if tap in taps):
                regions = problem.targets[term.name][tap]
                shares = [region.share for region in regions.values()]
                values = [score(term, tap, label, region) for label, region in regions.items()]
                shared = (v if share is None else share * v for share, v in zip(shares, values, strict=True))
                report[f"{term.name}/{tap}"] = value = functools.reduce(operator.add, shared)
                total += problem.weights[term.name][tap] * value
        return total, report

    def _score_of_features(self, taps, image, problem):
        """The function (term, tap, label, region) -> score that reads the features of some taps."""
        features, read = extract(self.apply, problem.params, image, taps), {}
        for i, term in enumerate(self.terms):
            key = jax.random.fold_in(problem.key, i)
            for tap in (tap for tap in term.taps if tap in taps):
                x = controlled(features[tap], term.control, problem.weights[term.name][tap])
                read[term.name, tap] = x, key

        def score(term, tap, label, region):
            x, key = read[term.name, tap]
            return term.loss.score(x, region.target, where=region.where, key=key)

        return score

    def _score_of_averages(self, taps, image, problem):
        """The same, of averages over windows."""
        asked = {
            tap: {
                (term.name, label): (term.loss.target, region.where)
                for term in self.terms
                if tap in term.taps
                for label, region in problem.targets[term.name][tap].items()
            }
            for tap in taps
        }
        made = averages(self.apply, problem.params, image, asked)

        def score(term, tap, label, region):
            statistics, area = made[tap][term.name, label]
            return jnp.where(area > 0, term.loss.distance(statistics, region.target), 0)

        return score


def term_weights(terms: Sequence[Term], weights: Mapping[str, float | Sequence[float]]):
    """{term: {tap: float32 scalar}} of {term: number, or one number per tap}.

    Raises:
      ValueError: where the numbers do not match the terms or the taps.
    """
    result = {}
    for term in terms:
        if term.name not in weights:
            raise ValueError(
                f"term {term.name!r} has no weight; got weights of {', '.join(weights) or 'none'}"
            )
        value = weights[term.name]
        values = value if isinstance(value, (tuple, list)) else (value,) * len(term.taps)
        if len(values) != len(term.taps):
            raise ValueError(
                f"term {term.name!r} has {len(term.taps)} taps and {len(values)} weights: "
                "expected one number, or one per tap"
            )
        result[term.name] = {t: jnp.float32(v) for t, v in zip(term.taps, values, strict=True)}
    return result
