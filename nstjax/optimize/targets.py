"""Terms, and the targets that their references give them."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from nstjax.losses import Loss
from nstjax.ops.gradients import FREE, Control
from nstjax.optimize.averages import averages
from nstjax.transforms import Transform

REGIONS = ("equal", "area", "sum")
WHOLE = ""  # the label of the one region of a term without regions


@dataclasses.dataclass(frozen=True)
class Term:
    """One loss read at some taps against one reference.

    Attributes:
      name: of the term in reports, e.g. "style".
      loss: a `Loss`.
      taps: names of the encoder's taps, or "image" for the picture itself. "a+b" is the features of a
        and, resized to them and concatenated, those of b.
      reference: the reference that the targets come from: "content" or "style".
      transform: a `Transform` that moves features of the reference towards those of the style before the
        targets are made of them, or None.
      control: of the gradient at the features of each tap.
      regions: "" for the whole picture. Otherwise each labelled region is compared with the reference's
        region of that label, and the scores are averaged, the regions weighing alike ("equal") or by
        their share of the picture ("area"), or added up ("sum").
    """

    name: str
    loss: Loss
    taps: tuple[str, ...]
    reference: str
    transform: Transform | None = None
    control: Control = FREE
    regions: str = ""

    @property
    def references(self) -> tuple[str, ...]:
        """The references that the targets are made of."""
        return (self.reference,) if self.transform is None else (self.reference, "style")


class Reference(NamedTuple):
    """A picture that targets are made of.

    Attributes:
      image: [H, W, 3] sRGB in [0, 1].
      weight: in the blend of the pictures of one reference; these are normalised to sum to 1.
      masks: {label: {tap: [h, w] in [0, 1]}}, for terms with regions.
    """

    image: Any
    weight: float = 1.0
    masks: Mapping[str, Mapping[str, Any]] | None = None


class Region(NamedTuple):
    """A region of the picture and what it is compared with.

    Attributes:
      share: scalar, its weight among the regions of the term; None for the whole picture.
      where: [h, w] in [0, 1], its mask in the picture; None for the whole picture.
      target: of the region of the same label in the reference.
    """

    share: Any
    where: Any
    target: Any


def single_taps(taps):
    """The taps that composite ones such as "relu2_1+image" are made of, each once."""
    return tuple(dict.fromkeys(part for tap in taps for part in tap.split("+")))


def extract(apply, params, image, taps):
    """Features {tap: [h, w, c]} of an image [H, W, 3], in its dtype; the tap "image" is the image.

    Args:
      apply: of an `Encoder`.
      params: of the encoder.
      image: [H, W, 3] sRGB in [0, 1].
      taps: names; "a+b" is a and, resized to it and concatenated, b.
    """
    return read(apply, params, image, taps, {})[0]


def read(apply, params, image, taps, asked):
    """The features that `extract` returns, and the averages of other taps that `averages` does."""
    network_taps = tuple(tap for tap in single_taps(taps) if tap != "image")
    if asked:
        features, averaged = averages(apply, params, image, network_taps, asked)
    else:
        features, averaged = apply(params, image, network_taps) if network_taps else {}, {}
    features = {tap: x.astype(image.dtype) for tap, x in features.items()} | {"image": image}
    return {tap: _concatenated([features[part] for part in tap.split("+")]) for tap in taps}, averaged


def _concatenated(features):
    """Maps [h, w, c] side by side, those after the first resized to it bilinearly."""
    first, *others = features
    if not others:
        return first
    resized = [jax.image.resize(x, (*first.shape[:2], x.shape[-1]), "linear") for x in others]
    return jnp.concatenate([first, *resized], -1)


def make_targets(
    apply: Callable,
    params: Any,
    terms: Sequence[Term],
    references: Mapping[str, Sequence[Reference]],
    masks: Mapping[str, Mapping[str, Any]] | None = None,
):
    """The targets of every term.

    Args:
      apply: of an `Encoder`.
      params: of the encoder.
      terms: a sequence of `Term`.
      references: {name: its `Reference`s}; the targets of several pictures are blended.
      masks: {label: {tap: [h, w]}} of the picture to optimise, for terms with regions.

    Returns:
      {term: {tap: {label: Region}}}, of the labels that the picture and its references share; of a term
      without regions one `Region`, the whole picture.

    Raises:
      ValueError: for a term whose reference, or whose masks, are not given.
    """
    features, averaged = {}, {}
    for name in dict.fromkeys(name for term in terms for name in term.references):
        if name not in references:
            raise ValueError(f"no picture is given for the reference {name!r}")
        read_here = [(term, tap) for term in terms if name in term.references for tap in term.taps]
        kept = [tap for term, tap in read_here if not _has_averages(apply, term, tap)]
        others = [each for each in read_here if _has_averages(apply, *each)]
        found = [read(apply, params, each.image, kept, _asked(others, each)) for each in references[name]]
        features[name], averaged[name] = zip(*found, strict=True)

    def region(term, tap, label, share, where):
        if _has_averages(apply, term, tap):
            pairs = zip(references[term.reference], averaged[term.reference], strict=True)
            found = [(of[tap][term.name, label][0], ref.weight) for ref, of in pairs if _has(ref, label)]
            return Region(share, where, _mixed(term.loss.blend, *zip(*found, strict=True)))
        views = {name: _views(references[name], features[name], tap, label) for name in term.references}
        return Region(share, where, _target(term, views))

    return {
        term.name: {
            tap: {
                label: region(term, tap, label, share, where)
                for label, (share, where) in _shares(term, tap, references, masks).items()
            }
            for tap in term.taps
        }
        for term in terms
    }


def _has_averages(apply, term, tap):
    """Whether a target is made of averages over windows."""
    return hasattr(apply, "read") and term.transform is None and _reads_averages(term, tap)


def _asked(averaged, reference):
    """What is averaged in a reference, of [(term, tap)]: {tap: {(term, label): (statistics, mask)}}."""
    asked: dict[str, dict] = {}
    for term, tap in averaged:
        for label in (reference.masks or ()) if term.regions else (WHOLE,):
            mask = reference.masks[label][tap] if term.regions else None
            asked.setdefault(tap, {})[term.name, label] = term.loss.target, mask
    return asked


def _has(reference, label):
    return label == WHOLE or label in reference.masks


def _shares(term, tap, references, masks):
    """{label: (share, mask [h, w])} of the regions of the picture at a tap."""
    if not term.regions:
        return {WHOLE: (None, None)}
    given = [[reference.masks for reference in references[name]] for name in term.references]
    if masks is None or any(each is None for several in given for each in several):
        raise ValueError(f"term {term.name!r} has regions, and no masks are given")
    shared = set.intersection(*(set().union(*several) for several in given))
    here = {label: masks[label][tap] for label in masks if label in shared}
    areas = {label: jnp.mean(where) if term.regions == "area" else 1.0 for label, where in here.items()}
    total = 1.0 if term.regions == "sum" else sum(areas.values())
    return {label: (areas[label] / total, where) for label, where in here.items()}


def _views(references, features, tap, label):
    """[(features [h, w, c], mask [h, w] or None, blend weight)] of the pictures that have a region."""
    return [
        (x[tap], None if label == WHOLE else reference.masks[label][tap], reference.weight)
        for reference, x in zip(references, features, strict=True)
        if _has(reference, label)
    ]


def _target(term, views):
    """The target of one region at one tap, from the views {reference: ...} of it."""
    make, transform = term.loss.target, term.transform
    if transform is not None:
        style = _blended(transform.style, transform.blend, views["style"])

        def make(x, *, where):
            return term.loss.target(transform.apply(x, style, where=where), where=where)

    return _blended(make, term.loss.blend, views[term.reference])


def _blended(function, blend, views):
    """A function of features and mask, of several views blended into one."""
    return _mixed(blend, [function(x, where=where) for x, where, _ in views], [w for *_, w in views])


def _mixed(blend, several, weights):
    total = sum(weights)
    return several[0] if len(several) == 1 else blend(several, [w / total for w in weights])


def averaged_taps(terms: Sequence[Term]) -> tuple[str, ...]:
    """The taps of the network at which averages of positions are all that is read."""
    taps = dict.fromkeys(tap for term in terms for tap in term.taps)
    here = {tap: [term for term in terms if tap in term.taps] for tap in taps}
    return tuple(tap for tap in taps if all(_reads_averages(term, tap) for term in here[tap]))


def _reads_averages(term, tap):
    return term.loss.distance is not None and term.control == FREE and tap != "image" and "+" not in tap
