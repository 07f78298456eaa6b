"""Paints one photograph in several styles: a run folder each, and one sheet of all.

python -m experiments.gallery --config=configs/gatys2016.py --config.content=photo.jpg \\
    --styles=example:mosaic,painting.jpg --workdir=runs/gallery
"""

import re

from absl import flags
from ml_collections import config_flags

from experiments import command
from nstjax import files, images, runs
from nstjax.images import sheet

_CONFIG = config_flags.DEFINE_config_file("config", None, "The experiment, for every style.")
_WORKDIR = command.define_path("workdir", "The folder of the run folders and of gallery.jpg.")
_PAINTINGS = [f"example:{name}" for name in images.example_names() if name not in images.PHOTOGRAPHS]
_STYLES = flags.DEFINE_list("styles", _PAINTINGS, "The style pictures; the package's by default.")
_COLUMNS = flags.DEFINE_integer("columns", 3, "Pictures in a row of the sheet.", lower_bound=1)


def main(_):
    workdir, pictures = _WORKDIR.value, []
    for i, style in enumerate(_STYLES.value):
        config = _CONFIG.value.copy_and_resolve_references()
        config.style = style
        name = re.sub(r"\W+", "_", style.removeprefix("example:"))[-80:]
        outputs = runs.run(config, workdir / f"{i:02d}_{name}", command=command.line())
        pictures.append(("", images.open_png(outputs["picture"]).convert("RGB")))
    made = sheet.flow(pictures, _COLUMNS.value)
    files.write_atomic(workdir / "gallery.jpg", sheet.encode(made, "JPEG", quality=90))
    return f"sheet: {workdir / 'gallery.jpg'}"


if __name__ == "__main__":
    command.run(main, required=["config", "workdir"])
