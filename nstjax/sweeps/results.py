"""The run folders of a sweep, read together: rows of measures, the cross-loss matrix, effects."""

import csv
import dataclasses
import io as text_io
import itertools
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from nstjax import files, images
from nstjax.errors import UserError, nearest, notify
from nstjax.sweeps.design import Design
from nstjax.sweeps.effects import Effect, paired

_CURVE = 60  # rows of a curve that are kept
_NOT_TERMS = ("step", "stage", "seconds", "evaluations")
# Beside the losses, what is compared as a ratio; all else as a difference.
_RATIOS = ("content", "seconds", "evaluations")


@dataclasses.dataclass(frozen=True)
class Point:
    """A point of a sweep, as its run folder holds it.

    Attributes:
      name: of the point and of its folder.
      at: {factor: label}.
      folder: path of the run folder, None where it is not there.
      failed: the reason, or None.
      cost: {"steps", "evaluations", "seconds", "bytes", "together"}.
      losses: {loss: share of its value at the content, mean over its taps}.
      picture: {measure: number}.
      inputs: of `provenance.json`.
      own: the one loss that the point's style terms minimise, or None.
    """

    name: str
    at: Mapping[str, str]
    folder: Path | None = None
    failed: str | None = None
    cost: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    losses: Mapping[str, float] = dataclasses.field(default_factory=dict)
    picture: Mapping[str, float] = dataclasses.field(default_factory=dict)
    inputs: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    own: str | None = None

    @property
    def measures(self) -> dict[str, float]:
        """Pictures, losses and what is spent, by name."""
        spent = {k: self.cost[k] for k in ("seconds", "evaluations") if k in self.cost}
        return {**self.picture, **self.losses, **spent}

    @property
    def image(self) -> Path | None:
        """Path of the picture, where it is there."""
        path = self.folder and self.folder / "image.png"
        return path if path and path.exists() else None


@dataclasses.dataclass(frozen=True)
class CrossLosses:
    """The share that is left of each loss in pictures made with each setting.

    Attributes:
      columns: settings.
      rows: losses.
      values: [row][column]: geometric means of shares over the repeats; None where a repeat is missing or
        its share is not above 0.
      own: [column]: the row of the loss that the setting minimises, or None.
    """

    columns: list[str]
    rows: list[str]
    values: list[list[float | None]]
    own: list[str | None]


class Rank(NamedTuple):
    """How a setting does by the loss that it minimises.

    Attributes:
      place: among all settings, from 1.
      ratio: of the loss to that of the best setting.
    """

    place: int
    ratio: float


@dataclasses.dataclass(frozen=True)
class Comparison:
    """The effect of a setting on a measure, beside the baseline at the same repeats.

    Attributes:
      setting: its label.
      measure: name.
      kind: "ratio" or "difference".
      effect: an `Effect`.
    """

    setting: str
    measure: str
    kind: str
    effect: Effect


def collect(design: Design, workdir: str | Path) -> list[Point]:
    """The `Point`s of a design, with what is there of their run folders."""
    folders = {name: Path(workdir) / "points" / name for name in design.labels}
    return [
        _read(name, at, folders[name]) if folders[name].exists() else Point(name, at)
        for name, at in design.labels.items()
    ]


def _read(name, at, folder):
    """The `Point` of a run folder; one whose files are damaged has failed."""
    try:
        point = _point(name, at, folder)
        if point.image:
            images.load_picture(str(point.image))
        curves(point)
        point.inputs["weights"]["label"], point.inputs["pictures"].items()
        return point
    except (UserError, KeyError, TypeError, AttributeError) as error:
        reason = error if isinstance(error, UserError) else f"a file of {folder} is not what a run leaves"
        notify(f"note: {name}: {reason}; remove the folder to run the point again")
        return Point(name, at, failed=f"damaged: {reason}")


def _point(name, at, folder):

    def read(file):
        return files.read_json(folder / file) if (folder / file).exists() else {}

    measures = read("measures.json")
    return Point(
        name,
        at,
        folder,
        failed=read("failed.json").get("reason"),
        cost=read("cost.json"),
        losses=_mean_losses(measures.get("losses", {})),
        picture={k: v for k, v in measures.get("picture", {}).items() if v is not None},
        inputs=files.read_json(folder / "provenance.json")["inputs"],
        own=_own_loss(read("config.json")),
    )


def _mean_losses(shares):
    """{loss: mean share} of {loss: {tap: share or None}}; a loss without a share is left out."""
    known = {loss: [v for v in taps.values() if v is not None] for loss, taps in shares.items()}
    return {loss: sum(values) / len(values) for loss, values in known.items() if values}


def _own_loss(config):
    """The one loss that the style terms of a config minimise, or None."""
    losses = {t["loss"] for t in config.get("terms", {}).values() if t["reference"] == "style"}
    return losses.pop() if len(losses) == 1 else None


def by_setting(design: Design, points: Sequence[Point]) -> dict[str, list[Point]]:
    """{setting: its points}, one per repeat."""
    found: dict[str, list[Point]] = {}
    for point in points:
        found.setdefault(design.setting(point.at), []).append(point)
    return found


def curves(point: Point) -> dict[str, Any] | None:
    """{"step", "evaluations", "seconds", "terms": {"total", "term/tap", ...}} of a point, thinned out.

    A network that was trained has no evaluations.
    """
    path = point.folder and point.folder / "metrics.jsonl"
    if not path or not path.exists():
        return None
    rows = files.read_json_lines(path)
    kept = sorted({round(i) for i in np.linspace(0, len(rows) - 1, min(len(rows), _CURVE))})
    rows = [rows[i] for i in kept]
    terms = dict.fromkeys(k for row in rows for k in row if k not in _NOT_TERMS and "gradient/" not in k)
    axes = ["step", *(["evaluations"] if "evaluations" in rows[0] else []), "seconds"]
    axes = {axis: [row[axis] for row in rows] for axis in axes}
    return axes | {"terms": {term: [row.get(term) for row in rows] for term in terms}}


def cross_losses(design: Design, points: Sequence[Point]) -> CrossLosses:
    """The cross-loss matrix of points; rows are first the losses that settings minimise."""
    settings = by_setting(design, points)
    there = dict.fromkeys(loss for point in points for loss in point.losses)
    rows = [loss for loss in dict.fromkeys(point.own for point in points) if loss in there]
    rows += [loss for loss in there if loss not in rows]

    def value(loss, several):
        shares = [point.losses.get(loss, 0) for point in several]
        return math.exp(np.mean(np.log(shares))) if all(share > 0 for share in shares) else None

    values = [[value(loss, several) for several in settings.values()] for loss in rows]
    own = [several[0].own if several[0].own in rows else None for several in settings.values()]
    return CrossLosses(list(settings), rows, values, own)


def own_rank(cross: CrossLosses) -> dict[str, Rank]:
    """{setting: its `Rank` by the loss that it minimises}."""
    ranks = {}
    for i, (name, own) in enumerate(zip(cross.columns, cross.own, strict=True)):
        row = [] if own is None else cross.values[cross.rows.index(own)]
        if row and row[i] is not None:
            there = [value for value in row if value is not None]
            ranks[name] = Rank(1 + sum(value < row[i] for value in there), row[i] / min(there))
    return ranks


def compare(design: Design, points: Sequence[Point]) -> list[Comparison]:
    """The effect of every setting on every measure, beside the baseline at the same repeats."""
    seeds = [f.name for f in design.factors if f.seed]
    pairs = [f.name for f in design.factors if f.role == "repeat" and not f.seed]
    table: dict[str, dict[str, dict]] = {}
    for point in points:
        repeat = tuple(tuple(point.at[name] for name in names) for names in (pairs, seeds))
        for measure, value in point.measures.items():
            table.setdefault(measure, {}).setdefault(design.setting(point.at), {})[repeat] = value
    baseline, losses = design.setting(design.baseline), _losses(points)
    return [
        Comparison(setting, measure, kind, paired(values, settings[baseline], scale=kind))
        for measure, settings in table.items()
        if settings.get(baseline)
        for kind in ["ratio" if measure in losses or measure in _RATIOS else "difference"]
        for setting, values in settings.items()
        if setting != baseline
    ]


def _losses(points):
    return {loss for point in points for loss in point.losses}


def table(design: Design, points: Sequence[Point], measures: Sequence[str]) -> str:
    """A Markdown table: a row per setting, means of measures over its repeats, and its place in its own row.

    Means are geometric for what is compared as a ratio; "own row" is the place that the setting takes by the
    loss it minimises, and that loss over the best setting's. Empty where a repeat has no value.

    Args:
      design: a `Design`.
      points: from `collect`.
      measures: names, as the columns of `results_csv` and `cross_losses_csv` have them.

    Raises:
      UserError: for a measure that no point has.
    """
    ranks, losses = own_rank(cross_losses(design, points)), _losses(points)
    there = {measure for point in points for measure in point.measures}
    for measure in measures:
        if measure not in there:
            raise UserError(f"measure {measure!r} is unknown{nearest(measure, there)}")
    lines = [" | ".join(["", *measures, "own row"]), "---|" * (len(measures) + 1) + "---"]
    for name, several in by_setting(design, points).items():
        cells = [_mean_of(several, measure, losses) for measure in measures]
        lines.append(" | ".join([name, *cells, _rank_text(ranks.get(name))]))
    return "\n".join(f"| {line} |" if not line.startswith("---") else f"|{line}|" for line in lines)


def _rank_text(rank):
    if rank is None:
        return ""
    return f"{rank.place}" + (f" (x{rank.ratio:.2f})" if rank.place > 1 else "")


def _mean_of(points, measure, losses):
    values = [point.measures.get(measure) for point in points]
    if any(value is None for value in values):
        return ""
    if measure not in losses and measure not in _RATIOS:
        return f"{np.mean(values):.3g}"
    return f"{math.exp(np.mean(np.log(values))):.3g}" if all(value > 0 for value in values) else ""


def results_csv(design: Design, points: Sequence[Point]) -> str:
    """One row per point: its factors, how it ended, what it cost, what its picture measures."""
    costs = _keys(point.cost for point in points)
    pictures = _keys(point.picture for point in points)
    names = [factor.name for factor in design.factors]
    rows = [
        [
            *(point.name, *(point.at[name] for name in names), _status(point), point.failed or ""),
            *(point.cost.get(k, "") for k in costs),
            *(point.picture.get(k, "") for k in pictures),
        ]
        for point in points
    ]
    return _csv([["name", *names, "status", "reason", *costs, *pictures], *rows])


def cross_losses_csv(design: Design, points: Sequence[Point]) -> str:
    """One row per point: its factors and what is left of every loss."""
    losses = _keys(point.losses for point in points)
    names = [factor.name for factor in design.factors]
    rows = [
        [point.name, *(point.at[name] for name in names), *(point.losses.get(k, "") for k in losses)]
        for point in points
    ]
    return _csv([["name", *names, *losses], *rows])


def _status(point):
    return "failed" if point.failed else "finished" if point.measures else "missing"


def _keys(dicts):
    return list(dict.fromkeys(itertools.chain.from_iterable(dicts)))


def _csv(rows):
    buffer = text_io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerows([map(_cell, row) for row in rows])
    return buffer.getvalue()


def _cell(value):
    """A cell that no spreadsheet takes for a formula: text that would be one has an apostrophe before it."""
    if not str(value).startswith(("=", "+", "-", "@", "\t", "\r")):
        return value
    try:
        float(value)
    except ValueError:
        return f"'{value}"
    return value
