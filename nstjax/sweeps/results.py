"""What the run folders of a sweep say together: rows of measures, the cross-loss matrix, effects."""

import csv
import io as text_io
import itertools
import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from nstjax import files
from nstjax.errors import UserError, nearest
from nstjax.sweeps.effects import paired

_CURVE = 60  # points of a curve that are kept
_NOT_TERMS = ("step", "stage", "seconds", "evaluations")
# Beside the losses, what is compared as a ratio; all else as a difference.
_RATIOS = ("content", "seconds", "evaluations")


class Point(NamedTuple):
    """A point of a sweep, as its run folder holds it.

    Attributes:
      name: of the point and of its folder.
      at: {factor: label}.
      failed: the reason, or None.
      folder: path of the run folder, None where it is not there.
      cost: {"steps", "evaluations", "seconds", "bytes", "together"}.
      losses: {loss: share of its value at the content, mean over its taps}.
      picture: {measure: number}.
      inputs: of `provenance.json`.
      own: the one loss that the point's style terms minimise, or None.
    """

    name: str
    at: dict[str, str]
    failed: str | None
    folder: Path | None
    cost: dict[str, Any]
    losses: dict[str, float]
    picture: dict[str, float]
    inputs: dict[str, Any]
    own: str | None

    @property
    def measures(self):
        """Pictures, losses and what is spent, by name."""
        spent = {k: self.cost[k] for k in ("seconds", "evaluations") if k in self.cost}
        return self.picture | self.losses | spent


def collect(plan, workdir):
    """The `Point`s of a plan (`sweep.plan`), with what is there of their run folders."""
    return [_point(name, at, Path(workdir) / "points" / name) for name, at in plan["points"].items()]


def _point(name, at, folder):
    if not folder.exists():
        return Point(name, at, None, None, {}, {}, {}, {}, None)

    def read(file):
        return files.read_json(folder / file) if (folder / file).exists() else {}

    measures = read("measures.json")
    losses = {loss: _mean(taps.values()) for loss, taps in measures.get("losses", {}).items()}
    styles = {t["loss"] for t in read("config.json").get("terms", {}).values() if t["reference"] == "style"}
    return Point(
        name,
        at,
        read("failed.json").get("reason"),
        folder,
        read("cost.json"),
        {loss: value for loss, value in losses.items() if value is not None},
        {k: v for k, v in measures.get("picture", {}).items() if v is not None},
        read("provenance.json")["inputs"],
        styles.pop() if len(styles) == 1 else None,
    )


def _mean(values):
    there = [value for value in values if value is not None]
    return sum(there) / len(there) if there else None


def setting(plan, at):
    """The label of what a point is compared for: its labels of the compared factors."""
    return " · ".join(at[factor] for factor in plan["baseline"])


def curves(point):
    """{"step", "evaluations", "seconds", "terms": {"total", "term/tap", ...}} of a point, thinned out."""
    path = point.folder and point.folder / "metrics.jsonl"
    if not path or not path.exists():
        return None
    rows = files.read_json_lines(path)
    kept = sorted({round(i) for i in np.linspace(0, len(rows) - 1, min(len(rows), _CURVE))})
    rows = [rows[i] for i in kept]
    terms = dict.fromkeys(k for row in rows for k in row if k not in _NOT_TERMS and "gradient/" not in k)
    axes = {axis: [row[axis] for row in rows] for axis in ("step", "evaluations", "seconds")}
    return axes | {"terms": {term: [row.get(term) for row in rows] for term in terms}}


def cross_losses(plan, points):
    """The cross-loss matrix: what is left of each loss in pictures made with each setting.

    Returns:
      {"columns": settings, "rows": losses, "values": [[share]], "own": the row that a setting minimises, or
      None}: geometric means over the repeats; None where a repeat is missing or its share is not above 0.
    """
    made = {}
    for point in points:
        made.setdefault(setting(plan, point.at), []).append(point)
    there = dict.fromkeys(loss for point in points for loss in point.losses)
    rows = [loss for loss in dict.fromkeys(point.own for point in points) if loss in there]
    rows += [loss for loss in there if loss not in rows]

    def value(loss, several):
        shares = [point.losses.get(loss, 0) for point in several]
        return math.exp(np.mean(np.log(shares))) if all(share > 0 for share in shares) else None

    values = [[value(loss, several) for several in made.values()] for loss in rows]
    own = [several[0].own if several[0].own in rows else None for several in made.values()]
    return {"columns": list(made), "rows": rows, "values": values, "own": own}


def own_rows(cross):
    """{setting: (its place in its own row from 1, its share over the best's)} of a cross-loss matrix."""
    places = {}
    for i, (name, own) in enumerate(zip(cross["columns"], cross["own"], strict=True)):
        if own is not None:
            row = cross["values"][cross["rows"].index(own)]
            if row[i] is not None:
                there = [value for value in row if value is not None]
                places[name] = (1 + sum(value < row[i] for value in there), row[i] / min(there))
    return places


def effects(plan, points):
    """What every setting does to every measure beside the baseline at the same repeats.

    Returns:
      A list of {"setting", "measure", "kind": "ratio" or "difference", and the fields of
      `statistics.Effect`}.
    """
    seeds = [factor["name"] for factor in plan["factors"] if factor["seed"]]
    pairs = [f["name"] for f in plan["factors"] if f["role"] == "repeat" and not f["seed"]]
    table = {}
    for point in points:
        repeat = tuple(tuple(point.at[name] for name in names) for names in (pairs, seeds))
        for measure, value in point.measures.items():
            table.setdefault(measure, {}).setdefault(setting(plan, point.at), {})[repeat] = value
    baseline = " · ".join(plan["baseline"].values())
    losses = {loss for point in points for loss in point.losses}
    found = []
    for measure, settings in table.items():
        kind = "ratio" if measure in losses or measure in _RATIOS else "difference"
        for name, values in settings.items():
            if name == baseline or not settings.get(baseline):
                continue
            effect = paired(values, settings[baseline], scale=kind)
            found.append({"setting": name, "measure": measure, "kind": kind, **effect._asdict()})
    return found


def table(plan, points, measures):
    """A Markdown table: a row a setting, means of measures over its repeats, and its place in its own row.

    Means are geometric for what is compared as a ratio; "own row" is the place that the setting takes by the
    loss it minimises, and that loss over the best setting's. Empty where a repeat has no value.

    Args:
      plan: from `sweep.plan`.
      points: from `collect`.
      measures: names, as the columns of `results_csv` and `cross_losses_csv` have them.

    Raises:
      UserError: for a measure that no point has.
    """
    cross, made = cross_losses(plan, points), {}
    losses = {loss for point in points for loss in point.losses}
    there = {measure for point in points for measure in point.measures}
    for measure in measures:
        if measure not in there:
            raise UserError(f"measure {measure!r} is unknown{nearest(measure, there)}")
    for point in points:
        made.setdefault(setting(plan, point.at), []).append(point)
    lines = [" | ".join(["", *measures, "own row"]), "---|" * (len(measures) + 1) + "---"]
    for name, several in made.items():
        cells = [_mean_of(several, measure, losses) for measure in measures]
        place, over = own_rows(cross).get(name, (None, None))
        cells.append(f"{place}" + (f" (x{over:.2f})" if place > 1 else "") if place else "")
        lines.append(" | ".join([name, *cells]))
    return "\n".join(f"| {line} |" if not line.startswith("---") else f"|{line}|" for line in lines)


def _mean_of(points, measure, losses):
    values = [point.measures.get(measure) for point in points]
    if any(value is None for value in values):
        return ""
    if measure not in losses and measure not in _RATIOS:
        return f"{np.mean(values):.3g}"
    return f"{math.exp(np.mean(np.log(values))):.3g}" if all(value > 0 for value in values) else ""


def results_csv(plan, points):
    """One row a point: its factors, how it ended, what it cost, what its picture measures."""
    costs = _keys(point.cost for point in points)
    pictures = _keys(point.picture for point in points)
    head = ["name", *_factors(plan), "status", "reason", *costs, *pictures]
    rows = [
        [
            *(point.name, *(point.at[f] for f in _factors(plan)), _status(point), point.failed or ""),
            *(point.cost.get(k, "") for k in costs),
            *(point.picture.get(k, "") for k in pictures),
        ]
        for point in points
    ]
    return _csv([head, *rows])


def cross_losses_csv(plan, points):
    """One row a point: its factors and what is left of every loss."""
    losses = _keys(point.losses for point in points)
    rows = [
        [point.name, *(point.at[f] for f in _factors(plan)), *(point.losses.get(k, "") for k in losses)]
        for point in points
    ]
    return _csv([["name", *_factors(plan), *losses], *rows])


def _status(point):
    return "failed" if point.failed else "finished" if point.measures else "missing"


def _factors(plan):
    return [factor["name"] for factor in plan["factors"]]


def _keys(dicts):
    return list(dict.fromkeys(itertools.chain.from_iterable(dicts)))


def _csv(rows):
    buffer = text_io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerows(rows)
    return buffer.getvalue()
