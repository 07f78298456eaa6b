"""Terms to targets, and the weighted sum of their scores with a flat report."""

import dataclasses
from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp

from nstjax.losses import Loss


@dataclasses.dataclass(frozen=True)
class Term:
    """One loss read at some taps against one reference.

    Attributes:
      name: of the term in reports, e.g. "style".
      loss: a `Loss`.
      taps: names of the encoder's taps, or "image" for the picture itself.
      reference: which reference the targets come from: "content" or "style".
    """

    name: str
    loss: Loss
    taps: tuple[str, ...]
    reference: str


def extract(apply, params, image, taps):
    """Features {tap: [h, w, c]} of an image [H, W, 3]; the tap "image" is the image."""
    network_taps = tuple(dict.fromkeys(tap for tap in taps if tap != "image"))
    features = apply(params, image, network_taps) if network_taps else {}
    return {**features, "image": image}


def make_targets(apply, params, terms, references):
    """What every term compares with.

    Args:
      apply: of an `Encoder`.
      params: of the encoder.
      terms: a sequence of `Term`.
      references: {reference: [(image [H, W, 3], blend weight), ...]}. The targets of several pictures
        are blended with their weights, which are normalised to sum to 1.

    Returns:
      {term: {tap: target}}.

    Raises:
      ValueError: for a term whose reference is not given.
    """
    targets = {term.name: {} for term in terms}
    for reference in dict.fromkeys(term.reference for term in terms):
        if reference not in references:
            raise ValueError(f"no picture is given for the reference {reference!r}")
        mine = [term for term in terms if term.reference == reference]
        taps = [tap for term in mine for tap in term.taps]
        total = sum(weight for _, weight in references[reference])
        parts = {}
        for image, _ in references[reference]:
            features = extract(apply, params, image, taps)
            for term in mine:
                for tap in term.taps:
                    parts.setdefault((term, tap), []).append(term.loss.target(features[tap]))
        shares = [weight / total for _, weight in references[reference]]
        for (term, tap), several in parts.items():
            targets[term.name][tap] = several[0] if len(several) == 1 else term.loss.blend(several, shares)
    return targets


@dataclasses.dataclass(frozen=True)
class Objective:
    """The function to be minimised: the weighted sum of every term's score.

    Equal objectives hash alike, so a program compiled for one serves the other.

    Attributes:
      apply: of an `Encoder`.
      terms: a tuple of `Term`.
    """

    apply: Callable
    terms: tuple[Term, ...]

    def __call__(self, image, params, targets, weights, key):
        """The objective and its parts.

        Args:
          image: [H, W, 3] sRGB in [0, 1].
          params: of the encoder.
          targets: from `make_targets`.
          weights: {term: {tap: scalar}}.
          key: for random losses; each term draws from a key of its own.

        Returns:
          `(total, report)`: the weighted sum, and {"term/tap": scalar}, raw and unweighted.
        """
        taps = [tap for term in self.terms for tap in term.taps]
        features = extract(self.apply, params, image, taps)
        total, report = jnp.zeros((), image.dtype), {}
        for i, term in enumerate(self.terms):
            term_key = jax.random.fold_in(key, i)
            for tap in term.taps:
                value = term.loss.score(features[tap], targets[term.name][tap], key=term_key)
                report[f"{term.name}/{tap}"] = value
                total += weights[term.name][tap] * value
        return total, report


def gradient_norms(objective, image, params, targets, weights, key):
    """{"term/tap": L2 norm of the gradient of the raw score with respect to the image}."""

    def scores(image):
        return objective(image, params, targets, weights, key)[1]

    report, pullback = jax.vjp(scores, image)
    names = list(report)

    def norm(one_hot):
        (gradient,) = pullback(dict(zip(names, one_hot, strict=True)))
        return jnp.sqrt(jnp.sum(jnp.square(gradient)))

    norms = jax.lax.map(norm, jnp.eye(len(names), dtype=image.dtype))
    return dict(zip(names, norms, strict=True))


def term_weights(terms, weights: Mapping[str, float | tuple]):
    """{term: {tap: float32 scalar}} of {term: number, or one number a tap}.

    Raises:
      ValueError: where the numbers do not match the taps.
    """
    result = {}
    for term in terms:
        value = weights[term.name]
        values = value if isinstance(value, (tuple, list)) else (value,) * len(term.taps)
        if len(values) != len(term.taps):
            raise ValueError(
                f"term {term.name!r} has {len(term.taps)} taps and {len(values)} weights: "
                "expected one number, or one a tap"
            )
        result[term.name] = {t: jnp.float32(v) for t, v in zip(term.taps, values, strict=True)}
    return result
