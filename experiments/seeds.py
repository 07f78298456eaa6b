"""How well variants of a config give a texture the channels of its style, and how well seeds agree on them.

python -m experiments.seeds --config=configs/risser2017.py:texture --seeds=5 --workdir=runs/seeds \\
    --variants=histogram=false,histogram=true --config.style=painting.jpg

A run folder for every variant and seed, and `seeds.md`, `seeds.json`. Of the mean and the standard deviation
of every channel: the error is the root mean square over channels and seeds of the difference to the style's,
the spread that of the difference between a seed and the mean of all; both in units of the style's standard
deviations, at the picture and at taps of the config's network.
"""

import jax
import numpy as np
from absl import flags
from ml_collections import config_flags

from experiments import command
from nstjax import files, images, metrics, runs
from nstjax.errors import UserError
from nstjax.runs import stage

_CONFIG = config_flags.DEFINE_config_file("config", None, "What to run.")
_VARIANTS = flags.DEFINE_list("variants", None, "Arguments of the config, one at a time.")
_SEEDS = flags.DEFINE_integer("seeds", 5, "How many seeds, from 0.", lower_bound=2)
_WORKDIR = command.define_path("workdir", "The folder of the run folders and of the tables.")
TAPS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1")


def main(argv):
    workdir, result = _WORKDIR.value, {}
    for variant in _VARIANTS.value:
        config = command.with_argument(argv, variant, _CONFIG.value)
        gaps = []
        for seed in range(_SEEDS.value):
            config.seed = seed
            outputs = runs.run(config, workdir / f"{variant}_{seed}", command=command.line())
            gaps.append(_gaps(config, outputs["picture"]))
        gaps = jax.tree.map(lambda *values: np.stack(values), *gaps)
        result[variant] = {
            tap: {
                f"{what} of {name}": _rms(values - (values.mean(0) if what == "spread" else 0))
                for what in ("error", "spread")
                for name, values in of_tap.items()
            }
            for tap, of_tap in gaps.items()
        }
    files.write_json(workdir / "seeds.json", result)
    files.write_atomic(workdir / "seeds.md", _markdown(result))
    return _markdown(result)


def _gaps(config, picture):
    """{tap: `metrics.channel_gaps`} of a finished picture to the style, as large as in the run."""
    loaded = runs.load(config)
    last = loaded.stages[-1]
    if len(loaded.styles) != 1:
        raise UserError(f"style names {len(loaded.styles)} pictures; expected one, to compare with")
    style, *_ = stage.style_images(*loaded.styles, last.config)
    encoder = stage.make_encoder(loaded, last)
    taps = ("image", *(tap for tap in TAPS if tap in encoder.taps))
    image = images.load_picture(str(picture)).pixels
    image = images.resize(image, *image.shape[:2])
    made, wanted = (encoder.apply(encoder.params, x, taps) for x in (image, style))
    return {tap: jax.tree.map(np.asarray, metrics.channel_gaps(made[tap], wanted[tap])) for tap in taps}


def _rms(values):
    return float(np.sqrt(np.mean(np.square(values))))


def _markdown(result):
    first = next(iter(result.values()))
    lines = [f"| | | {' | '.join(first)} |", "|" + "---|" * (len(first) + 2)]
    for name in next(iter(first.values())):
        for variant, taps in result.items():
            cells = " | ".join(f"{measured[name]:.3f}" for measured in taps.values())
            lines.append(f"| {name} | `{variant}` | {cells} |")
    return "\n".join(lines)


if __name__ == "__main__":
    command.run(main, required=["config", "variants", "workdir"])
