"""The terms of a config, checked and made into those of an objective."""

import functools
import inspect

from ml_collections import ConfigDict

from nstjax import config, losses, networks, transforms, validate
from nstjax.errors import UserError, check_choice, nearest
from nstjax.networks.vgg import TAPS
from nstjax.ops.gradients import FREE, NORMS, Control
from nstjax.optimize.targets import REGIONS, Term

KEYS = (
    *("loss", "taps", "reference", "weight", "tap_weights", "transform", "transform_args"),
    *("limit", "normalise", "regions", "published_for"),
)
_EXAMPLE = config.term("gram", "relu1_1")
_LOSSES = tuple(name for name in losses.__all__ if name != "Loss")
TRANSFORMS = ("adain", "histogram", "mean_shift", "wct")  # the others are of pictures


def build(terms):
    """A tuple of `Term` from the `terms` of a config.

    Raises:
      UserError: for a loss, a transform, a hyper-parameter or a reference that does not exist.
    """
    if not terms:
        raise UserError("terms is empty: an experiment needs at least one loss")
    return tuple(_term(name, term) for name, term in terms.items())


def within(terms, reachable):
    """The terms of a config at the taps that a network reaches.

    A tap that is deeper is left out, as is the deeper part of a composite tap. The weights of the taps that
    remain are scaled so that their sum stays. A term on the content that keeps no tap reads the deepest
    ReLU.

    Args:
      terms: the `terms` of a config, a ConfigDict.
      reachable: names of taps, shallow to deep.

    Raises:
      UserError: for another term that keeps no tap.
    """
    return ConfigDict({name: _within(name, term, reachable) for name, term in terms.items()})


def per_tap(terms):
    """{term: its weight, or one a tap} of the terms of a config, for `nstjax.optimize.term_weights`."""
    return {
        name: tuple(term.weight * w for w in term.tap_weights) or term.weight for name, term in terms.items()
    }


def _within(name, term, reachable):
    beyond = set(TAPS) - set(reachable)
    taps = ["+".join(part for part in tap.split("+") if part not in beyond) for tap in term.taps]
    weights = term.tap_weights or (1.0,) * len(taps)
    kept = [(tap, weight) for tap, weight in zip(taps, weights, strict=True) if tap]
    if not kept and term.reference != "content":
        raise UserError(f"terms.{name}.taps: the weights end at {reachable[-1]}, before all of them")
    if not kept:
        deepest = [tap for tap in reachable if tap.startswith("relu")][-1]
        return ConfigDict({**term, "taps": (deepest,), "tap_weights": ()})
    taps, left = zip(*kept, strict=True)
    weight = term.weight * (sum(weights) / (sum(left) or 1.0))
    return ConfigDict(
        {**term, "taps": taps, "tap_weights": left if term.tap_weights else (), "weight": weight}
    )


def _term(name, term):
    if not hasattr(term, "items"):
        raise UserError(f"terms.{name} must be a dict of {', '.join(KEYS)}; got {term!r}")
    for key in KEYS:
        if key not in term:
            raise UserError(f"terms.{name}.{key} is missing")
    validate.kinds(term, _EXAMPLE, f"terms.{name}.")
    check_choice(f"terms.{name}.loss", term.loss, _LOSSES)
    if not term.taps:
        raise UserError(f"terms.{name}.taps is empty: a term needs at least one tap")
    if not all(isinstance(tap, str) for tap in term.taps):
        raise UserError(f"terms.{name}.taps must be names; got {tuple(term.taps)}")
    validate.numbers(f"terms.{name}.tap_weights", term.tap_weights)
    if term.reference not in ("content", "style"):
        raise UserError(f"terms.{name}.reference {term.reference!r} is unknown; expected content or style")
    if term.tap_weights and len(term.tap_weights) != len(term.taps):
        raise UserError(
            f"terms.{name}.tap_weights has {len(term.tap_weights)} numbers for {len(term.taps)} taps"
        )
    if term.published_for:
        check_choice(f"terms.{name}.published_for", term.published_for, networks.FAMILIES)
    if term.regions:
        check_choice(f"terms.{name}.regions", term.regions, REGIONS)
    return Term(
        name,
        make_loss(name, term.loss, hyper(term)),
        tuple(term.taps),
        term.reference,
        _transform(name, term),
        _control(name, term),
        term.regions,
    )


def _transform(name, term):
    if not term.transform:
        if term.transform_args:
            raise UserError(f"terms.{name}.transform_args are given, but no transform")
        return None
    check_choice(f"terms.{name}.transform", term.transform, TRANSFORMS)
    if term.reference != "content":
        raise UserError(
            f"terms.{name}.transform moves the content towards the style: reference must be content; "
            f"got {term.reference!r}"
        )
    return call_factory(f"terms.{name}.transform_args", transforms, term.transform, term.transform_args)


def _control(name, term):
    if term.limit < 0:
        raise UserError(f"terms.{name}.limit must be at least 0; got {term.limit}")
    if term.normalise:
        check_choice(f"terms.{name}.normalise", term.normalise, NORMS)
    return Control(term.limit, term.normalise)


def hyper(term):
    """{name: value} of the hyper-parameters of the loss of a term of a config."""
    return {key: value for key, value in term.items() if key not in KEYS}


def make_loss(name, loss, hyper):
    """The loss of the term of this name, by the name of its factory."""
    return call_factory(f"terms.{name}", losses, loss, hyper, KEYS)


def call_factory(key, package, name, hyper, other_keys=()):
    """The loss or transform that a factory makes of hyper-parameters that a config gives under a key."""
    valid = inspect.signature(getattr(package, name)).parameters
    for parameter in hyper:
        if parameter not in valid:
            known = (*other_keys, *valid)
            raise UserError(f"{key}.{parameter} is unknown for {name}{nearest(parameter, known)}")
    validate.of_signature(getattr(package, name), hyper, f"{key}.")
    for parameter, about in valid.items():
        if about.default is about.empty and parameter not in hyper:
            raise UserError(f"{key}.{parameter} is missing; {name} needs it")
    return validate.built(key, hyper, lambda given: _cached(package, name, tuple(sorted(given.items()))))


@functools.cache
def _cached(package, name, hyper):
    """The same object for the same arguments, so that equal objectives are one compiled program."""
    return getattr(package, name)(**dict(hyper))


def check_control(terms, method):
    """Raises UserError where a gradient is controlled and a line search needs that of the value."""
    for term in terms:
        if method.line_search and term.control != FREE:
            raise UserError(
                f"terms.{term.name} controls its gradient, which then is not that of the value, as the line "
                f"search of {method.optimizer} needs; expected another optimizer, such as adam"
            )
