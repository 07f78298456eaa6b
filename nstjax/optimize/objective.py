"""Terms to targets, and the weighted sum of their scores with a flat report."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from nstjax.losses import Loss
from nstjax.ops.gradients import FREE, Control, controlled
from nstjax.transforms import Transform


@dataclasses.dataclass(frozen=True)
class Term:
    """One loss read at some taps against one reference.

    Attributes:
      name: of the term in reports, e.g. "style".
      loss: a `Loss`.
      taps: names of the encoder's taps, or "image" for the picture itself. "a+b" is the features of a
        and, resized to them and concatenated, those of b.
      reference: which reference the targets come from: "content" or "style".
      transform: a `Transform` that moves features of the reference towards those of the style before the
        targets are made of them, or None.
      control: of the gradient at the features of each tap.
      regions: "" for the whole picture. Otherwise each labelled region is compared with the reference's
        region of that label, and the scores are averaged, the regions weighing alike ("equal") or by
        their share of the picture ("area").
    """

    name: str
    loss: Loss
    taps: tuple[str, ...]
    reference: str
    transform: Transform | None = None
    control: Control = FREE
    regions: str = ""

    @property
    def references(self):
        """The references that the targets are made of."""
        return (self.reference,) if self.transform is None else (self.reference, "style")


REGIONS = ("equal", "area")


class Masks(NamedTuple):
    """Regions of pictures, {label: {tap: [h, w]}} each.

    Attributes:
      canvas: of the picture that is optimised.
      references: {reference: one a picture, in the order of its pictures}.
    """

    canvas: Mapping[str, Any]
    references: Mapping[str, Any]


class Region(NamedTuple):
    """What a region of the picture is compared with.

    Attributes:
      share: scalar, its weight among the regions.
      where: [h, w], its mask in the picture.
      target: of the region of the same label.
    """

    share: Any
    where: Any
    target: Any


def single_taps(taps):
    """The taps that composite ones such as "relu2_1+image" are made of, each once."""
    return tuple(dict.fromkeys(part for tap in taps for part in tap.split("+")))


def extract(apply, params, image, taps):
    """Features {tap: [h, w, c]} of an image [H, W, 3]; the tap "image" is the image."""
    network_taps = tuple(tap for tap in single_taps(taps) if tap != "image")
    features = apply(params, image, network_taps) if network_taps else {}
    features = {**features, "image": image}
    return {tap: _concatenated([features[part] for part in tap.split("+")]) for tap in taps}


def _concatenated(features):
    """Maps [h, w, c] side by side, those after the first resized to it bilinearly."""
    first, *others = features
    if not others:
        return first
    resized = [jax.image.resize(x, (*first.shape[:2], x.shape[-1]), "linear") for x in others]
    return jnp.concatenate([first, *resized], -1)


def make_targets(apply, params, terms, references, masks=None):
    """What every term compares with.

    Args:
      apply: of an `Encoder`.
      params: of the encoder.
      terms: a sequence of `Term`.
      references: {reference: [(image [H, W, 3], blend weight), ...]}. The targets of several pictures
        are blended with their weights, which are normalised to sum to 1.
      masks: `Masks`, for terms with regions.

    Returns:
      {term: {tap: target}}; {term: {tap: {label: Region}}} for a term with regions, of the labels that
      the canvas and some picture share.

    Raises:
      ValueError: for a term whose reference, or whose masks, are not given.
    """
    features = {}
    for reference in dict.fromkeys(name for term in terms for name in term.references):
        if reference not in references:
            raise ValueError(f"no picture is given for the reference {reference!r}")
        taps = [tap for term in terms if reference in term.references for tap in term.taps]
        features[reference] = [extract(apply, params, image, taps) for image, _ in references[reference]]

    def blended(function, blend, reference, tap, label):
        """A function of the features, and the mask, of a reference's pictures; of those with the label."""
        several, weights = [], []
        for i, (_, weight) in enumerate(references[reference]):
            regions = masks.references[reference][i] if label else {None: {tap: None}}
            if label in regions:
                several.append(function(features[reference][i][tap], regions[label][tap]))
                weights.append(weight)
        total = sum(weights)
        return several[0] if len(several) == 1 else blend(several, [w / total for w in weights])

    def target(term, tap, label=None):
        loss, transform = term.loss, term.transform
        if transform is None:
            return blended(
                lambda x, where: loss.target(x, where=where), loss.blend, term.reference, tap, label
            )
        style = blended(
            lambda x, where: transform.style(x, where=where), transform.blend, "style", tap, label
        )

        def transformed(x, where):
            return loss.target(transform.apply(x, style, where=where), where=where)

        return blended(transformed, loss.blend, term.reference, tap, label)

    def regional_target(term, tap):
        labels = _shared_labels(term, masks)
        shares = {label: 1.0 for label in labels}
        if term.regions == "area":
            shares = {label: jnp.mean(masks.canvas[label][tap]) for label in labels}
        total = sum(shares.values())
        return {
            label: Region(shares[label] / total, masks.canvas[label][tap], target(term, tap, label))
            for label in labels
        }

    return {
        term.name: {tap: (regional_target if term.regions else target)(term, tap) for tap in term.taps}
        for term in terms
    }


def _shared_labels(term, masks):
    """The labels of the canvas that some picture of every reference of a term has."""
    if masks is None or not set(term.references) <= set(masks.references):
        raise ValueError(f"term {term.name!r} has regions, and no masks are given")
    there = [set().union(*masks.references[reference]) for reference in term.references]
    return [label for label in masks.canvas if all(label in labels for labels in there)]


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
                weight = weights[term.name][tap]
                x = controlled(features[tap], term.control, weight)
                value = _score(term, x, targets[term.name][tap], term_key)
                report[f"{term.name}/{tap}"] = value
                total += weight * value
        return total, report


def _score(term, x, target, key):
    if not term.regions:
        return term.loss.score(x, target, key=key)
    return sum(
        region.share * term.loss.score(x, region.target, where=region.where, key=key)
        for region in target.values()
    )


def gradient_norms(objective, image, params, targets, weights, key):
    """{"term/tap": L2 norm of the gradient of the raw score, uncontrolled, with respect to the image}."""
    taps = [(term.name, tap) for term in objective.terms for tap in term.taps]
    sums = {f"{name}/{tap}": {f"{name}/{tap}": 1.0} for name, tap in taps}
    return _norms(objective, image, params, targets, key, sums)


def term_gradient_norms(objective, image, params, targets, weights, key):
    """{term: L2 norm of the gradient of its weighted sum over taps, uncontrolled}, as `gradient_norms`."""
    sums = {
        term.name: {f"{term.name}/{tap}": weights[term.name][tap] for tap in term.taps}
        for term in objective.terms
    }
    return _norms(objective, image, params, targets, key, sums)


def _norms(objective, image, params, targets, key, sums):
    """Gradient norms of weighted sums of scores, {name: {"term/tap": weight}}."""
    free = Objective(objective.apply, tuple(dataclasses.replace(t, control=FREE) for t in objective.terms))
    nothing = {t.name: dict.fromkeys(t.taps, 0.0) for t in objective.terms}
    report, pullback = jax.vjp(lambda image: free(image, params, targets, nothing, key)[1], image)
    rows = [jnp.stack([jnp.asarray(s.get(k, 0.0), image.dtype) for k in report]) for s in sums.values()]

    def norm(row):
        (gradient,) = pullback(dict(zip(report, row, strict=True)))
        return jnp.sqrt(jnp.sum(jnp.square(gradient)))

    return dict(zip(sums, jax.lax.map(norm, jnp.stack(rows)), strict=True))


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
