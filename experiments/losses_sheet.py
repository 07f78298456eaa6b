"""Paints one photograph by every loss, of equal force: a run folder each, and one labelled sheet of all.

python -m experiments.losses_sheet --config=configs/one_loss.py:blocks=3 --config.content=photo.jpg \\
    --config.style=painting.jpg --workdir=runs/losses
"""

import io as bytes_io
import json
from pathlib import Path

from absl import flags
from ml_collections import config_flags
from PIL import Image, ImageDraw, ImageFont

from experiments import command
from nstjax import io, losses, run

_CONFIG = config_flags.DEFINE_config_file("config", None, "configs/one_loss.py, whose loss is replaced.")
_WORKDIR = flags.DEFINE_string("workdir", None, "The folder of the run folders and of losses.jpg.")
_LOSSES = flags.DEFINE_list("losses", [n for n in losses.__all__ if n != "Loss"], "Which, in order.")
_COLUMNS = flags.DEFINE_integer("columns", 6, "Pictures in a row of the sheet.", lower_bound=1)
GAP, LABEL = 6, 22


def main(argv):
    workdir, pictures = Path(_WORKDIR.value), {}
    for name in _LOSSES.value:
        config = command.with_argument(argv, f"loss={name}", _CONFIG.value)
        left = run.stylize(config, workdir / name, command=command.line())
        pictures[name] = Image.open(left["picture"]).convert("RGB")
        first, *_, last = (workdir / name / "metrics.jsonl").read_text().splitlines()
        start, end = (json.loads(line)["total"] for line in (first, last))
        print(f"{name:24s} total {start:.4g} -> {end:.4g}", flush=True)
    io.write_atomic(workdir / "losses.jpg", _sheet(pictures))
    return f"sheet: {workdir / 'losses.jpg'}"


def _sheet(pictures):
    """JPEG bytes of named pictures of one size, side by side."""
    width, height = (max(sizes) for sizes in zip(*(p.size for p in pictures.values()), strict=True))
    columns = min(_COLUMNS.value, len(pictures))
    rows = -(-len(pictures) // columns)
    size = columns * (width + GAP) - GAP, rows * (height + LABEL + GAP) - GAP
    sheet, font = Image.new("RGB", size, "white"), ImageFont.load_default(15)
    draw = ImageDraw.Draw(sheet)
    for i, (name, picture) in enumerate(pictures.items()):
        left, top = i % columns * (width + GAP), i // columns * (height + LABEL + GAP)
        draw.text((left + 2, top + 1), name, "black", font)
        sheet.paste(picture, (left, top + LABEL))
    buffer = bytes_io.BytesIO()
    sheet.save(buffer, "JPEG", quality=88)
    return buffer.getvalue()


if __name__ == "__main__":
    command.run(main, required=["config", "workdir"])
