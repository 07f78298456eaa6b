"""Claims on the points of a sweep: of processes that share its folder, one at a time works on a point."""

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from nstjax import files

SECONDS = 1.0  # between looks at what others have finished


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
