"""Measures a slim encoder and its decoders on photographs that were not trained on, as Markdown.

python -m experiments.fidelity --config=configs/mini.py --out=runs/fidelity

Per tap, the correlation of its features with VGG-19's, through linear maps fitted on the training
photographs; the Gram losses of VGG-19 reached by optimising through it, through VGG-19 itself and through
random weights; and what is left of a picture that is encoded and decoded.
"""

import functools
import math
import os
from pathlib import Path

import jax
import numpy as np
from absl import flags
from ml_collections import config_flags

from experiments import command
from nstjax import data, distill, fidelity, io, nets, vgg, weights

_CONFIG = config_flags.DEFINE_config_file("config", None, "The recipe.", lock_config=True)
_WEIGHTS = flags.DEFINE_string("weights", "mini", "The weight set to measure.")
_DECODERS = flags.DEFINE_string("decoders", "mini", "Its decoders.")
_SHARED = os.environ.get("NSTJAX_SHARED", "../shared")
_PAINTINGS = [
    f"{_SHARED}/images/{name}.jpg" for name in ("starry_night", "the_scream", "seated_nude", "shipwreck")
]
_STYLES = flags.DEFINE_list("styles", _PAINTINGS, "Style pictures, each with a photograph of its own.")
_STEPS = flags.DEFINE_integer("steps", 200, "Steps of Adam in the optimisations.", lower_bound=1)
_OUT = flags.DEFINE_string("out", None, "Folder for fidelity.json and fidelity.md.")
SIZE = 256


def main(_):
    config = _CONFIG.value
    files = data.picture_files(config.data)
    held_out = [_square(path) for path in files if path.stem in config.held_out]
    away = {*config.held_out, *config.left_out}
    trained_on = [_square(path) for path in files if path.stem not in away]
    measured, random = weights.load(_WEIGHTS.value), weights.load("random-slim")
    real = weights.load(config.teacher.shallow)
    result = {"weights": measured.label, "sha256": measured.sha256, "correlation": {}}
    for loaded in (measured, random):
        result["correlation"][loaded.label] = _correlations(config, loaded, trained_on, held_out)
    judge = vgg.make_encoder(real.params, real.preprocessing)
    result["gram"] = {}
    for loaded in (real, measured, random):
        encoder = vgg.make_encoder(loaded.params, loaded.preprocessing)
        result["gram"][loaded.label] = [
            fidelity.gram_reached(
                encoder,
                judge,
                content,
                _square(style),
                taps=distill.SHALLOW,
                steps=_STEPS.value,
                learning_rate=0.02,
            )
            for content, style in zip(held_out, _STYLES.value, strict=False)
        ]
    decoders = weights.load_decoders(_DECODERS.value)
    encoder = vgg.make_encoder(measured.params, measured.preprocessing, padding="reflect")
    result["psnr"] = {}
    for level in nets.LEVELS:
        network = nets.Decoder(level, decoders.widths)
        decode = functools.partial(network.apply, {"params": decoders.params[f"decoder{level}"]})
        result["psnr"][f"relu{level}_1"] = fidelity.psnr(encoder, decode, f"relu{level}_1", held_out)
    Path(_OUT.value).mkdir(parents=True, exist_ok=True)
    io.write_json(Path(_OUT.value) / "fidelity.json", result)
    io.write_atomic(Path(_OUT.value) / "fidelity.md", _markdown(result, len(held_out)))
    return _markdown(result, len(held_out))


def _correlations(config, loaded, trained_on, held_out):
    encoder, result = vgg.make_encoder(loaded.params, loaded.preprocessing), {}
    for taps, teacher in (
        (distill.SHALLOW, distill.shallow_teacher(config.teacher.shallow)),
        (distill.DEEP, distill.deep_teacher(config.teacher.deep)),
    ):
        student = jax.jit(lambda image, taps=taps: encoder.apply(encoder.params, image, taps))
        teacher = jax.jit(functools.partial(teacher, padding="zero"))
        maps = distill.fit_maps(student, teacher, trained_on)
        result |= fidelity.correlations(student, teacher, maps, held_out)
    return result


def _square(name):
    return io.resize_to_cover(io.load_picture(str(name)).pixels, SIZE, SIZE)


def _markdown(result, photographs):
    taps = (*distill.SHALLOW, *distill.DEEP)
    lines = [f"Correlation with VGG-19 on {photographs} photographs:", "", f"| | {' | '.join(taps)} |"]
    lines += ["|" + "---|" * (len(taps) + 1)]
    for label, row in result["correlation"].items():
        lines += [f"| `{label}` | {' | '.join(f'{row[tap]:.3f}' for tap in taps)} |"]
    lines += [
        "",
        "| optimised through | Gram loss of VGG-19 left | of its own log-reduction |",
        "|---|---|---|",
    ]
    own = None
    for label, fractions in result["gram"].items():
        logs = -np.mean(np.log(fractions))
        own = own or logs
        lines += [f"| `{label}` | {math.exp(-logs):.2%} | {logs / own:.0%} |"]
    lines += ["", f"| | {' | '.join(result['psnr'])} |", "|" + "---|" * (len(result["psnr"]) + 1)]
    lines += [f"| PSNR in dB | {' | '.join(f'{value:.1f}' for value in result['psnr'].values())} |"]
    return "\n".join(lines)


if __name__ == "__main__":
    command.run(main, required=["config", "out"])
