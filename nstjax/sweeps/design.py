"""The points of a sweep: settings of a config that differ in what is compared and are alike elsewhere."""

import csv
import dataclasses
import itertools
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import ml_collections

from nstjax.errors import UserError, nearest


class Setting(str):
    """A label of a factor, and the dotted config keys that it sets."""

    def __new__(cls, label, values):
        setting = super().__new__(cls, label)
        setting.values = values
        return setting


@dataclasses.dataclass(frozen=True)
class Sweep:
    """What a config's `get_sweep()` returns.

    Attributes:
      points: {factor: Setting} each, as the functions below make them.
      baseline: {factor: label}, what all else is compared with, one label for every factor compared.
      repeats: the factors that are not compared: seeds, pictures. Every point is compared with the baseline
        at the same repeats.
    """

    points: Sequence[Mapping[str, Setting]]
    baseline: Mapping[str, str]
    repeats: tuple[str, ...] = ()


def factor(name, settings):
    """Points along one factor.

    Args:
      name: a dotted config key, for a sequence of values of it; or any name, for what follows.
      settings: values; or {label: {dotted config key: value}}. None takes a term away, a term that is not
        there is added.
    """
    if isinstance(settings, Mapping):
        labelled = settings.items()
    else:
        labelled = [(_label(value), {name: value}) for value in settings]
    return [{name: Setting(label, values)} for label, values in labelled]


def pairs(named):
    """Points along a factor "pair": (content, style) each, "example:NAME" or a path."""

    def short(name):
        return Path(name.removeprefix("example:")).stem

    settings = {}
    for content, style in named:
        label = f"{short(content)}+{short(style)}"
        if label in settings:
            raise UserError(f"two pairs of pictures are called {label}; rename a file")
        settings[label] = {"content": content, "style": style}
    return factor("pair", settings)


def read_pairs(path):
    """[(content, style), ...] of a file with a pair a line, separated by a comma.

    Raises:
      UserError: where it cannot be read, or a line holds something else.
    """
    try:
        with open(path, encoding="utf-8", newline="") as file:
            rows = [[cell.strip() for cell in row] for row in csv.reader(file) if any(map(str.strip, row))]
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"pairs {path}: {getattr(error, 'strerror', None) or 'not a text'}") from None
    for row in rows:
        if len(row) != 2 or not all(row):
            raise UserError(f"pairs {path}: expected a content and a style a line; got {','.join(row)!r}")
    if not rows:
        raise UserError(f"pairs {path}: holds no pairs; expected a content and a style a line")
    return [tuple(row) for row in rows]


# Of the package's pictures.
_EXAMPLES = (("example:coffee", "example:brushwork"), ("example:chelsea", "example:mosaic"))


def pairs_of(arg, examples=_EXAMPLES):
    """The pairs that a config's argument asks for: of the file `pairs`, or examples; one for `smoke`."""
    return read_pairs(arg.pairs) if arg.pairs else examples[: 1 if arg.smoke else None]


def fixed(key, value):
    """One point that sets a dotted config key."""
    return factor(key, [value])


def product(*sweeps):
    """Every combination of points of several factors, the last varying fastest."""
    return [_merged(parts) for parts in itertools.product(*sweeps)]


def zipped(*sweeps):
    """The first points of all together, the second, and so on.

    Raises:
      UserError: where their numbers differ.
    """
    counts = [len(each) for each in sweeps]
    if len(set(counts)) > 1:
        raise UserError(f"zipped takes as many points of each; got {', '.join(map(str, counts))}")
    return [_merged(parts) for parts in zip(*sweeps, strict=True)]


def chained(*sweeps):
    """The points of one sweep after those of another."""
    return list(itertools.chain(*sweeps))


def name(point):
    """A name for a point that is a folder's as well: "loss=gram,seed=0"."""
    return ",".join(f"{_safe(key.split('.')[-1])}={_safe(label)}" for key, label in point.items())


def configs(config, sweep):
    """The config of every point, and what is wrong with any of them before one is run.

    Args:
      config: the ConfigDict that points set keys of; it stays as it is.
      sweep: a `Sweep`.

    Returns:
      {name of the point: ConfigDict}, in the order of the points.

    Raises:
      UserError: for an unknown key, a value of the wrong type, two points that are the same or have one
        name, a factor that is declared neither compared nor repeated, and a point without a baseline.
    """
    if not sweep.points:
        raise UserError("the sweep has no points")
    _check_pairing(sweep)
    made, seen = {}, {}
    for point in sweep.points:
        named = name(point)
        if named in made:
            raise UserError(f"two points of the sweep are {named}")
        made[named] = _with_point(config, point)
        text = json.dumps(made[named].to_dict(), default=str, sort_keys=True)
        if text in seen:
            raise UserError(f"the points {seen[text]} and {named} are the same config")
        seen[text] = named
    return made


def _check_pairing(sweep):
    compared = tuple(sweep.baseline)
    known = {*compared, *sweep.repeats}
    varied = {key for p in sweep.points for key in p if len({q.get(key) for q in sweep.points}) > 1}
    for point in sweep.points:
        if extra := (set(point) & varied) - known:
            raise UserError(
                f"the point {name(point)} sets {min(extra)!r}, which the sweep names neither in baseline nor "
                f"in repeats{nearest(min(extra), known)}"
            )
        if missing := known - set(point):
            raise UserError(f"the point {name(point)} does not set {min(missing)!r}")
    for key, label in sweep.baseline.items():
        labels = {str(point[key]) for point in sweep.points}
        if label not in labels:
            raise UserError(f"baseline: {key} {label!r} is no setting of it{nearest(label, labels)}")
    there = {repeat_of(sweep, p) for p in sweep.points if is_baseline(sweep, p)}
    for point in sweep.points:
        if repeat_of(sweep, point) not in there:
            raise UserError(f"the point {name(point)} has no baseline at the same {', '.join(sweep.repeats)}")


def plan(sweep, title, command):
    """What a report needs to know of a sweep, a dict for JSON.

    Returns:
      {"title", "command", "factors": [{"name", "labels", "role": "compared" or "repeat", "seed": whether it
      sets the seed alone}], "baseline": {factor: label}, "points": {name: {factor: label}}}: of the factors
      that are compared or repeated.
    """

    def described(key, role):
        settings = list({str(point[key]): point[key] for point in sweep.points}.values())
        seed = all(set(setting.values) == {"seed"} for setting in settings)
        return {"name": key, "labels": [str(s) for s in settings], "role": role, "seed": seed}

    factors = [described(key, "compared") for key in sweep.baseline]
    factors += [described(key, "repeat") for key in sweep.repeats]
    points = {name(p): {f["name"]: str(p[f["name"]]) for f in factors} for p in sweep.points}
    heads = {"title": title, "command": command, "factors": factors, "baseline": dict(sweep.baseline)}
    return heads | {"points": points}


def repeat_of(sweep, point):
    """Labels of the factors that are not compared: which points are a pair."""
    return tuple(str(point[key]) for key in sweep.repeats)


def is_baseline(sweep, point):
    """Whether a point is what others are compared with."""
    return all(point[key] == label for key, label in sweep.baseline.items())


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
        for setting in point.values():
            for key, value in setting.values.items():
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


def _label(value: Any):
    return json.dumps(value) if isinstance(value, (tuple, list)) else str(value)


def _safe(text):
    return re.sub(r"[^\w.+-]+", "_", str(text)).strip("_") or "_"
