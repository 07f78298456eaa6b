"""Pictures side by side, reduced to one width: for pages.

    python -m tools.sheet --pictures=a.png,b.png --labels="first,second" --columns=2 --width=400 \\
        --out=docs/sheet.jpg

Labels are repeated row after row.
"""

import itertools
import pathlib

from absl import app, flags
from PIL import Image

from nstjax import files
from nstjax.images import sheet

_PICTURES = flags.DEFINE_list("pictures", None, "Paths of pictures, row after row.", required=True)
_LABELS = flags.DEFINE_list("labels", [""], "A label for each column.")
_COLUMNS = flags.DEFINE_integer("columns", 3, "Pictures in a row.", lower_bound=1)
_WIDTH = flags.DEFINE_integer("width", 320, "Of a picture in pixels.", lower_bound=1)
_OUT = flags.DEFINE_string("out", None, "Path of a JPEG.", required=True)


def main(_):
    if len(_LABELS.value) not in (1, _COLUMNS.value):
        raise app.UsageError(f"{len(_LABELS.value)} labels; expected {_COLUMNS.value}, one for each column")
    shown = []
    for path, label in zip(_PICTURES.value, itertools.cycle(_LABELS.value), strict=False):
        picture = Image.open(path).convert("RGB")
        size = _WIDTH.value, round(picture.height * _WIDTH.value / picture.width)
        shown.append((label, picture.resize(size, Image.Resampling.LANCZOS)))
    made = sheet.flow(shown, _COLUMNS.value)
    files.write_atomic(pathlib.Path(_OUT.value), sheet.encode(made, "JPEG", quality=85))


if __name__ == "__main__":
    app.run(main)
