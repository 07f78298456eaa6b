"""The terms of a config, checked and made into those of an objective."""

import functools
import inspect

from nstjax import checks, losses
from nstjax.control import FREE, NORMS, Control
from nstjax.errors import UserError, nearest
from nstjax.objective import REGIONS, Term

KEYS = ("loss", "taps", "reference", "weight", "tap_weights", "limit", "normalise", "regions")


def build(terms):
    """A tuple of `Term` from the `terms` of a config.

    Raises:
      UserError: for a loss, a hyper-parameter or a reference that does not exist.
    """
    if not terms:
        raise UserError("terms is empty: an experiment needs at least one loss")
    built = []
    for name, term in terms.items():
        if not hasattr(term, "items"):
            raise UserError(f"terms.{name} must be a dict of {', '.join(KEYS)}; got {term!r}")
        for key in KEYS:
            if key not in term:
                raise UserError(f"terms.{name}.{key} is missing")
        factories = [n for n in losses.__all__ if n != "Loss"]
        if term.loss not in factories:
            raise UserError(f"terms.{name}.loss {term.loss!r} is unknown{nearest(term.loss, factories)}")
        if not term.taps:
            raise UserError(f"terms.{name}.taps is empty: a term needs at least one tap")
        checks.numbers(f"terms.{name}.weight", (term.weight,))
        checks.numbers(f"terms.{name}.tap_weights", term.tap_weights)
        if term.reference not in ("content", "style"):
            raise UserError(
                f"terms.{name}.reference {term.reference!r} is unknown; expected content or style"
            )
        if term.tap_weights and len(term.tap_weights) != len(term.taps):
            raise UserError(
                f"terms.{name}.tap_weights has {len(term.tap_weights)} numbers for {len(term.taps)} taps"
            )
        if term.regions not in ("", *REGIONS):
            raise UserError(
                f"terms.{name}.regions {term.regions!r} is unknown{nearest(term.regions, REGIONS)}"
            )
        hyper = {key: value for key, value in term.items() if key not in KEYS}
        valid = inspect.signature(getattr(losses, term.loss)).parameters
        for key in hyper:
            if key not in valid:
                known = (*KEYS, *valid)
                raise UserError(f"terms.{name}.{key} is unknown for {term.loss}{nearest(key, known)}")
        try:
            loss = _loss(term.loss, tuple(sorted(hyper.items())))
        except ValueError as error:
            raise UserError(f"terms.{name}: {error}") from None
        control = _control(name, term)
        built.append(Term(name, loss, tuple(term.taps), term.reference, control, term.regions))
    return tuple(built)


def _control(name, term):
    checks.numbers(f"terms.{name}.limit", (term.limit,))
    if term.limit < 0:
        raise UserError(f"terms.{name}.limit must be at least 0; got {term.limit}")
    if term.normalise not in ("", *NORMS):
        raise UserError(
            f"terms.{name}.normalise {term.normalise!r} is unknown{nearest(term.normalise, NORMS)}"
        )
    return Control(term.limit, term.normalise)


@functools.cache
def _loss(name, hyper):
    """The same `Loss` for the same arguments, so that equal objectives are one compiled program."""
    return getattr(losses, name)(**dict(hyper))


def check_control(terms, plan):
    """Raises UserError where a gradient is controlled and a line search needs it as it is."""
    for term in terms:
        if plan.is_lbfgs and term.control != FREE:
            raise UserError(
                f"terms.{term.name} controls its gradient, which then is not that of the value, as the line "
                "search of lbfgs needs; expected another optimizer, such as adam"
            )
