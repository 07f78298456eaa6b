"""Claims on the points of a sweep: of processes that share its folder, one at a time works on a point."""

import contextlib
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from nstjax import files
from nstjax.errors import notify

_SECONDS = 1.0  # between looks at what others have finished


@contextlib.contextmanager
def claim(names: Iterable[str], workdir: Path, at_most: int | None = None) -> Iterator[list[str]]:
    """Yields the points that no other process works on; they are this one's until the end of the block.

    A claim is a lock on a file, so that it ends with its process, however that ends.

    Args:
      names: of points.
      workdir: path of the sweep.
      at_most: how many to claim; all that can be by default.
    """
    folder = workdir / "unfinished" / "claims"
    files.make_folder(folder)
    with contextlib.ExitStack() as locks:
        claimed = []
        for name in names:
            if len(claimed) == at_most:
                break
            if _lock(folder / name, locks):
                claimed.append(name)
        yield claimed


def wait(names: Sequence[str], said: bool) -> bool:
    """Waits a moment for the processes that hold points, and says so where it was not said; returns True.

    Args:
      names: of the points.
      said: whether it was said before.
    """
    if not said:
        notify(f"note: other processes are at the last points; waiting for them ({some(names)})")
    time.sleep(_SECONDS)
    return True


def some(names: Sequence[str]) -> str:
    """The first name, and how many more there are."""
    return names[0] + (f" and {len(names) - 1} more" if len(names) > 1 else "")


def _lock(path, locks):
    """Whether a file could be locked; where there are no locks, a sweep is run by one process alone."""
    with files.writing(path):
        path.touch()
    try:
        file = files.lock(path)
    except OSError:
        return True
    if file is None:
        return False
    locks.enter_context(contextlib.closing(file))
    return True
