"""The objective: the weighted sum of every term's score, with a flat report."""

import dataclasses
import functools
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from nstjax.ops.gradients import controlled
from nstjax.optimize.groups import by_groups
from nstjax.optimize.targets import Term, averaged_taps, read


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
        """The taps in groups that are read at one time, averages beside the features of the last."""
        taps, averaged = tuple(dict.fromkeys(tap for term in self.terms for tap in term.taps)), self._averaged
        if not hasattr(self.apply, "groups"):
            return (taps,)
        *groups, last = self.apply.groups(params, [tap for tap in taps if tap not in averaged]) or ((),)
        return (*groups, (*last, *averaged))

    @property
    def _averaged(self):
        """The taps of which averages over windows are read."""
        return averaged_taps(self.terms) if hasattr(self.apply, "read") else ()

    def at(self, taps, image, problem):
        """The part of the objective, and of its report, that is at some taps."""
        averaged = [tap for tap in self._averaged if tap in taps]
        asked = {tap: self._asked(tap, problem.targets) for tap in averaged}
        kept = [tap for tap in taps if tap not in averaged]
        features, averages = read(self.apply, problem.params, image, kept, asked)
        total, report = jnp.zeros((), image.dtype), {}
        for i, term in enumerate(self.terms):
            key = jax.random.fold_in(problem.key, i)
            for tap in (tap for tap in term.taps if tap in taps):
                weight, regions = problem.weights[term.name][tap], problem.targets[term.name][tap]
                if tap in averaged:
                    found = [averages[tap][term.name, label] for label in regions]
                    values = [_of_averages(term, *each) for each in zip(found, regions.values(), strict=True)]
                else:
                    x = controlled(features[tap], term.control, weight)
                    values = [_of_features(term, x, region, key) for region in regions.values()]
                report[f"{term.name}/{tap}"] = value = functools.reduce(operator.add, values)
                total += weight * value
        return total, report

    def _asked(self, tap, targets):
        """What is averaged at a tap: {(term, label): (statistics, mask)}."""
        return {
            (term.name, label): (term.loss.target, region.where)
            for term in self.terms
            if tap in term.taps
            for label, region in targets[term.name][tap].items()
        }


def _of_features(term, x, region, key):
    return _shared(term.loss.score(x, region.target, where=region.where, key=key), region)


def _of_averages(term, found, region):
    averages, area = found
    return _shared(jnp.where(area > 0, term.loss.distance(averages, region.target), 0), region)


def _shared(value, region):
    return value if region.share is None else region.share * value


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
