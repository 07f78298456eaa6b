"""Paints one photograph by every loss, of equal force: a run folder each, and one labelled sheet of all.

python -m experiments.losses_sheet --config=configs/one_loss.py --config.content=photo.jpg \\
    --config.style=painting.jpg --workdir=runs/losses
"""

import json

from absl import flags
from ml_collections import config_flags

from experiments import command
from nstjax import files, images, losses, runs
from nstjax.images import sheet

_CONFIG = config_flags.DEFINE_config_file("config", None, "configs/one_loss.py, whose loss is replaced.")
_WORKDIR = command.define_path("workdir", "The folder of the run folders and of losses.jpg.")
_LOSSES = flags.DEFINE_list("losses", [n for n in losses.__all__ if n != "Loss"], "Which, in order.")
_COLUMNS = flags.DEFINE_integer("columns", 6, "Pictures in a row of the sheet.", lower_bound=1)


def main(argv):
    workdir, pictures = _WORKDIR.value, []
    for name in _LOSSES.value:
        config = command.with_argument(argv, f"loss={name}", _CONFIG.value)
        outputs = runs.run(config, workdir / name, command=command.line())
        pictures.append((name, images.open_png(outputs["picture"]).convert("RGB")))
        first, *_, last = (workdir / name / "metrics.jsonl").read_text().splitlines()
        start, end = (json.loads(line)["total"] for line in (first, last))
        print(f"{name:24s} total {start:.4g} -> {end:.4g}", flush=True)
    made = sheet.flow(pictures, _COLUMNS.value)
    files.write_atomic(workdir / "losses.jpg", sheet.encode(made, "JPEG", quality=88))
    return f"sheet: {workdir / 'losses.jpg'}"


if __name__ == "__main__":
    command.run(main, required=["config", "workdir"])
