"""Experimental designs: factors, their levels, a baseline, repeats."""

import csv
import dataclasses
import functools
import itertools
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import ml_collections

from nstjax import files, presets
from nstjax.errors import UserError, check_choice, nearest


@dataclasses.dataclass(frozen=True)
class Level:
    """One of the alternatives of a factor.

    Attributes:
      label: its name.
      overrides: {dotted config key: value} that it sets.
    """

    label: str
    overrides: Mapping[str, Any]


Point = Mapping[str, Level]


@dataclasses.dataclass(frozen=True)
class Factor:
    """A factor that a design compares or repeats.

    Attributes:
      name: of the factor.
      labels: of its levels, in the order in which points have them.
      role: "compared" or "repeat".
      seed: whether its levels set the seed alone.
    """

    name: str
    labels: tuple[str, ...]
    role: str
    seed: bool


@dataclasses.dataclass(frozen=True)
class Design:
    """The points of a sweep and how they are compared; a config's `get_sweep()` returns it.

    Attributes:
      points: {factor: Level} each, as the functions below make them.
      baseline: {factor: label}, one label for every factor that is compared. All else is compared with it.
      repeats: the factors that are not compared: seeds, pictures. Every point is compared with the baseline
        at the same repeats.
      losses: the style losses that measure all points; every one of the library where none is named.

    Raises:
      UserError: for a loss that is no style loss.
    """

    points: Sequence[Point]
    baseline: Mapping[str, str]
    repeats: tuple[str, ...] = ()
    losses: tuple[str, ...] = ()

    def __post_init__(self):
        for loss in self.losses:
            check_choice("style loss", loss, presets.STYLE_LOSSES)

    @functools.cached_property
    def factors(self) -> tuple[Factor, ...]:
        """The factors that are compared, then those that are repeated."""
        compared = [self._factor(name, "compared") for name in self.baseline]
        return (*compared, *(self._factor(name, "repeat") for name in self.repeats))

    def _factor(self, name, role):
        levels = {point[name].label: point[name] for point in self.points}
        seed = all(set(level.overrides) == {"seed"} for level in levels.values())
        return Factor(name, tuple(levels), role, seed)

    @functools.cached_property
    def labels(self) -> dict[str, dict[str, str]]:
        """{name of a point: {factor: label}}, of the factors that are compared or repeated."""
        names = (*self.baseline, *self.repeats)
        return {name(point): {n: point[n].label for n in names} for point in self.points}

    def setting(self, labels: Mapping[str, str]) -> str:
        """The label of what a point is compared for: its labels {factor: label} of the compared factors."""
        return " · ".join(labels[factor] for factor in self.baseline)

    def repeat(self, labels: Mapping[str, str]) -> tuple[str, ...]:
        """The labels of the factors that are not compared: which points are a pair."""
        return tuple(labels[factor] for factor in self.repeats)

    def is_baseline(self, labels: Mapping[str, str]) -> bool:
        """Whether the point with these labels is what others are compared with."""
        return all(labels[factor] == label for factor, label in self.baseline.items())

    @property
    def baseline_names(self) -> tuple[str, ...]:
        """The names of the points that others are compared with."""
        return tuple(name for name, labels in self.labels.items() if self.is_baseline(labels))

    def to_json(self) -> dict[str, Any]:
        """A dict for JSON, from which `from_json` makes an equal design, but for tuples and ConfigDicts."""
        levels: dict[str, dict[str, Any]] = {}
        for point in self.points:
            for factor, level in point.items():
                levels.setdefault(factor, {})[level.label] = _plain(level.overrides)
        points = {name(p): {factor: level.label for factor, level in p.items()} for p in self.points}
        kept = {"baseline": dict(self.baseline), "repeats": list(self.repeats), "losses": list(self.losses)}
        return kept | {"levels": levels, "points": points}

    @classmethod
    def from_json(cls, saved: Mapping[str, Any]) -> "Design":
        """The design of a dict that `to_json` returned."""
        levels = {
            factor: {label: Level(label, overrides) for label, overrides in several.items()}
            for factor, several in saved["levels"].items()
        }
        points = [
            {factor: levels[factor][label] for factor, label in labels.items()}
            for labels in saved["points"].values()
        ]
        return cls(points, saved["baseline"], tuple(saved["repeats"]), tuple(saved.get("losses", ())))


def factor(name: str, levels: Iterable | Mapping[str, Mapping[str, Any]]) -> list[Point]:
    """Points along one factor.

    Args:
      name: a dotted config key, for a sequence of values of it; or any name, for what follows.
      levels: values; or {label: {dotted config key: value}}. None takes a term away, a term that is not
        there is added.
    """
    if isinstance(levels, Mapping):
        labelled = levels.items()
    else:
        labelled = [(_label(value), {name: value}) for value in levels]
    return [{name: Level(label, overrides)} for label, overrides in labelled]


def pairs(named: Iterable[tuple[str, str]]) -> list[Point]:
    """Points along a factor "pair": (content, style) each, "example:NAME" or a path."""

    def short(name):
        return Path(name.removeprefix("example:")).stem

    levels = {}
    for content, style in named:
        label = f"{short(content)}+{short(style)}"
        if label in levels:
            raise UserError(f"two pairs of pictures are called {label}; rename a file")
        levels[label] = {"content": content, "style": style}
    return factor("pair", levels)


def read_pairs(path: str | Path) -> list[tuple[str, str]]:
    """[(content, style), ...] of a file with a pair a line, separated by a comma.

    Raises:
      UserError: where it cannot be read, or a line holds something else.
    """
    try:
        with open(files.user_path(path), encoding="utf-8-sig", newline="") as file:
            rows = [[cell.strip() for cell in row] for row in csv.reader(file) if any(map(str.strip, row))]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"pairs {path}: {getattr(error, 'strerror', None) or 'not a text'}") from None
    for row in rows:
        if len(row) != 2 or not all(row):
            raise UserError(f"pairs {path}: expected a content and a style a line; got {','.join(row)!r}")
    if not rows:
        raise UserError(f"pairs {path}: holds no pairs; expected a content and a style a line")
    return [tuple(row) for row in rows]


# Of the package's pictures.
_EXAMPLES = (("example:coffee", "example:brushwork"), ("example:chelsea", "example:mosaic"))


def pairs_of(arg: Any, examples: Sequence[tuple[str, str]] = _EXAMPLES) -> Sequence[tuple[str, str]]:
    """The pairs that a config's argument asks for: of the file `pairs`, or examples; one for `smoke`."""
    return read_pairs(arg.pairs) if arg.pairs else examples[: 1 if arg.smoke else None]


def fixed(key: str, value: Any) -> list[Point]:
    """One point that sets a dotted config key."""
    return factor(key, [value])


def product(*several: Sequence[Point]) -> list[Point]:
    """Every combination of points of several factors, the last varying fastest."""
    return [_merged(parts) for parts in itertools.product(*several)]


def zipped(*several: Sequence[Point]) -> list[Point]:
    """The first points of all together, the second, and so on.

    Raises:
      UserError: where their numbers differ.
    """
    counts = [len(each) for each in several]
    if len(set(counts)) > 1:
        raise UserError(f"zipped takes as many points of each; got {', '.join(map(str, counts))}")
    return [_merged(parts) for parts in zip(*several, strict=True)]


def chained(*several: Sequence[Point]) -> list[Point]:
    """The points of several designs, one after the other."""
    return list(itertools.chain(*several))


def name(point: Point) -> str:
    """A name for a point that is a folder's as well: "loss=gram,seed=0"."""
    return ",".join(f"{_safe(factor.split('.')[-1])}={_safe(level.label)}" for factor, level in point.items())


def configs(config: ml_collections.ConfigDict, design: Design) -> dict[str, ml_collections.ConfigDict]:
    """The config of every point, and what is wrong with any of them before one is run.

    Args:
      config: the ConfigDict that points set keys of; it stays as it is.
      design: a `Design`.

    Returns:
      {name of the point: ConfigDict}, in the order of the points.

    Raises:
      UserError: for an unknown key, a value of the wrong type, two points that are the same or have one
        name, a factor that is declared neither compared nor repeated, and a point without a baseline.
    """
    if not design.points:
        raise UserError("the sweep has no points")
    _check_factors(design)
    _check_baseline(design)
    made, seen = {}, {}
    for point in design.points:
        named = name(point)
        if named in made:
            raise UserError(f"two points of the sweep are {named}")
        made[named] = _with_point(config, point)
        text = json.dumps(made[named].to_dict(), default=str, sort_keys=True)
        if text in seen:
            raise UserError(f"the points {seen[text]} and {named} are the same config")
        seen[text] = named
    return made


def _check_factors(design):
    """Raises UserError where points set other factors than those declared, or a label is used twice."""
    known = {*design.baseline, *design.repeats}
    varied = {f for p in design.points for f in p if len({_label_at(q, f) for q in design.points}) > 1}
    levels = {}
    for point in design.points:
        if extra := (set(point) & varied) - known:
            raise UserError(
                f"the point {name(point)} sets {min(extra)!r}, which the sweep names neither in baseline nor "
                f"in repeats{nearest(min(extra), known)}"
            )
        if missing := known - set(point):
            raise UserError(f"the point {name(point)} does not set {min(missing)!r}")
        for factor, level in point.items():
            if levels.setdefault((factor, level.label), level) != level:
                raise UserError(f"two levels of {factor} are called {level.label}")


def _check_baseline(design):
    """Raises UserError for a label that no point has, and a point without a baseline at its repeats."""
    for factor, label in design.baseline.items():
        labels = {point[factor].label for point in design.points}
        if label not in labels:
            raise UserError(f"baseline: {factor} {label!r} is no setting of it{nearest(label, labels)}")
    there = {design.repeat(design.labels[named]) for named in design.baseline_names}
    for named, labels in design.labels.items():
        if design.repeat(labels) not in there:
            raise UserError(f"the point {named} has no baseline at the same {', '.join(design.repeats)}")


def _label_at(point, factor):
    return point[factor].label if factor in point else None


def _merged(parts):
    merged = {}
    for part in parts:
        if twice := set(merged) & set(part):
            raise UserError(f"{min(twice)!r} is set by two factors of the sweep")
        merged |= part
    return merged


def _with_point(config, point):
    made = config.copy_and_resolve_references()
    with made.unlocked():
        for level in point.values():
            for key, value in level.overrides.items():
                _set(made, key, value)
    made.lock()
    return made


def _set(config, key, value):
    *parents, last = key.split(".")
    at, is_term = config, isinstance(value, ml_collections.ConfigDict)
    value = value.copy_and_resolve_references() if is_term else value  # points share none
    for i, part in enumerate(parents):
        if part not in at or not isinstance(at[part], ml_collections.ConfigDict):
            raise UserError(f"sweep: config key {'.'.join(parents[: i + 1])!r} is unknown{nearest(part, at)}")
        at = at[part]
    if value is None and parents == ["terms"] and last in at:
        del at[last]
        return
    if last not in at:
        if parents != ["terms"] or not is_term:
            raise UserError(f"sweep: config key {key!r} is unknown{nearest(last, at)}")
        at[last] = value
        return
    if is_term:
        del at[last]  # a term in the place of another may have other hyper-parameters
    try:
        at[last] = value
    except TypeError:
        kind = at.get_type(last).__name__
        raise UserError(f"sweep: config key {key!r} must be of type {kind}; got {value!r}") from None


def _plain(value):
    """The same for JSON."""
    if isinstance(value, ml_collections.ConfigDict):
        value = value.to_dict()
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, (tuple, list)) else value


def _label(value):
    return json.dumps(value) if isinstance(value, (tuple, list)) else str(value)


def _safe(text):
    return re.sub(r"[^\w.+-]+", "_", str(text)).strip("_") or "_"
