"""Errors that people at the command line see as one line, and the checks that raise them."""

import contextlib
import difflib
import sys


class UserError(ValueError):
    """A mistake that a person can mend: a value, a name or a file.

    Its message is one line: what was wrong, what was expected. Characters that could break the
    line, or drive a terminal, become spaces.
    """

    def __init__(self, message):
        super().__init__("".join(c if c.isprintable() else " " for c in str(message)))


class CannotWrite(UserError):
    """The system refused to write: no room, no permission."""


class FailedError(Exception):
    """A run did not come to its end, through no mistake that could be seen before."""


class NotFiniteError(FailedError):
    """A loss or gradient was not finite; what was good until then is kept and named in the message."""


def nearest(name, valid):
    """A clause that helps to mend a mistyped name.

    Args:
        name: what was given.
        valid: the names that would have done.

    Returns:
        The closest valid name; where none is near, the valid names, at most ten; or nothing.

    >>> nearest("relu42", ["relu4_1", "relu4_2"])
    "; did you mean 'relu4_2'?"
    >>> nearest("sepia", ["adam", "lbfgs"])
    '; valid: adam, lbfgs'
    """
    folded = {str(v).casefold(): str(v) for v in valid}
    if close := difflib.get_close_matches(str(name).casefold(), folded, n=1):
        return f"; did you mean {folded[close[0]]!r}?"
    if not folded:
        return ""
    shown = list(folded.values())[:10]
    more = f" and {len(folded) - len(shown)} more" if len(folded) > len(shown) else ""
    return f"; valid: {', '.join(shown)}{more}"


def check_choice(key, name, valid):
    """Raises UserError for a name that is not among the valid ones."""
    if name not in valid:
        raise UserError(f"{key} {name!r} is unknown{nearest(name, valid)}")


def check_at_least(key, value, least):
    """Raises UserError for a number below the least."""
    if not value >= least:
        raise UserError(f"{key} must be at least {least}; got {value}")


def notify(line):
    """One line for a person, on stderr; where nobody can read it, work goes on."""
    with contextlib.suppress(OSError):
        print("".join(c if c.isprintable() else " " for c in line), file=sys.stderr)
