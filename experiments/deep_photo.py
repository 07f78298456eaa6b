"""Transfers the style of photographs case by case, and measures what stays of the content.

    python -m experiments.deep_photo --config=configs/deep_photo.py:masks --cases=photographs \\
        --workdir=runs/deep_photo

Each folder in --cases has pictures `content` and `style`, and may have `content_mask`, `style_mask` and the
`author_result` of another program, of any suffix. The last stage is a run of its own, `second`, which starts
from the result of those before it, `first`, so that the picture without the matting term is seen too. Masks
measure the pictures of a config without regions as well. Writes cases.jpg, a row a case, and cases.json, and
prints a table. --columns=smoothed leaves the other pictures out of cases.jpg.
"""

import jax.numpy as jnp
import numpy as np
from absl import flags
from ml_collections import config_flags
from PIL import Image

from experiments import command
from nstjax import files, images, metrics, runs
from nstjax.errors import UserError, check_choice
from nstjax.images import sheet
from nstjax.images.labels import load_labels
from nstjax.runs.regions import LabelPictures
from nstjax.sweeps.measure import region_gaps

_CONFIG = config_flags.DEFINE_config_file("config", None, "configs/deep_photo.py.")
_CASES = command.define_path("cases", "The folder of the folders of cases.")
_ONLY = flags.DEFINE_list("only", [], "Names of cases; all by default.")
_MADE = ("without the term", "with it", "smoothed", "author's")
_SHOWN = ("content", "style", *_MADE)
_COLUMNS = flags.DEFINE_list("columns", list(_SHOWN), f"Columns of cases.jpg, of {', '.join(_SHOWN)}.")
_WORKDIR = command.define_path("workdir", "The folder of the run folders, cases.jpg and cases.json.")


def main(_):
    cases = {path.name: path for path in sorted(_CASES.value.iterdir()) if path.is_dir()}
    missing = [name for name in _ONLY.value if name not in cases]
    if missing or not cases:
        raise UserError(f"cases {_CASES.value}: no folder {' or '.join(missing)} there")
    for column in _COLUMNS.value:
        check_choice("columns: column", column, _SHOWN)
    rows, shown = {}, []
    for name in _ONLY.value or cases:
        pictures, rows[name] = _case(cases[name], _WORKDIR.value / name)
        shown += pictures
        made = sheet.flow(shown, len(_COLUMNS.value))
        files.write_atomic(_WORKDIR.value / "cases.jpg", sheet.encode(made, "JPEG", quality=88))
        files.write_json(_WORKDIR.value / "cases.json", {"rows": rows})
    return _table(rows)


def _case(folder, workdir):
    """([(title, picture)] of a row of the sheet, {picture: {measure: number}}) of a case."""
    given = {path.stem: str(path) for path in images.picture_files(folder)}
    first = _CONFIG.value.copy_and_resolve_references()
    with first.unlocked():
        masks = ("content_mask", "style_mask") if first.terms.style.regions else ()
        for key in ("content", "style", *masks):
            first[key] = given.get(key, "")
    second = first.copy_and_resolve_references()
    first.stages, second.stages = first.stages[:-1], first.stages[-1:]
    first.photorealistic = ""
    outputs = runs.run(first, workdir / "first", command=command.line())
    second.init = str(outputs["picture"])
    outputs |= {"smoothed": runs.run(second, workdir / "second", command=command.line())["picture"]}

    run = runs.load(second)
    before = images.load_picture(outputs["picture"]).pixels
    subject, encoder = run.subject(before.shape[:2]), run.measuring_encoder()
    if "content_mask" in given:
        canvas, style = load_labels([given["content_mask"], given["style_mask"]])
        subject = subject._replace(labels=subject.labels or LabelPictures(canvas, (style,)))
    unfiltered = workdir / "second" / "unfiltered.png"
    paths = [outputs["picture"], *([unfiltered] if second.photorealistic else []), outputs["smoothed"]]
    made = dict(zip(_MADE, map(images.load, paths), strict=False))
    if "author_result" in given:
        author = images.load_picture(given["author_result"]).pixels
        made[_MADE[-1]] = images.resize(author, *before.shape[:2])
    numbers = {name: _measures(subject, jnp.asarray(picture), encoder) for name, picture in made.items()}
    shown = {"content": subject.start, "style": subject.styles[0].image} | made
    blank = np.ones((1, 1, 3))
    return [
        (f"{folder.name} {name}", Image.fromarray(images.to_uint8(shown.get(name, blank))))
        for name in _COLUMNS.value
    ], numbers


def _measures(subject, picture, encoder):
    found = {
        "edge_ssim": metrics.edge_ssim(picture, subject.start),
        "matting_energy": metrics.matting_energy(picture, subject.start),
    }
    style = subject.styles[0].image
    if subject.labels:
        found |= region_gaps(subject.labels, picture, style, encoder)
    else:
        found["region_colour"] = metrics.colour_gaps(picture, style)["wasserstein"]
    return {name: float(value) for name, value in found.items()}


def _table(rows):
    measures = list(dict.fromkeys(m for row in rows.values() for of in row.values() for m in of))
    lines = [f"| case | picture | {' | '.join(measures)} |", "|---|---|" + "---|" * len(measures)]
    for case, row in rows.items():
        for picture, found in row.items():
            numbers = (f"{found[m]:.3f}" if m in found else "–" for m in measures)
            lines.append(f"| {case} | {picture} | {' | '.join(numbers)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    command.run(main, required=["config", "cases", "workdir"])
