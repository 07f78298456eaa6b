"""Pictures of files through a trained network, into a folder."""

import glob
import os
from collections.abc import Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

from nstjax import files, images, photorealism
from nstjax.errors import FailedError, UserError, check_choice
from nstjax.feedforward.apply import stylize
from nstjax.images import sheet as sheets
from nstjax.images import stream
from nstjax.images.encode import SUFFIXES
from nstjax.networks import stylizers
from nstjax.networks.stylizers import Stylizer

_THUMBNAIL, _MOST_ROWS = 256, 200  # pixels of a picture in a sheet; a JPEG has at most 65 535 in a column


def run(
    network: str | Path,
    inputs: Sequence[str],
    out: str | Path,
    *,
    styles: Sequence[str] = (),
    strength: str = "",
    suffix: str = ".png",
    size: int = 0,
    photorealistic: Sequence[str] = (),
    sheet: str | Path = "",
) -> dict[str, Path]:
    """Paints pictures by a trained network. One that is there, made of the same files, is kept.

    Args:
      network: path of a file that training wrote, or the name of a network that comes with the package.
      inputs: paths, `example:NAME`s and patterns such as "frames/*.png"; or a folder, whose pictures are
        taken in the order of their numbers and names.
      out: a folder; or, for one picture in one style, the file to write, whose suffix is its format.
      styles: names of styles of the network, or blends such as "mosaic:2+woodblock:1"; of several, each has a
        folder of its own. The first style of the network by default.
      strength: a factor of the weight of the one term that the network takes as input, such as "2"; or of
        several, "style:2,content:0.5".
      suffix: of the files, one of `nstjax.images.encode.SUFFIXES`.
      size: long side in pixels that pictures are resized to; 0 leaves them as they are.
      photorealistic: names of filters of `nstjax.photorealism`, which the painted pictures go through.
      sheet: a JPEG file to write, with a row an input: the picture, then what was painted in each style.

    Returns:
      {"pictures": folder}, or {"picture": file}; and {"sheet": file}.

    Raises:
      UserError: for a mistake that a person can mend, before anything is made.
      FailedError: for pictures that could not be read, made or written; the others are made.
    """
    trained = stylizers.load(network)
    check_choice("output", suffix.removeprefix("."), tuple(each[1:] for each in SUFFIXES))
    if size < 0:
        raise UserError(f"size must be at least 0; got {size}")
    place_of_sheet = files.user_path(sheet) if sheet else None
    if place_of_sheet and place_of_sheet.suffix.lower() not in (".jpg", ".jpeg"):
        raise UserError(f"sheet {sheet}: expected a file that ends in .jpg")
    for name in photorealistic:
        check_choice("photorealistic", name, photorealism.NAMES)
    filters = [jax.jit(getattr(photorealism, name)()) for name in photorealistic]
    asked = list(styles) or [trained.styles[0]]
    strengths = _strengths(trained, strength)
    conditions = {style: trained.condition(_blend(style), strengths) for style in asked}
    names, place = _names(inputs), files.user_path(out)
    if sheet and len(names) > _MOST_ROWS:
        raise UserError(f"sheet {sheet}: {len(names)} inputs are more than the {_MOST_ROWS} rows of a JPEG")
    single = place.suffix.lower() in SUFFIXES
    if single and len(names) * len(asked) > 1:
        raise UserError(f"out {out} is one file for {len(names) * len(asked)} pictures; expected a folder")
    if single:
        jobs = [stream.Job(names[0], place.with_suffix(place.suffix.lower()), asked[0])]
    else:
        stems = stream.labels("inputs", names)
        jobs = [
            stream.Job(name, place / (style if len(asked) > 1 else "") / f"{stem}{suffix}", style)
            for style in asked
            for stem, name in zip(stems, names, strict=True)
        ]
        files.make_folder(place)

    def make(job, picture):
        shape = picture.pixels.shape[:2]
        image = images.resize(picture.pixels, *(images.fit_size(*shape, size) if size else shape))
        painted = stylize(trained, image, conditions[job.how])
        for follow in filters:
            painted = jnp.clip(follow(painted, image), 0, 1)
        return np.asarray(painted)

    def label(job, picture):
        told = f"style: {job.how}" + (f"; strength: {strength}" if strength else "")
        made = f"{trained.label} {trained.sha256[:16]}; {told}; content: {stream.short(picture)}"
        made += f"; photorealistic: {', '.join(photorealistic)}" if photorealistic else ""
        return f"{made}; long side: {size}" if size else made

    failed = stream.run(jobs, make, label, alpha=not size)
    if failed:
        raise FailedError("; ".join([f"{len(failed)} of {len(jobs)} pictures failed", *failed]))
    outputs = {"picture": jobs[0].path} if single else {"pictures": place}
    return outputs | ({"sheet": _write_sheet(place_of_sheet, jobs, asked)} if place_of_sheet else {})


def _write_sheet(path, jobs, styles):
    """Writes the sheet of finished jobs; its path."""
    painted, shown = {(job.content, job.how): job.path for job in jobs}, []
    for name in dict.fromkeys(job.content for job in jobs):
        shown += [("", _small(name)), *((style, _small(painted[name, style])) for style in styles)]
    made = sheets.flow(shown, 1 + len(styles))
    files.write_atomic(path, sheets.encode(made, "JPEG", quality=88))
    return path


def _small(name):
    picture = Image.fromarray(images.load_picture(name).pixels)
    picture.thumbnail((_THUMBNAIL, _THUMBNAIL), Image.Resampling.LANCZOS)
    return picture


def _names(inputs):
    """The names of pictures, with patterns replaced by the files that they match, in order."""
    found = []
    for given in inputs:
        if glob.has_magic(given) and not os.path.exists(os.path.expanduser(given)):
            matches = sorted(glob.glob(os.path.expanduser(given)))
            if not matches:
                raise UserError(f"inputs: no file matches {given!r}")
            found += matches
        else:
            found.append(given)
    if not found:
        raise UserError("inputs is empty; expected pictures, a folder of them, or a pattern")
    return stream.names(found)


def _blend(style):
    """{name: weight} of a text such as "mosaic:2+woodblock:1"."""
    weights = {}
    for part in style.split("+"):
        name, _, weight = part.partition(":")
        weights[name.strip()] = _number(f"style {style}", weight or "1")
    return weights


def _strengths(trained: Stylizer, text):
    """{term: factor} of a text such as "2" or "style:2,content:0.5"."""
    factors = {}
    for part in filter(None, map(str.strip, text.split(","))):
        name, colon, factor = part.rpartition(":")
        if not colon and len(trained.strengths) != 1:
            known = ", ".join(trained.strengths) or "none"
            raise UserError(f"strength {part}: expected TERM:FACTOR; the network was trained with {known}")
        factors[name or next(iter(trained.strengths))] = _number(f"strength {part}", factor)
    return factors


def _number(key, text):
    try:
        return float(text)
    except ValueError:
        raise UserError(f"{key}: expected a number; got {text!r}") from None
