"""The report of a sweep: a page, two tables and a sheet of its pictures, from its run folders alone."""

import base64
import io as bytes_io
import shlex
from pathlib import Path

from PIL import Image

from nstjax import files
from nstjax.errors import UserError
from nstjax.images import sheet
from nstjax.sweeps import measure, page, results

_LONGEST = 512  # of a picture in the page
_NEAR = 1.1  # as much as a row's best, or near it
MEANINGS = {
    "content": "squared distance of deep features to the content's, over the content's squares; 0 for the "
    "content itself",
    "ssim": "structural similarity of luminance to the content, 1 for equal",
    "edge_ssim": "the same of the edges alone",
    "high_frequency": "root mean square of what a Gaussian blur of 2 pixels takes away from luminance",
    "saturation": "mean of the largest minus the smallest of red, green and blue",
    "clipped": "share of values at the ends of their range",
    "colour_mean": "distance of the mean colour to the style's, root mean square over channels",
    "colour_deviation": "the same of the channels' standard deviations",
    "colour_wasserstein": "how far the channels' histograms are from the style's, on average",
    "seconds": "of steps, without compilation; a share of those of points run together",
    "evaluations": "of objective and gradient, those of line searches included",
}


def write(workdir):
    """Writes `index.html`, `results.csv`, `cross_losses.csv` and `grid.png` of a sweep.

    Args:
      workdir: path of the sweep; `sweep.json`, `pictures/` and the run folders in `points/` are read.

    Returns:
      {"page": path, ...} of the four.

    Raises:
      UserError: where it is no sweep's, or nothing of it is finished.
    """
    workdir = Path(workdir).expanduser().absolute()
    if not (workdir / "sweep.json").exists():
        raise UserError(f"{workdir} holds no sweep.json; expected the workdir of experiments.sweep")
    plan = files.read_json(workdir / "sweep.json")
    points = results.collect(plan, workdir)
    if not any(point.folder for point in points):
        raise UserError(f"{workdir} holds no points of its sweep; run the sweep first")
    left = {
        "page": workdir / "index.html",
        "results": workdir / "results.csv",
        "cross losses": workdir / "cross_losses.csv",
        "grid": workdir / "grid.png",
    }
    files.write_atomic(left["page"], page.render(page_data(plan, points, workdir)))
    files.write_atomic(left["results"], results.results_csv(plan, points))
    files.write_atomic(left["cross losses"], results.cross_losses_csv(plan, points))
    files.write_atomic(left["grid"], sheet.encode(_grid(plan, points), "PNG", optimize=True))
    return left


def page_data(plan, points, workdir):
    """What `page.render` takes, of a plan and its `results.Point`s."""
    cross = results.cross_losses(plan, points) if any(point.losses for point in points) else None
    effects = results.effects(plan, points)
    measures = dict.fromkeys(measure for point in points for measure in point.measures)
    return {
        "title": plan["title"],
        "facts": _facts(points, cross),
        "notes": _notes(points),
        "factors": [{k: factor[k] for k in ("name", "labels", "role")} for factor in plan["factors"]],
        "baseline": plan["baseline"],
        "points": [_page_point(plan, point) for point in points],
        "sources": _sources(plan, points, workdir),
        "cross": cross if cross and cross["rows"] else None,
        "effects": effects,
        "measures": [{"name": name, "means": MEANINGS.get(name, "")} for name in measures],
    }


def _page_point(plan, point):
    picture = point.folder and point.folder / "image.png"
    there = bool(picture and picture.exists())
    cost = {k: point.cost[k] for k in ("steps", "evaluations", "seconds") if k in point.cost}
    cost |= {"memory": point.cost["bytes"]} if "bytes" in point.cost else {}
    return {
        "name": point.name,
        "at": point.at,
        "image": _data_url(picture) if there else None,
        "failed": point.failed,
        "full": f"points/{point.name}/image.png" if there else None,
        "report": f"points/{point.name}/report.html" if there else None,
        "command": f"{plan['command']} {shlex.quote(f'--only={point.name}')}",
        "measures": point.measures,
        "cost": cost,
        "curves": results.curves(point),
    }


def _facts(points, cross):
    failed, finished = sum(bool(p.failed) for p in points), sum(bool(p.folder) for p in points)
    facts = [f"{len(points)} points, {finished - failed} finished" + (f", {failed} failed" if failed else "")]
    labels = dict.fromkeys(point.inputs["weights"]["label"] for point in points if point.inputs)
    facts.append(f"through {', '.join(labels)}")
    seconds = sum(point.cost.get("seconds", 0) for point in points)
    facts.append(f"{seconds / 60:.0f} minutes of steps" if seconds > 120 else f"{seconds:.0f} s of steps")
    own = [loss for loss in cross["own"] if loss] if cross else []
    if len(set(own)) == len(own) > 1:
        places = results.own_rows(cross)
        near = [name for name, (_, share) in places.items() if share <= _NEAR]
        rest = [f"{name} (×{share:.2f})" for name, (_, share) in places.items() if name not in near]
        facts.append(
            f"{len(near)} of {len(places)} settings that minimise one loss do best by it, or within "
            f"{_NEAR - 1:.0%} of the best" + (f"; not {', '.join(rest)}" if rest else "")
        )
    return facts


def _notes(points):
    notes = [f"{p.name} failed: {p.failed}" for p in points if p.failed][:5]
    if missing := sum(not point.folder for point in points):
        notes.append(f"{missing} points are not run yet; the command of the sweep goes on with them")
    return notes


def _sources(plan, points, workdir):
    """The pictures that points were made of, by the labels that decide which."""
    there = [point for point in points if point.inputs]
    made_of = {point.name: point.inputs["pictures"] for point in there}
    deciding = _deciding(plan, there, made_of)
    sources = {}
    for point in there:
        at = {name: point.at[name] for name in deciding}
        sources.setdefault(tuple(at.items()), (at, made_of[point.name]))
    return [
        {
            "at": at,
            "pictures": [
                {
                    "role": "style" if role == "style 0" and "style 1" not in pictures else role,
                    "name": each["name"],
                    "image": _data_url(path),
                }
                for role, each in pictures.items()
                if (path := measure.thumbnail(workdir, each["sha256"])).exists()
            ],
        }
        for at, pictures in sources.values()
    ]


def _deciding(plan, points, made_of):
    """The fewest factors, of none, one and all, whose labels decide about the pictures."""
    names = [factor["name"] for factor in plan["factors"]]
    for deciding in ([], *([name] for name in names)):
        seen = {}
        for point in points:
            seen.setdefault(tuple(point.at[name] for name in deciding), []).append(made_of[point.name])
        if all(each == several[0] for several in seen.values() for each in several):
            return deciding
    return names


def _grid(plan, points):
    """Settings down, repeats across."""
    repeats = [factor["name"] for factor in plan["factors"] if factor["role"] == "repeat"]
    cells, rows, columns = {}, {}, {}
    for point in points:
        row = results.setting(plan, point.at)
        column = " · ".join(point.at[name] for name in repeats) or plan["title"]
        rows[row] = columns[column] = None
        if point.folder and (point.folder / "image.png").exists():
            cells[row, column] = Image.open(point.folder / "image.png").convert("RGB")
    return sheet.grid(cells, list(rows), list(columns))


def _data_url(path):
    image = Image.open(path).convert("RGB")
    image.thumbnail((_LONGEST, _LONGEST), Image.Resampling.LANCZOS)
    buffer = bytes_io.BytesIO()
    image.save(buffer, "JPEG", quality=88)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
