"""The report of a run: one HTML page with everything inside."""

import io as bytes_io
import json
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter
from PIL import Image

from nstjax import files, images
from nstjax.runs import page

_HEAD = ("step", "stage", "seconds", "evaluations")
_HELD_OUT = "validation/"  # before the names of what is measured of the pictures held out
_TOTALS = ("total", "loss")  # of a picture, of a network
_COLOURS = ("#2563a8", "#c2571a", "#3d8b4f", "#8f4aa3", "#b03a48", "#5d6b78", "#a08417", "#2a8a8a")
# Values this far below the largest are rounding: a content loss that starts from its own content.
_ROUNDING = 1e-7


def write(run: Any, folder: str | Path) -> None:
    """Writes `report.html` of a finished run, atomically.

    Args:
      run: an `ImageRun` or a `TrainingRun`, for its pictures.
      folder: path of the run folder; `config.json`, `provenance.json`, `metrics.jsonl`, `weights.json`,
        `image.png` and the last sheet of `validation/` are read.
    """
    folder = Path(folder)
    config = files.read_json(folder / "config.json")
    provenance = files.read_json(folder / "provenance.json")
    rows = files.read_json_lines(folder / "metrics.jsonl")
    weights = files.read_json(folder / "weights.json")
    text = page.render(
        "report.html",
        title=folder.name,
        facts=_facts(config, provenance, rows[-1]),
        notes=provenance["notes"],
        figures=_figures(run, folder / "image.png"),
        curves=_curves(rows),
        held_out=any(name.startswith(_HELD_OUT) for name in rows[-1]),
        losses=list(_losses(rows, weights if len(run.styles) < 2 else {})),
        config=_flat(config),
        provenance=_flat(provenance),
        command=provenance["command"],
    )
    files.write_atomic(folder / "report.html", text)


class _Figure(NamedTuple):
    role: str
    text: str
    url: str


def _facts(config, provenance, last):
    return (
        f"{last['step']} steps of {config['optimizer']}",
        *([f"{last['evaluations']} evaluations"] if "evaluations" in last else []),
        f"{last['seconds']:.0f} s on {provenance['device']}",
        f"weights: {provenance['inputs']['weights']['label']}",
        f"seed {config['seed']}",
    )


def _figures(run, result):
    """The pictures of a run, and its result as it is."""
    sources = [("content", run.content)] if run.content else []
    sources += [("style", picture) for picture in run.styles]
    width, height = images.open_png(result).size
    largest = max(width, height)
    figures = [_Figure(r, p.name, page.data_url(Image.fromarray(p.pixels), largest)) for r, p in sources]
    url = page.encoded_url(result.read_bytes(), "image/png")
    figures.append(_Figure("result", f"{width} × {height} pixels", url))
    for path in sorted(result.parent.glob("validation/*.jpg"))[-1:]:
        text = f"after {int(path.stem)} steps"
        figures.append(_Figure("validation", text, page.encoded_url(path.read_bytes(), "image/jpeg")))
    return figures


def _losses(rows, weights):
    """(term/tap, first and last raw value, their ratio, share of the total), texts, of every term and tap."""
    first, last = rows[0], rows[-1]
    total = next(last[name] for name in _TOTALS if name in last)
    for name in _terms(last):
        start, end = first.get(name), last[name]
        ratio = f"{end / start:.3g}" if start and start > _ROUNDING * end else "–"
        share = f"{weights[name] * end / total:.1%}" if name in weights and total else "–"
        yield name, "–" if start is None else f"{start:.4g}", f"{end:.4g}", ratio, share


def _terms(row):
    return [name for name in row if name not in _HEAD and not name.startswith(("gradient/", _HELD_OUT))]


def _curves(rows):
    """Loss curves as SVG: one panel per term, one line per tap, a dashed one of the pictures held out."""
    panels = {}
    for name in _terms(rows[-1]):
        panels.setdefault(name.split("/")[0], []).append(name)
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "nstjax", "font.size": 9}):
        return "".join(_panel(title, members, rows) for title, members in panels.items())


class _Plain(LogFormatter):
    """Labels as "1e5": the mathematics of matplotlib's own take longer than the curves."""

    def __call__(self, x, pos=None):
        mantissa, _, power = f"{x:.4g}".partition("e")
        label = f"{mantissa}e{int(power)}" if power else mantissa
        return label if super().__call__(x, pos) else ""


def _panel(title, members, rows):
    figure = Figure(figsize=(4, 3))
    axes = figure.add_axes((0.14, 0.15, 0.84, 0.74), xlabel="step", yscale="log")
    axes.set_title(title, parse_math=False)
    axes.yaxis.set_major_formatter(_Plain())
    axes.yaxis.set_minor_formatter(_Plain(labelOnlyBase=False))
    for name, colour in zip(members, _COLOURS * len(members), strict=False):
        for key, look in ((name, {"label": _short(name)}), (_HELD_OUT + name, {"linestyle": "--"})):
            positive = [row for row in rows if row.get(key, 0) > 0]
            steps, values = [row["step"] for row in positive], [row[key] for row in positive]
            axes.plot(steps, values, color=colour, **look)
    largest = max((row.get(name, 0) for name in members for row in rows), default=0)
    if largest > 0:
        axes.set_ylim(bottom=max(axes.get_ylim()[0], _ROUNDING * largest))
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    if title != members[0]:
        axes.legend(frameon=False, fontsize=8)
    buffer = bytes_io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()[buffer.getvalue().index("<svg") :]


def _short(name):
    """The tap of "term/tap"; of a composite one the first part, and how many more there are."""
    first, *others = name.split("/", 1)[-1].split("+")
    return f"{first} + {len(others)} more" if len(others) > 1 else "+".join([first, *others])


def _flat(value, prefix=""):
    """(dotted key, text) pairs of nested dicts."""
    pairs = []
    for key, item in value.items():
        if isinstance(item, dict):
            pairs += _flat(item, f"{prefix}{key}.") if item else [(prefix + key, "{}")]
        else:
            pairs.append((prefix + key, item if isinstance(item, str) else json.dumps(item)))
    return pairs
