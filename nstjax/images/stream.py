"""Many pictures, one after the other: the next is read and the last is written while one is made."""

import concurrent.futures
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from nstjax import files, images
from nstjax.errors import CannotWrite, FailedError, UserError
from nstjax.images import Picture
from nstjax.progress import lines_above_bars, progress_bar

_REFUSALS = 3


class Job(NamedTuple):
    """One picture to make.

    Attributes:
      content: the name of the picture to make it of.
      path: of the picture to make; its suffix says its format.
      how: what `make` is told beside the content.
    """

    content: str
    path: Path
    how: Any


def run(
    jobs: Sequence[Job],
    make: Callable[[Job, Picture], np.ndarray],
    label: Callable[[Job, Picture], str],
    *,
    alpha: bool = False,
) -> list[str]:
    """Makes the pictures that are not there yet, in order, each written as soon as it is made.

    Args:
      jobs: at least one.
      make: the image [H, W, 3] float32 in [0, 1] of a job and its content; it may raise UserError.
      label: the text in a finished picture, which says of what it was made: one with another is made anew.
      alpha: whether the transparency of a content of the result's size is kept.

    Returns:
      A line for each picture that could not be read, made or written.

    Raises:
      FailedError: where several in a row could not be written.
    """
    failed, said = [], set()
    writing, refused = None, 0

    def settle():
        """Waits until the last picture is written; several that cannot be, in a row, end the work."""
        nonlocal writing, refused
        if writing:
            (job, future), writing = writing, None
            try:
                future.result()
                refused = 0
            except CannotWrite as error:
                failed.append(f"{job.content}: {error}")
                refused += 1
            if refused == _REFUSALS:
                raise FailedError("; ".join([f"{refused} pictures in a row could not be written", *failed]))

    with concurrent.futures.ThreadPoolExecutor(2) as pool, progress_bar(jobs) as bar:
        reading = pool.submit(images.load_picture, jobs[0].content)
        for job, following in zip(jobs, [*jobs[1:], None], strict=True):
            read = reading
            reading = following and pool.submit(images.load_picture, following.content)
            bar.set_postfix_str(f"{job.path.parent.name}/{job.path.name}")
            try:
                picture = read.result()
                _say_notes(picture, said)
                text = label(job, picture)
                if not _there(job.path, text):
                    image = make(job, picture)
                    settle()
                    writing = (
                        job,
                        pool.submit(_write, job.path, image, text, picture.alpha if alpha else None),
                    )
            except UserError as error:
                failed.append(f"{job.content}: {error}")
            bar.update()
        settle()
    return failed


def names(given: Sequence[str]) -> list[str]:
    """The names of contents: as they are, or of the pictures in a folder, frame 2 before frame 10."""
    if len(given) == 1 and os.path.isdir(os.path.expanduser(given[0])):

        def order(path):
            parts = re.split(r"(\d+)", path.name)
            return [(int(part), "") if part.isdigit() else (-1, part) for part in parts]

        return [str(path) for path in sorted(images.picture_files(given[0]), key=order)]
    return [*given]


def labels(what: str, given: Sequence[str]) -> list[str]:
    """Short names of pictures, each once.

    Raises:
      UserError: for two that are the same.
    """
    found = [Path(name.removeprefix("example:")).stem for name in given]
    for label in found:
        if found.count(label) > 1:
            raise UserError(f"{what}: two pictures are called {label}; rename a file")
    return found


def short(picture: Picture) -> str:
    """A picture in a label: its name without the folder that it was in, and the beginning of its hash."""
    return f"{Path(picture.name).name} {picture.sha256[:16]}"


def _say_notes(picture, said):
    """Says the notes of a picture above the progress bar, the first time that it is read."""
    if picture.name not in said:
        said.add(picture.name)
        with lines_above_bars():
            images.say_notes(picture)


def _write(path, image, label, alpha):
    with files.writing(path.parent):
        path.parent.mkdir(exist_ok=True)
    files.write_atomic(path, images.encode(image, path.suffix, label, alpha))


def _there(path, label):
    """Whether a picture is there, whole, and was made of the same files."""
    try:
        images.load_picture(str(path))
        return images.label_of(path) == label
    except (OSError, UserError):
        return False
