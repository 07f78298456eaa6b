"""The page of a sweep: one HTML file with its pictures, numbers, style and scripts inside."""

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from nstjax.runs import page
from nstjax.sweeps.record import Record
from nstjax.sweeps.results import Comparison, CrossLosses

# Joined into one module, in this order: the first reads the data, the last starts the page.
_SCRIPTS = ("base.js", "chart.js", "tables.js", "lightbox.js", "sweep.js")


@dataclasses.dataclass(frozen=True)
class PagePoint:
    """A point as the page shows it.

    Attributes:
      name: of the point.
      at: {factor: label}.
      command: the command line that runs it alone.
      image: the picture, a data URL, or None.
      failed: the reason, or None.
      full, report: paths of the picture and of the report of its run, relative to the page, or None.
      measures, cost: {name: number}.
      curves: {"step", "evaluations", "seconds": lists; "terms": {name: list}}, or None.
    """

    name: str
    at: Mapping[str, str]
    command: str
    image: str | None = None
    failed: str | None = None
    full: str | None = None
    report: str | None = None
    measures: Mapping[str, float] = dataclasses.field(default_factory=dict)
    cost: Mapping[str, float] = dataclasses.field(default_factory=dict)
    curves: Mapping[str, Any] | None = None


@dataclasses.dataclass(frozen=True)
class SourcePicture:
    """A picture that points were made of.

    Attributes:
      role: "content", "style", ...
      name: of its file.
      image: a data URL.
    """

    role: str
    name: str
    image: str


@dataclasses.dataclass(frozen=True)
class Source:
    """The pictures that the points with some labels were made of.

    Attributes:
      at: {factor: label}.
      pictures: of these points.
    """

    at: Mapping[str, str]
    pictures: Sequence[SourcePicture]


@dataclasses.dataclass(frozen=True)
class Page:
    """The content of the page of a sweep. NaN and infinity count as unknown.

    Attributes:
      record: the `Record` of the sweep.
      points: those of its design, in any order; some may be missing.
      facts: texts.
      notes: texts that a reader must see.
      sources: the pictures that points were made of.
      cross: the cross-loss matrix, or None.
      comparisons: with the baseline.
      meanings: {measure: what it means}.
    """

    record: Record
    points: Sequence[PagePoint]
    facts: Sequence[str] = ()
    notes: Sequence[str] = ()
    sources: Sequence[Source] = ()
    cross: CrossLosses | None = None
    comparisons: Sequence[Comparison] = ()
    meanings: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The dict that the scripts read."""
        design = self.record.design
        return {
            "facts": self.facts,
            "notes": self.notes,
            "factors": [{"name": f.name, "labels": f.labels, "role": f.role} for f in design.factors],
            "baseline": dict(design.baseline),
            "points": [dataclasses.asdict(point) for point in self.points],
            "sources": [dataclasses.asdict(source) for source in self.sources],
            "cross": self.cross and dataclasses.asdict(self.cross),
            "effects": [
                {"setting": each.setting, "measure": each.measure, "kind": each.kind, **each.effect._asdict()}
                for each in self.comparisons
            ],
            "measures": [{"name": name, "means": text} for name, text in self.meanings.items()],
        }


def render(shown: Page) -> str:
    """The page as text, to be written as UTF-8. It opens from a file and loads nothing from elsewhere.

    >>> from nstjax.sweeps.design import Design
    >>> record = Record("a < b", "", Design([], {}))
    >>> render(Page(record, [])).count("<title>nstjax: a &lt; b</title>")
    1
    """
    # "<" only occurs within strings of JSON; written so, none of them ends the script or opens a comment.
    text = json.dumps(_known(shown.to_json()), allow_nan=False, separators=(",", ":"))
    data, title = text.replace("<", "\\u003c"), shown.record.title
    return page.render("sweep.html", "nstjax.sweeps", title=title, data=data, scripts=_SCRIPTS)


def _known(value):
    """The same with None for numbers that JSON has not."""
    if isinstance(value, Mapping):
        return {key: _known(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_known(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
