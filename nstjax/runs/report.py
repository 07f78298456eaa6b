"""The report of a run: one HTML page with everything inside."""

import base64
import html
import io as bytes_io
import json
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from nstjax import files

_HEAD = ("step", "stage", "seconds", "evaluations")
_COLOURS = ("#2563a8", "#c2571a", "#3d8b4f", "#8f4aa3", "#b03a48", "#5d6b78", "#a08417", "#2a8a8a")
# Values this far below the largest are rounding: a content loss that starts from its own content.
_ROUNDING = 1e-7
_STYLE = """
:root { color-scheme: light dark; --paper: #fbfaf7; --ink: #23262b; --faint: #6b7078; --rule: #dcd9d0; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #17191c; --ink: #e6e4de; --faint: #9aa0a8; --rule: #33373d; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 76rem; padding: 1.25rem; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; margin: 0 0 .25rem; } h2 { font-size: 1.1rem; margin: 2rem 0 .6rem; }
p.facts { color: var(--faint); margin: 0 0 1rem; }
p.note { border-left: 4px solid #c2571a; padding: .2rem .8rem; margin: .5rem 0; }
.pictures { display: grid; grid-template-columns: repeat(auto-fit, minmax(17rem, 1fr)); gap: 1rem;
  align-items: start; }
figure { margin: 0; } figure img { width: 100%; height: auto; display: block; border-radius: 4px; }
figcaption { color: var(--faint); font-size: .875rem; padding-top: .3rem; overflow-wrap: anywhere; }
.curves { background: #fff; border-radius: 4px; padding: .5rem; display: grid;
  grid-template-columns: repeat(auto-fit, minmax(17rem, 1fr)); gap: .5rem; }
.curves svg { width: 100%; height: auto; display: block; }
.wide { overflow-x: auto; }
.keys { columns: 24rem; column-gap: 2.5rem; font-size: .875rem; }
.keys div { display: flex; justify-content: space-between; gap: 1.5rem; break-inside: avoid; padding: .2rem 0;
  border-bottom: 1px solid var(--rule); }
.keys div span:last-child { text-align: right; overflow-wrap: anywhere; min-width: 0; }
table { border-collapse: collapse; font-size: .875rem; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .25rem 1rem .25rem 0; border-bottom: 1px solid var(--rule);
  vertical-align: top; } td.number, th.number { text-align: right; }
td { white-space: nowrap; }
pre { overflow-x: auto; font-size: .8125rem; }
"""


def write(run, folder):
    """Writes `report.html` of a finished run, atomically.

    Args:
      run: an `ImageRun`, for its pictures.
      folder: path of the run folder; `config.json`, `provenance.json`, `metrics.jsonl`, `weights.json`
        and `image.png` are read.
    """
    folder = Path(folder)
    config = files.read_json(folder / "config.json")
    provenance = files.read_json(folder / "provenance.json")
    rows = files.read_json_lines(folder / "metrics.jsonl")
    weights = files.read_json(folder / "weights.json")
    result = (folder / "image.png").read_bytes()
    shape = np.asarray(Image.open(folder / "image.png")).shape
    sources = [("content", run.content)] if run.content else []
    sources += [("style", picture) for picture in run.styles]
    figures = [(_thumbnail(p.pixels, max(shape)), f"{role}: {p.name}") for role, p in sources]
    figures.append((_data_url(result, "png"), f"result: {shape[1]} × {shape[0]} pixels"))
    last = rows[-1]
    facts = (
        f"{last['step']} steps of {config['optimizer']}, {last['evaluations']} evaluations, "
        f"{last['seconds']:.0f} s on {provenance['device']}; weights: "
        f"{provenance['inputs']['weights']['label']}; seed {config['seed']}"
    )
    page = [
        "<!doctype html><html lang=en><meta charset=utf-8>",
        "<meta name=viewport content='width=device-width, initial-scale=1'>",
        f"<title>nstjax: {html.escape(folder.name)}</title><style>{_STYLE}</style>",
        f"<h1>{html.escape(folder.name)}</h1><p class=facts>{html.escape(facts)}</p>",
        *(f"<p class=note>{html.escape(note)}</p>" for note in provenance["notes"]),
        "<div class=pictures>",
        *(
            f"<figure><img src='{url}' alt='{html.escape(text.split(':')[0])}'>"
            f"<figcaption>{html.escape(text)}</figcaption></figure>"
            for url, text in figures
        ),
        "</div>",
        f"<h2>Losses</h2><div class=curves>{_curves(rows)}</div>",
        "<p class=facts>Raw values, before weighting, on logarithmic axes.</p>",
        f"<div class=wide>{_losses_table(rows, weights)}</div>",
        f"<h2>Config</h2>{_keys(_flat(config))}",
        f"<h2>Provenance</h2>{_keys(_flat(provenance))}",
        f"<h2>Command</h2><pre>{html.escape(provenance['command'])}</pre></html>",
    ]
    files.write_atomic(folder / "report.html", "\n".join(page))


def _losses_table(rows, weights):
    """First and last raw value of every term and its share of the total, as an HTML table."""
    first, last = rows[0], rows[-1]
    lines = []
    for name in [k for k in last if k not in _HEAD and not k.startswith("gradient/")]:
        start, end = first.get(name), last[name]
        ratio = f"{end / start:.3g}" if start and start > _ROUNDING * end else "–"
        start = "–" if start is None else f"{start:.4g}"
        weighted = "–"
        if name in weights and last["total"]:
            weighted = f"{weights[name] * end / last['total']:.1%}"
        cells = (start, f"{end:.4g}", ratio, weighted)
        lines.append(
            f"<tr><td>{html.escape(name)}</td>" + "".join(f"<td class=number>{cell}</td>" for cell in cells)
        )
    head = "<th>term/tap<th class=number>first<th class=number>last<th class=number>last / first"
    return f"<table><tr>{head}<th class=number>share of total</tr>{''.join(lines)}</table>"


def _curves(rows):
    """Loss curves as SVG: one panel a term, one line a tap."""
    panels = {}
    for name in [k for k in rows[-1] if k not in _HEAD and not k.startswith("gradient/")]:
        panels.setdefault(name.split("/")[0], []).append(name)
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "nstjax", "font.size": 9}):
        return "".join(_panel(title, members, rows) for title, members in panels.items())


def _panel(title, members, rows):
    figure = Figure(figsize=(4, 3), layout="constrained")
    axes = figure.add_subplot(title=title, xlabel="step", yscale="log")
    for name, colour in zip(members, _COLOURS * len(members), strict=False):
        points = [(row["step"], row[name]) for row in rows if row.get(name, 0) > 0]
        steps, values = ([p[i] for p in points] for i in (0, 1))
        axes.plot(steps, values, color=colour, label=_short(name))
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


def _thumbnail(pixels, long_side):
    """Data URL of a picture at most `long_side` long, as JPEG."""
    image = Image.fromarray(pixels)
    image.thumbnail((long_side, long_side), Image.Resampling.LANCZOS)
    buffer = bytes_io.BytesIO()
    image.save(buffer, "JPEG", quality=90)
    return _data_url(buffer.getvalue(), "jpeg")


def _data_url(data, kind):
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def _flat(value, prefix=""):
    """(dotted key, text) pairs of nested dicts."""
    pairs = []
    for key, item in value.items():
        if isinstance(item, dict):
            pairs += _flat(item, f"{prefix}{key}.") if item else [(prefix + key, "{}")]
        else:
            pairs.append((prefix + key, item if isinstance(item, str) else json.dumps(item)))
    return pairs


def _keys(pairs):
    """Pairs of key and text as an HTML list in columns."""
    rows = (f"<div><span>{html.escape(k)}</span><span>{html.escape(v)}</span></div>" for k, v in pairs)
    return f"<div class=keys>{''.join(rows)}</div>"
