"""Measures how far one weight set is from another: features tap by tap, and the pictures of one config.

    python -m experiments.weight_gap --config=configs/gatys2016.py --config.weights=vgg19-8bit \\
        --reference=vgg19 --out=runs/gap

The terms keep to the taps that both sets reach. Writes gap.json and gap.md, and a run folder per set.
Features: root mean square of the difference over that of the reference, mean over pictures. Losses: every
term of each picture through the reference, as a share of its value in the picture of the reference.
"""

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags
from ml_collections import config_flags

from experiments import command
from nstjax import files, images, networks, runs
from nstjax.images import read_aloud
from nstjax.networks import vgg
from nstjax.runs import stage, terms

_CONFIG = config_flags.DEFINE_config_file("config", None, "The experiment; its weights are measured.")
_REFERENCE = flags.DEFINE_string("reference", "vgg19", "The weight set to compare with.")
_PICTURES = flags.DEFINE_list(
    "pictures", [f"example:{name}" for name in images.example_names()], "For the features."
)
_OUT = command.define_path("out", "The folder to write to.")


def main(_):
    out, config = _OUT.value, _CONFIG.value.copy_and_resolve_references()
    sets = {
        name: networks.load(name, preprocessing=config.preprocessing)
        for name in (config.weights, _REFERENCE.value)
    }
    reached = min((vgg.reachable_taps(each.params) for each in sets.values()), key=len)
    result = {"features": _features(*sets.values(), [tap for tap in reached if tap.startswith("relu")])}
    with config.unlocked():
        config.terms = terms.within(config.terms, reached)
    folders = {"measured": config.weights, "reference": _REFERENCE.value}
    for folder, name in folders.items():
        with config.unlocked():
            config.weights = name
        runs.run(config, out / folder, command.line())
    result |= _pictures(config, out, folders)
    files.write_json(out / "gap.json", result)
    files.write_atomic(out / "gap.md", _markdown(result))
    return _markdown(result)


def _features(measured, reference, taps):
    """{tap: relative root mean square difference}, pictures of 256 pixels at their long side."""
    encoders = [networks.make_encoder(each) for each in (measured, reference)]

    @jax.jit
    def gaps(params, image):
        x, y = (e.apply(p, image, tuple(taps)) for e, p in zip(encoders, params, strict=True))
        return {tap: jnp.sqrt(jnp.mean(jnp.square(x[tap] - y[tap])) / jnp.mean(y[tap] ** 2)) for tap in taps}

    params = [encoder.params for encoder in encoders]
    pictures = [read_aloud(name).pixels for name in _PICTURES.value]
    found = [gaps(params, images.resize(x, *images.fit_size(*x.shape[:2], 256))) for x in pictures]
    return {tap: float(np.mean([gap[tap] for gap in found])) for tap in taps}


def _pictures(config, out, folders):
    """The PSNR between the two pictures, and {term: share} of their losses through the reference."""
    run = runs.load(config)
    last = stage.make_stage(run, len(run.stages) - 1)
    made = {folder: images.load(str(out / folder / "image.png")) for folder in folders}
    psnr = float(-10 * np.log10(np.mean(np.square(made["measured"] - made["reference"]))))
    scores = {folder: last.objective(jnp.asarray(x), last.problem)[1] for folder, x in made.items()}
    shares = {name: float(scores["measured"][name] / value) for name, value in scores["reference"].items()}
    return {"psnr": psnr, "losses": shares}


def _markdown(result):
    features, losses = result["features"], result["losses"]
    lines = ["| tap | relative difference of features |", "|---|---|"]
    lines += [f"| {tap} | {gap:.2%} |" for tap, gap in features.items()]
    lines += ["", "| term | loss beside that of the reference's picture |", "|---|---|"]
    lines += [f"| {name} | {share:.4f} |" for name, share in losses.items()]
    return "\n".join([*lines, "", f"PSNR between the pictures: {result['psnr']:.1f} dB"])


if __name__ == "__main__":
    command.run(main, required=["config", "out"])
