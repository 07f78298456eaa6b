"""Measures a slim encoder and its decoders on the held-out photographs, as Markdown.

    python -m experiments.fidelity --config=configs/mini.py --out=runs/fidelity

Per tap, the correlation of its features with VGG-19's, through linear maps fitted on the training
photographs; the Gram losses of VGG-19 that remain after optimising through it, through VGG-19 itself and
through random weights; and the PSNR of pictures that are encoded and decoded.
"""

import functools
import os

import jax
from absl import flags
from ml_collections import config_flags

from experiments import command
from nstjax import files, images, networks, presets
from nstjax.errors import notify
from nstjax.images import read_aloud
from nstjax.networks import pretrained
from nstjax.networks.decoder import LEVELS, Decoder
from nstjax.training import distillation, fidelity, mini, recipe

_CONFIG = config_flags.DEFINE_config_file("config", None, "The recipe.", lock_config=True)
_WEIGHTS = flags.DEFINE_string("weights", "mini", "The weight set to measure.")
_DECODERS = flags.DEFINE_string("decoders", "mini", "Its decoders.")
_SHARED = os.environ.get("NSTJAX_SHARED", "../shared")
_PAINTINGS = [
    f"{_SHARED}/images/{name}.jpg" for name in ("starry_night", "the_scream", "seated_nude", "shipwreck")
]
_STYLES = flags.DEFINE_list("styles", _PAINTINGS, "Style pictures, each with a photograph of its own.")
_STEPS = flags.DEFINE_integer("steps", 200, "Steps of Adam in the optimisations.", lower_bound=1)
_MEASURES = flags.DEFINE_multi_enum(
    "measure", ["correlation", "gram", "psnr"], ["correlation", "gram", "psnr"], "Measures to take."
)
_OUT = command.define_path("out", "Folder for fidelity.json and fidelity.md.")
SIZE = 256
TAPS = distillation.SHALLOW + distillation.DEEP
# Of the Gram losses: blocks 1 to 3 alone, and the five taps of most objectives.
GRAMS = (distillation.SHALLOW, presets.STYLE_TAPS)


def main(_):
    config = _CONFIG.value
    mini.check(config)
    paths = recipe.picture_files(config)
    held_out = [_square(path) for path in paths if path.stem in config.held_out]
    skipped = {*config.held_out, *config.left_out}
    trained_on = [_square(path) for path in paths if path.stem not in skipped]
    files.make_folder(_OUT.value)
    measured, real = pretrained.load(_WEIGHTS.value), pretrained.load(config.teacher)
    for note in (*measured.notes, *real.notes):
        notify(f"note: {note}")
    slim, full = pretrained.load("random-slim"), pretrained.load("random")
    result = {"weights": measured.label, "sha256": measured.sha256, "photographs": len(held_out)}
    if "correlation" in _MEASURES.value:
        result["correlation"] = {
            each.label: _correlations(config, each, trained_on, held_out) for each in (measured, slim)
        }
    if "gram" in _MEASURES.value:
        pairs = list(zip(held_out, map(_square, _STYLES.value), strict=False))
        sets = (real, measured, full, slim)
        result["gram"] = [
            {each.label: _remaining_gram(each, real, pairs, taps) for each in sets} for taps in GRAMS
        ]
    if "psnr" in _MEASURES.value:
        result["psnr"] = _psnr(measured, pretrained.load_decoders(_DECODERS.value), held_out)
    files.write_json(_OUT.value / "fidelity.json", result)
    files.write_atomic(_OUT.value / "fidelity.md", fidelity.markdown(result))
    return fidelity.markdown(result)


def _correlations(config, loaded, trained_on, held_out):
    encoder, taps = networks.make_encoder(loaded), TAPS
    teacher = distillation.make_teacher(config.teacher, taps)
    student = jax.jit(lambda image: encoder.apply(encoder.params, image, taps))
    teacher = jax.jit(functools.partial(teacher, padding="zero"))
    maps = distillation.fit_maps(student, teacher, trained_on)
    return fidelity.correlations(student, teacher, maps, held_out)


def _remaining_gram(loaded, real, pairs, taps):
    encoder, judge = networks.make_encoder(loaded), networks.make_encoder(real)
    options = {"taps": taps, "steps": _STEPS.value, "learning_rate": 0.02}
    return [fidelity.remaining_gram(encoder, judge, content, style, **options) for content, style in pairs]


def _psnr(loaded, decoders, pictures):
    encoder, result = networks.make_encoder(loaded, padding="reflect"), {}
    for level in (level for level in LEVELS if f"decoder{level}" in decoders.params):
        network, params = Decoder(level, decoders.widths), decoders.params[f"decoder{level}"]
        decode = functools.partial(network.apply, {"params": params})
        result[f"relu{level}_1"] = fidelity.psnr(encoder, decode, f"relu{level}_1", pictures)
    return result


def _square(name):
    return images.resize_to_cover(read_aloud(name).pixels, SIZE, SIZE)


if __name__ == "__main__":
    command.run(main, required=["config", "out"])
