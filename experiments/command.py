"""How the drivers start and end: user errors are one line and exit status 2, never a traceback."""

import sys

import jax
from absl import app, flags, logging

from nstjax.errors import UserError, nearest
from nstjax.run import NotFiniteError


def run(main, required):
    """Parses flags, runs `main(argv)` and exits: 0 done, 1 failed on the way, 2 a user error."""
    logging.set_verbosity(logging.ERROR)
    try:
        argv = _parse(required)
        main(argv)
    except UserError as error:
        sys.exit(_say(error, 2))
    except NotFiniteError as error:
        sys.exit(_say(error, 1))
    except (MemoryError, jax.errors.JaxRuntimeError) as error:
        if isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error):
            sys.exit(_say("out of memory; try a smaller size", 1))
        raise
    except KeyboardInterrupt:
        sys.exit(_say("interrupted; the same command goes on from the last checkpoint", 130))


def _parse(required):
    try:
        argv = flags.FLAGS(sys.argv)
    except UserError:
        raise
    except flags.UnrecognizedFlagError as error:
        raise UserError(
            f"flag --{error.flagname} is unknown{nearest(error.flagname, list(flags.FLAGS))}"
        ) from None
    except Exception as error:
        raise UserError(str(error).strip().split("\n")[0]) from None
    if flags.FLAGS["help"].value if "help" in flags.FLAGS else False:
        app.usage(shorthelp=True, exitcode=0)
    for name in required:
        if flags.FLAGS[name].value is None:
            raise UserError(f"flag --{name} is required")
    if extra := argv[1:]:
        raise UserError(f"argument {extra[0]!r} is not understood; flags look like --name=value")
    return argv


def _say(error, status):
    print(f"error: {error}", file=sys.stderr)
    return status
