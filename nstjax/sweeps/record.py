"""The file `sweep.json`: the design of a sweep, its title and its command."""

import dataclasses
from pathlib import Path

from nstjax import files
from nstjax.errors import UserError
from nstjax.sweeps.design import Design

_NAME = "sweep.json"


@dataclasses.dataclass(frozen=True)
class Record:
    """A sweep as its report needs it, beside its run folders.

    Attributes:
      title: of the sweep.
      command: the command line that goes on with it.
      design: its `Design`.
    """

    title: str
    command: str
    design: Design


def read(workdir: Path) -> Record:
    """The `Record` of a sweep.

    Raises:
      UserError: where there is none, or another version wrote it.
    """
    path = workdir / _NAME
    if not files.is_file(path):
        raise UserError(f"{workdir} holds no {_NAME}; expected the workdir of experiments.sweep")
    saved = files.read_json(path)
    try:
        return Record(saved["title"], saved["command"], Design.from_json(saved))
    except KeyError as error:
        raise UserError(f"{path} has no key {error}; run its sweep again, into another workdir") from None
    except (TypeError, AttributeError, ValueError):
        raise UserError(f"{path} is not what a sweep writes; run it again, in another workdir") from None


def write(record: Record, workdir: Path) -> None:
    """Writes the `Record` of a sweep, which may add points to the one that is there.

    Raises:
      UserError: where another sweep is there.
    """
    if (workdir / _NAME).exists():
        before = read(workdir)
        if _compared(before.design) != _compared(record.design):
            raise UserError(f"{workdir} holds another sweep, {before.title}; give this one another workdir")
    heads = {"title": record.title, "command": record.command}
    files.write_json(workdir / _NAME, heads | record.design.to_json())


def _compared(design):
    return dict(design.baseline), list(design.baseline), design.repeats
