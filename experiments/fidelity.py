"""Measures a slim encoder and its decoders on photographs that were not trained on, as Markdown.

    python -m experiments.fidelity --config=configs/mini.py --out=runs/fidelity

Per tap, the correlation of its features with VGG-19's, through linear maps fitted on the training
photographs; the Gram losses of VGG-19 left after optimising through it, through VGG-19 itself and through
random weights; and what is left of a picture that is encoded and decoded.
"""

import functools
import os
from pathlib import Path

import jax
from absl import flags
from ml_collections import config_flags

from experiments import command
from nstjax import images
from nstjax.networks import pretrained, vgg
from nstjax.networks.decoder import LEVELS, Decoder
from nstjax.training import distillation, fidelity, mini

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
    "measure", ["correlation", "gram", "psnr"], ["correlation", "gram", "psnr"], "What to measure."
)
_OUT = flags.DEFINE_string("out", None, "Folder for fidelity.json and fidelity.md.")
SIZE = 256


def main(_):
    config = _CONFIG.value
    mini.check(config)
    files = images.picture_files(config.data)
    held_out = [_square(path) for path in files if path.stem in config.held_out]
    away = {*config.held_out, *config.left_out}
    trained_on = [_square(path) for path in files if path.stem not in away]
    measured, real = pretrained.load(_WEIGHTS.value), pretrained.load(config.teacher.shallow)
    slim, full = pretrained.load("random-slim"), pretrained.load("random")
    result = {"weights": measured.label, "sha256": measured.sha256, "photographs": len(held_out)}
    if "correlation" in _MEASURES.value:
        result["correlation"] = {
            each.label: _correlations(config, each, trained_on, held_out) for each in (measured, slim)
        }
    if "gram" in _MEASURES.value:
        pairs = list(zip(held_out, map(_square, _STYLES.value), strict=False))
        result["gram"] = {each.label: _gram_left(each, real, pairs) for each in (real, measured, slim, full)}
    if "psnr" in _MEASURES.value:
        result["psnr"] = _psnr(measured, pretrained.load_decoders(_DECODERS.value), held_out)
    Path(_OUT.value).mkdir(parents=True, exist_ok=True)
    files.write_json(Path(_OUT.value) / "fidelity.json", result)
    files.write_atomic(Path(_OUT.value) / "fidelity.md", fidelity.markdown(result))
    return fidelity.markdown(result)


def _correlations(config, loaded, trained_on, held_out):
    encoder, result = vgg.make_encoder(loaded.params, loaded.preprocessing), {}
    for taps, teacher in (
        (distillation.SHALLOW, distillation.shallow_teacher(config.teacher.shallow)),
        (distillation.DEEP, distillation.deep_teacher(config.teacher.deep)),
    ):
        student = jax.jit(lambda image, taps=taps: encoder.apply(encoder.params, image, taps))
        teacher = jax.jit(functools.partial(teacher, padding="zero"))
        maps = distillation.fit_maps(student, teacher, trained_on)
        result |= fidelity.correlations(student, teacher, maps, held_out)
    return result


def _gram_left(loaded, real, pairs):
    encoder, judge = (vgg.make_encoder(each.params, each.preprocessing) for each in (loaded, real))
    how = {"taps": distillation.SHALLOW, "steps": _STEPS.value, "learning_rate": 0.02}
    return [fidelity.gram_left(encoder, judge, content, style, **how) for content, style in pairs]


def _psnr(loaded, decoders, pictures):
    encoder, result = vgg.make_encoder(loaded.params, loaded.preprocessing, padding="reflect"), {}
    for level in LEVELS:
        network, params = Decoder(level, decoders.widths), decoders.params[f"decoder{level}"]
        decode = functools.partial(network.apply, {"params": params})
        result[f"relu{level}_1"] = fidelity.psnr(encoder, decode, f"relu{level}_1", pictures)
    return result


def _square(name):
    return images.resize_to_cover(images.load_picture(str(name)).pixels, SIZE, SIZE)


if __name__ == "__main__":
    command.run(main, required=["config", "out"])
