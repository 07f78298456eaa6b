"""The report of a sweep: a page, two tables and a sheet of its pictures, from its run folders alone."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from nstjax import files, images
from nstjax.errors import UserError
from nstjax.images import sheet
from nstjax.runs.page import data_url
from nstjax.sweeps import measure, page, record, results
from nstjax.sweeps.page import Page, PagePoint, Source, SourcePicture
from nstjax.sweeps.record import Record
from nstjax.sweeps.results import Point

_LONGEST = 512  # of a picture in the page
_NEAR = 1.1  # as much as a row's best, or near it
MEANINGS = {
    "content": "squared distance of deep features to the content's, over the content's squares; 0 for the "
    "content itself",
    "ssim": "structural similarity of luminance to the content, 1 for equal",
    "edge_ssim": "the same of the edges alone",
    "matting_energy": "what is no locally affine function of the content's colours, such as painted texture",
    "high_frequency": "RMS of luminance minus its Gaussian blur (σ = 2 pixels)",
    "checkerboard": "energy of what repeats every 4 pixels, over that of waves beside it; about 1 without",
    "saturation": "mean of the largest minus the smallest of red, green and blue",
    "clipped": "share of values at the ends of their range",
    "colour_mean": "distance of the mean colour to the style's, root mean square over channels",
    "colour_deviation": "the same of the channels' standard deviations",
    "colour_wasserstein": "how far the channels' histograms are from the style's, on average",
    "region_colour": "the same region by region, mean over the labels",
    "region_gram": "distance of Gram matrices to the style's, relative, mean over labels and taps",
    "seconds": "of steps, without compilation; a share of those of points run together",
    "evaluations": "of objective and gradient, those of line searches included",
}


def write(workdir: str | Path) -> dict[str, Path]:
    """Writes `index.html`, `results.csv`, `cross_losses.csv` and `grid.png` of a sweep.

    Args:
      workdir: path of the sweep; `sweep.json`, `pictures/` and the run folders in `points/` are read.

    Returns:
      {"page": path, ...} of the four.

    Raises:
      UserError: where it is no sweep's, or nothing of it is finished.
    """
    workdir = files.user_path(workdir)
    recorded = record.read(workdir)
    design = recorded.design
    points = results.collect(design, workdir)
    if not any(point.folder for point in points):
        raise UserError(f"{workdir} holds no points of its sweep; run the sweep first")
    outputs = {
        "page": workdir / "index.html",
        "results": workdir / "results.csv",
        "cross losses": workdir / "cross_losses.csv",
        "grid": workdir / "grid.png",
    }
    files.write_atomic(outputs["page"], page.render(make_page(recorded, points, workdir)))
    files.write_atomic(outputs["results"], results.results_csv(design, points))
    files.write_atomic(outputs["cross losses"], results.cross_losses_csv(design, points))
    files.write_atomic(outputs["grid"], sheet.encode(_grid(recorded, points), "PNG", optimize=True))
    return outputs


def make_page(recorded: Record, points: Sequence[Point], workdir: Path) -> Page:
    """The `Page` of a sweep.

    Args:
      recorded: the `Record` of the sweep.
      points: from `results.collect`.
      workdir: path of the sweep.
    """
    design = recorded.design
    cross = results.cross_losses(design, points) if any(point.losses for point in points) else None
    measures = dict.fromkeys(measure for point in points for measure in point.measures)
    return Page(
        record=recorded,
        points=[_page_point(recorded, point) for point in points],
        facts=_facts(points, cross),
        notes=_notes(points),
        sources=_sources(design, points, workdir),
        cross=cross if cross and cross.rows else None,
        comparisons=results.compare(design, points),
        meanings={name: MEANINGS.get(name, "") for name in measures},
    )


def _page_point(recorded, point):
    cost = {k: point.cost[k] for k in ("steps", "evaluations", "seconds") if k in point.cost}
    cost |= {"memory": point.cost["bytes"]} if "bytes" in point.cost else {}
    beside = [point.image, point.image.with_name("report.html")] if point.image else []
    there = {path.name: f"points/{point.name}/{path.name}" for path in beside if path.exists()}
    return PagePoint(
        name=point.name,
        at=point.at,
        command=f"{recorded.command} {shlex.quote(f'--only={point.name}')}",
        image=_thumbnail(point.image) if point.image else None,
        failed=point.failed,
        full=there.get("image.png"),
        report=there.get("report.html"),
        measures=point.measures,
        cost=cost,
        curves=results.curves(point),
    )


def _facts(points, cross):
    failed = sum(bool(p.failed) for p in points)
    finished = sum(bool(p.folder) and not p.failed for p in points)
    facts = [f"{len(points)} points, {finished} finished" + (f", {failed} failed" if failed else "")]
    labels = dict.fromkeys(point.inputs["weights"]["label"] for point in points if point.inputs)
    facts.append(f"through {', '.join(labels)}")
    seconds = sum(point.cost.get("seconds", 0) for point in points)
    facts.append(f"{seconds / 60:.0f} minutes of steps" if seconds > 120 else f"{seconds:.0f} s of steps")
    return facts + ([_own_rank_fact(cross)] if cross and _minimise_their_own(cross) else [])


def _minimise_their_own(cross):
    """Whether settings minimise single losses, no two of them the same."""
    own = [loss for loss in cross.own if loss]
    return len(set(own)) == len(own) > 1


def _own_rank_fact(cross):
    ranks = results.own_rank(cross)
    near = [name for name, rank in ranks.items() if rank.ratio <= _NEAR]
    rest = [f"{name} (×{rank.ratio:.2f})" for name, rank in ranks.items() if name not in near]
    return (
        f"{len(near)} of {len(ranks)} settings that minimise one loss do best by it, or within "
        f"{_NEAR - 1:.0%} of the best" + (f"; not {', '.join(rest)}" if rest else "")
    )


def _notes(points):
    notes = [f"{p.name} failed: {p.failed}" for p in points if p.failed][:5]
    if missing := sum(not point.folder and not point.failed for point in points):
        notes.append(f"{missing} points are not run yet; the command of the sweep goes on with them")
    return notes


def _sources(design, points, workdir):
    """The pictures that points were made of, by the labels that decide which."""
    there = [point for point in points if point.inputs]
    deciding = _deciding(design, there)
    made_of = {}
    for point in there:
        labels = tuple((name, point.at[name]) for name in deciding)
        made_of.setdefault(labels, point.inputs["pictures"])
    return [Source(dict(labels), _source_pictures(given, workdir)) for labels, given in made_of.items()]


def _source_pictures(given, workdir):
    """The `SourcePicture`s of the pictures of a `provenance.json`, where they are there."""
    paths = {role: measure.thumbnail(workdir, each["sha256"]) for role, each in given.items()}
    alone = {} if "style 1" in given else {"style 0": "style"}
    return [
        SourcePicture(alone.get(role, role), given[role]["name"], _thumbnail(path))
        for role, path in paths.items()
        if path.exists()
    ]


def _deciding(design, points):
    """The fewest factors, of none, one and all, whose labels decide about the pictures."""
    names = [factor.name for factor in design.factors]
    for deciding in ([], *([name] for name in names)):
        seen = {}
        for point in points:
            seen.setdefault(tuple(point.at[name] for name in deciding), []).append(point.inputs["pictures"])
        if all(each == several[0] for several in seen.values() for each in several):
            return deciding
    return names


def _grid(recorded, points):
    """Settings down, repeats across."""
    design = recorded.design
    cells, rows, columns = {}, {}, {}
    for point in points:
        row = design.setting(point.at)
        column = " · ".join(design.repeat(point.at)) or recorded.title
        rows[row] = columns[column] = None
        if point.image:
            cells[row, column] = images.open_png(point.image).convert("RGB")
    return sheet.grid(cells, list(rows), list(columns))


def _thumbnail(path):
    with Image.open(path, formats=("PNG", "JPEG")) as picture:
        return data_url(picture.convert("RGB"), _LONGEST, quality=88)
