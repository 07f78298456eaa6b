"""Universal style transfer of many contents in many styles: each picture once, each style read once."""

import dataclasses

import numpy as np

from nstjax import files, images
from nstjax.errors import FailedError, UserError, notify
from nstjax.folders import RunFolder
from nstjax.images import sheet, stream
from nstjax.runs import pictures, transfer
from nstjax.runs.cache import Cache

_LARGEST_SHEET = 100  # pictures


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
    names, cache = stream.names(contents), Cache()
    configs = {style: _with(config, names[0], style) for style in styles or [config.style]}
    folders = stream.labels("styles", [pictures.names(style)[0] for style in configs])
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
    stems, workdir = stream.labels("contents", names), files.user_path(workdir)
    jobs = [
        stream.Job(name, workdir / folder / f"{stem}.png", style)
        for folder, style in zip(folders, configs, strict=True)
        for stem, name in zip(stems, names, strict=True)
    ]
    with RunFolder(workdir, first.config | {"content": "", "style": ""} | listed, inputs):
        failed = _make(loaded, jobs)
        outputs = {"pictures": workdir}
        if len(jobs) <= _LARGEST_SHEET and len(failed) < len(jobs):
            outputs["sheet"] = workdir / "sheet.jpg"
            files.write_atomic(outputs["sheet"], _sheet(jobs, stems, folders))
    if failed:
        raise FailedError("; ".join([f"{len(failed)} of {len(jobs)} pictures failed", *failed]))
    return outputs


def _make(loaded, jobs):
    """The failures of `stream.run` on transfers of which each style's statistics are computed once."""
    regions = {}

    def make(job, picture):
        nonlocal regions
        styled = loaded[job.how]
        if job.how not in regions:
            regions = {job.how: transfer.regions_of(styled)}
        one = dataclasses.replace(styled, content=picture)
        transfer.check_sizes(one)
        image = np.asarray(transfer.make_image(one, regions[job.how]))
        if not np.isfinite(image).all():
            raise UserError(transfer.NOT_FINITE)
        return image

    def label(job, picture):
        run = loaded[job.how]
        styles = ", ".join(map(stream.short, run.styles))
        return f"{run.label}; content: {stream.short(picture)}; style: {styles}"

    return stream.run(jobs, make, label)


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
