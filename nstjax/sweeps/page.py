"""The page of a sweep: one HTML file with its pictures, numbers, style and scripts inside."""

import html
import json
import math
import re
from importlib import resources

# Joined into one module, in this order: the first reads the data, the last starts the page.
_SCRIPTS = ("base.js", "chart.js", "tables.js", "lightbox.js", "sweep.js")


def render(data):
    """The page as text, to be written as UTF-8. It opens from a file and loads nothing from elsewhere.

    Args:
      data: a dict of what JSON holds, all keys there, values None where unknown. NaN and infinity count as
        unknown. Pictures are data URLs, paths are relative to the page.
        `title`; `facts`, `notes`: lists of texts, notes the ones that a reader must see.
        `factors`: a list of `name`, `labels` and `role`, "compared" or "repeat".
        `baseline`: {compared factor: label}.
        `points`: a list of `name`, `at` ({factor: label}), `image`, `failed` (a reason), `full` and `report`
        (paths), `command`, `measures` and `cost` ({name: number}), `curves` (`step`, `evaluations`,
        `seconds`: lists; `terms`: {name: list}).
        `sources`: a list of `at` and `pictures` (`role`, `name`, `image`): what the points with these labels
        were made of.
        `cross`: `rows` (losses), `columns` (settings), `values[row][column]` (what the loss measures in
        pictures made with the setting, as a fraction of what it measures in the content), `own[column]` (the
        row of the loss that the setting minimises); or None.
        `effects`: a list of `setting`, `measure`, `kind` ("difference" or "ratio"), `baseline`, `value`,
        `effect`, `low`, `high`, `noise`, `verdict`, `why`. The noise of a ratio is a factor, 1 for none.
        `measures`: a list of `name` and `means`.

    >>> from nstjax.sweeps.page import render
    >>> render({"title": "a < b"}).count("<title>nstjax: a &lt; b</title>")
    1
    """
    pages = resources.files("nstjax.sweeps") / "pages"
    # "<" only occurs within strings of JSON; written so, none of them ends the script or opens a comment.
    text = json.dumps(_known(data), allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
    parts = {
        "title": html.escape(data["title"]),
        "style": (pages / "sweep.css").read_text("utf-8"),
        "data": text,
        "script": "\n".join((pages / name).read_text("utf-8") for name in _SCRIPTS),
    }
    template = (pages / "sweep.html").read_text("utf-8")
    return re.sub(r"\{\{(\w+)\}\}", lambda match: parts[match[1]], template)


def _known(value):
    """The same with None for numbers that JSON has not."""
    if isinstance(value, dict):
        return {key: _known(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_known(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
