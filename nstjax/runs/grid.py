"""Universal style transfer of many contents in many styles: each picture once, each style read once."""

import concurrent.futures
import dataclasses
import os
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np

from nstjax import files, images
from nstjax.errors import CannotWrite, FailedError, UserError, notify
from nstjax.folders import RunFolder
from nstjax.images import sheet
from nstjax.progress import lines_above_bars, progress_bar
from nstjax.runs import pictures, transfer
from nstjax.runs.cache import Cache

_LARGEST_SHEET = 100  # pictures
_REFUSALS = 3


class _Job(NamedTuple):
    """One picture to make."""

    content: str
    path: Path
    style: str


def run(config, contents, styles, workdir, command=""):
    """Transfers every style to every content: WORKDIR/STYLE/CONTENT.png, and a sheet of them.

    Contents are done in their order, style by style. The statistics of a style are computed once, and
    programs are compiled once per size of picture. A finished picture of the same files is kept.

    Args:
      config: a ConfigDict as `configs/wct.py` returns it; its content and style are not looked at.
      contents: paths and `example:NAME`s, or a folder, whose pictures are taken in the order of their
        numbers and names: the frames of a video.
      styles: paths and `example:NAME`s; empty for that of the config, several blended.
      workdir: path of a folder.
      command: the command line, for provenance.

    Returns:
      {"pictures": folder, "sheet": path}, a sheet for up to 100 pictures.

    Raises:
      UserError: for a mistake that a person can mend, before anything is made.
      FailedError: for contents that could not be read or transferred; the others are made.
    """
    if config.content_mask or config.style_mask:
        raise UserError("content_mask and style_mask belong to one content; give them without contents")
    if config.init != "content":
        raise UserError(f"init is {config.init!r}; expected 'content' where contents are given")
    names, cache = _names(contents), Cache()
    configs = {style: _with(config, names[0], style) for style in styles or [config.style]}
    folders = _labels("styles", [pictures.names(style)[0] for style in configs])
    loaded = {style: transfer.load(each, cache) for style, each in configs.items()}
    first = next(iter(loaded.values()))
    of_styles = (dataclasses.replace(each, content=None) for each in loaded.values())
    notes = list(dict.fromkeys(note for each in of_styles for note in each.notes))
    for note in notes:
        notify(f"note: {note}")
    inputs = first.provenance(command) | {"notes": notes}
    inputs["inputs"]["pictures"] = {
        name: {"name": p.name, "sha256": p.sha256}
        for name, each in zip(folders, loaded.values(), strict=True)
        for p in each.styles
    }
    listed = {"contents": contents, "styles": [*configs]}
    stems, workdir = _labels("contents", names), files.user_path(workdir)
    jobs = [
        _Job(name, workdir / folder / f"{stem}.png", style)
        for folder, style in zip(folders, configs, strict=True)
        for stem, name in zip(stems, names, strict=True)
    ]
    with RunFolder(workdir, first.config | {"content": "", "style": ""} | listed, inputs):
        failed = _run(jobs, loaded)
        outputs = {"pictures": workdir}
        if len(jobs) <= _LARGEST_SHEET and len(failed) < len(jobs):
            outputs["sheet"] = workdir / "sheet.jpg"
            files.write_atomic(outputs["sheet"], _sheet(jobs, stems, folders))
    if failed:
        raise FailedError("; ".join([f"{len(failed)} of {len(jobs)} pictures failed", *failed]))
    return outputs


def _run(jobs, loaded):
    """Makes the pictures that are not there; returns why some could not be made."""
    failed, regions, said = [], {}, set()
    writing, refused = None, 0

    def settle():
        """Waits until the last picture is written; several that cannot be, in a row, end the batch."""
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
        reading = pool.submit(_read, jobs[0])
        for job, following in zip(jobs, [*jobs[1:], None], strict=True):
            read, reading = reading, following and pool.submit(_read, following)
            bar.set_postfix_str(f"{job.path.parent.name}/{job.path.name}")
            styled = loaded[job.style]
            try:
                picture = read.result()
                _say_notes(picture, said)
                label = _label(styled, picture)
                if not _there(job.path, label):
                    if job.style not in regions:
                        regions = {job.style: transfer.regions_of(styled)}
                    one = dataclasses.replace(styled, content=picture)
                    transfer.check_sizes(one)
                    image = np.asarray(transfer.make_image(one, regions[job.style]))
                    if not np.isfinite(image).all():
                        raise UserError(transfer.NOT_FINITE)
                    settle()
                    writing = job, pool.submit(_write, job.path, image, label)
            except UserError as error:
                failed.append(f"{job.content}: {error}")
            bar.update()
        settle()
    return failed


def _read(job):
    return images.load_picture(job.content)


def _say_notes(picture, said):
    """Says the notes of a picture above the progress bar, the first time that it is read."""
    if picture.name not in said:
        said.add(picture.name)
        with lines_above_bars():
            images.say_notes(picture)


def _write(path, image, label):
    with files.writing(path.parent):
        path.parent.mkdir(exist_ok=True)
    files.write_atomic(path, images.encode_png(image, label))


def _there(path, label):
    """Whether a picture is there, whole, and was made of the same files."""
    try:
        images.load_picture(str(path))
        with images.open_png(path) as made:
            return made.text.get("Comment") == label
    except (OSError, UserError):
        return False


def _label(run, content):
    """The text in a finished picture: of which files it was made, without the folders that they were in."""
    styles = ", ".join(map(_short, run.styles))
    return f"{run.label}; content: {_short(content)}; style: {styles}"


def _short(picture):
    return f"{Path(picture.name).name} {picture.sha256[:16]}"


def _names(contents):
    """The names of contents: as they are, or of the pictures in a folder, frame 2 before frame 10."""
    if len(contents) == 1 and os.path.isdir(os.path.expanduser(contents[0])):

        def order(path):
            parts = re.split(r"(\d+)", path.name)
            return [(int(part), "") if part.isdigit() else (-1, part) for part in parts]

        return [str(path) for path in sorted(images.picture_files(contents[0]), key=order)]
    return [*contents]


def _labels(what, names):
    """Short names of pictures, each once.

    Raises:
      UserError: for two that are the same.
    """
    labels = [Path(name.removeprefix("example:")).stem for name in names]
    for label in labels:
        if labels.count(label) > 1:
            raise UserError(f"{what}: two pictures are called {label}; rename a file")
    return labels


def _with(config, content, style):
    made = config.copy_and_resolve_references()
    with made.unlocked():
        made.content, made.style = content, style
    return made


def _sheet(jobs, stems, folders):
    cells = {}
    for job in jobs:
        if job.path.is_file():
            with images.open_png(job.path) as made:
                cells[job.path.stem, job.path.parent.name] = made.convert("RGB")
    return sheet.encode(sheet.grid(cells, stems, folders, 320), "JPEG", quality=90)
