"""The same part of several pictures side by side, enlarged without smoothing: for pages that show details.

    python -m tools.crops --pictures=a.png,b.png --labels="first,second" --boxes=20:10:75,130:60:75 \\
        --times=4 --out=docs/crops.jpg

A box is LEFT:TOP:SIDE in pixels; each makes a row.
"""

import pathlib

from absl import app, flags
from PIL import Image

from nstjax import files
from nstjax.images import sheet

_PICTURES = flags.DEFINE_list("pictures", None, "Paths of pictures of one size.", required=True)
_LABELS = flags.DEFINE_list("labels", None, "A label for each.", required=True)
_BOXES = flags.DEFINE_list("boxes", None, "Boxes.", required=True)
_TIMES = flags.DEFINE_integer("times", 4, "How many times as large.", lower_bound=1)
_OUT = flags.DEFINE_string("out", None, "Path of a JPEG.", required=True)


def main(_):
    shown = []
    for left, top, side in (map(int, box.split(":")) for box in _BOXES.value):
        for path, label in zip(_PICTURES.value, _LABELS.value, strict=True):
            part = Image.open(path).convert("RGB").crop((left, top, left + side, top + side))
            shown.append((label, part.resize((side * _TIMES.value,) * 2, Image.Resampling.NEAREST)))
    made = sheet.flow(shown, len(_PICTURES.value))
    files.write_atomic(pathlib.Path(_OUT.value), sheet.encode(made, "JPEG", quality=85))


if __name__ == "__main__":
    app.run(main)
