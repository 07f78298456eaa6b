"""The recipe of a small encoder and its decoders: from pictures and teachers to two files."""

import dataclasses
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from nstjax import checks, data, distill, fetch, io, nets, provenance, reconstruct, train, vgg, weights
from nstjax.errors import UserError
from nstjax.runfolder import RunFolder

DECODERS = {f"decoder{level}": level for level in nets.LEVELS}
PARTS = ("shallow", "deep", *DECODERS)
OPTIMIZERS = {"adam": train.adam, "muon": train.muon}
CALIBRATION_BATCHES = 12
# Filters are scaled as if they fired, or weighed, at least this share of the mean of their layer.
RAREST = 1e-3
ABOUT = {
    "what": "VGG-19 to relu5_1 with narrow layers, each scaled to a mean activation of 1; decoders for it",
    "recipe": "python -m experiments.distill --config=configs/mini.py",
    "teachers": "VGG-19 (blocks 1 to 3), the slim encoder of Wang et al. 2020 (blocks 4 and 5)",
    "licence": "MIT",
    "attribution": (
        "Trained from random weights to imitate VGG-19 of K. Simonyan and A. Zisserman, Visual Geometry "
        "Group, University of Oxford (weights CC BY 4.0), and Collaborative Distillation (MIT)"
    ),
}


@dataclasses.dataclass(frozen=True)
class Recipe:
    """What every part of a recipe is trained with.

    Attributes:
      config: a ConfigDict as `configs/mini.py` returns it.
      workdir: a folder; each part gets a run folder in it, and goes on where it was stopped.
      pictures: [H, W, 3] uint8 each, to take crops of.
      provenance: for `provenance.json`.
    """

    config: Any
    workdir: Path
    pictures: list
    provenance: dict


def load(config, workdir, command=""):
    """The `Recipe` of a config.

    Raises:
      UserError: for a value that is out of range, a picture or a teacher that cannot be read.
    """
    check(config)
    away = {*config.held_out, *config.left_out}
    names = [str(path) for path in data.picture_files(config.data) if path.stem not in away]
    names += [f"example:{name}" for name in io.example_names()]
    pictures = [io.load_picture(name) for name in names]
    inputs = {
        "pictures": {Path(p.name).name: p.sha256 for p in pictures},
        "teachers": [weights.load(config.teacher.shallow).sha256, _digest(config.teacher.deep)],
        "seed": config.seed,
    }
    described = provenance.describe(inputs, command)
    return Recipe(config, Path(workdir), [p.pixels for p in pictures], described)


def _digest(path):
    try:
        return fetch.file_hash(path, "sha256")
    except OSError as error:
        raise UserError(f"teacher {path}: cannot be read ({error.strerror})") from None


def check(config):
    """Raises UserError for a config that is no recipe, or a value that is out of range."""
    checks.keys(config, ("data", "held_out", "teacher", *PARTS), "a recipe, such as configs/mini.py")
    if not 0 <= config.texture_share < 1:
        raise UserError(f"texture_share must be in [0, 1); got {config.texture_share}")
    for name in PARTS:
        part = config[name]
        for key, unit in (("steps", 1), ("batch", 2), ("size", 16)):
            if part[key] < unit or part[key] % unit:
                raise UserError(f"{name}.{key} must be a positive multiple of {unit}; got {part[key]}")
        if part.optimizer not in OPTIMIZERS:
            raise UserError(f"{name}.optimizer must be {' or '.join(OPTIMIZERS)}; got {part.optimizer!r}")
        if not part.learning_rate > 0:
            raise UserError(f"{name}.learning_rate must be above 0; got {part.learning_rate}")
    for key in ("log_every", "checkpoint_every"):
        if config[key] < 1:
            raise UserError(f"{key} must be at least 1; got {config[key]}")
    if config.dtype not in ("float16", "float32"):
        raise UserError(f"dtype must be float16 or float32; got {config.dtype!r}")


def make(recipe):
    """Trains the encoder, blocks 1 to 3 before 4 and 5, and then its decoders.

    Returns:
      {"encoder": path, "decoders": path} of two files.

    Raises:
      UserError: for whatever a person can mend.
      NotFiniteError: where training failed.
    """
    left = {"encoder": recipe.workdir / "mini.safetensors"}
    left["decoders"] = recipe.workdir / "mini_decoders.safetensors"
    weights.save(left["encoder"], _encoder(recipe), dtype=recipe.config.dtype)
    decoders = _decoders(recipe, weights.load(str(left["encoder"])))
    weights.save_decoders(left["decoders"], decoders, dtype=recipe.config.dtype)
    return left


def _decoders(recipe, loaded):
    params = {name: _decoder(recipe, loaded, name) for name in DECODERS}
    return weights.Decoders(params, recipe.config.widths, "mini", about=ABOUT)


def _decoder(recipe, loaded, name):
    config, level = recipe.config, DECODERS[name]
    encoder = vgg.make_encoder(loaded.params, loaded.preprocessing, padding="reflect")
    loss = reconstruct.make_loss(encoder, level, config.widths, config[name].feature_weight)
    params = reconstruct.init(jax.random.key(config.seed), level, config.widths)
    return _train(recipe, name, loss, params, _batches(recipe, name))


def _encoder(recipe):
    config = recipe.config
    network = vgg.VGG19(vgg.TORCHVISION, config.widths)
    start = network.init(jax.random.key(config.seed), jnp.zeros((16, 16, 3)), ("relu5_1",))["params"]
    shallow = {conv: p for conv, p in start.items() if conv <= "conv3_1"}
    deep = {conv: p for conv, p in start.items() if conv > "conv3_1"}
    teacher = distill.shallow_teacher(config.teacher.shallow)
    shallow = _distill(recipe, "shallow", teacher, distill.SHALLOW, shallow, {})
    teacher = distill.deep_teacher(config.teacher.deep)
    deep = _distill(recipe, "deep", teacher, distill.DEEP, deep, shallow["vgg"])
    params = {**shallow["vgg"], **deep["vgg"]}
    return _normalised(
        weights.Weights(params, vgg.TORCHVISION, "mini", about=ABOUT), shallow["maps"] | deep["maps"]
    )


def _normalised(trained, maps):
    """A mean activation of 1 for every filter, as Gatys et al. have it; at taps, for the layer as a whole.

    Within a tap filters keep the weight that the teacher gives them: one that fires rarely would rule every
    squared distance there if its mean were 1.
    """
    means = weights.mean_activations(trained, io.calibration_images(), pooling="max", padding="zero")
    scales = {}
    for conv, mean in means.items():
        mean = np.maximum(mean, RAREST * mean.mean())
        tap = conv.replace("conv", "relu")
        share = np.asarray(distill.importance(maps[tap])) if tap in maps else 1 / mean
        share = np.maximum(share, RAREST * share.mean())
        scales[conv] = share / np.mean(share * mean)
    return dataclasses.replace(trained, params=weights.rescale(trained.params, scales))


def _distill(recipe, name, teacher, taps, params, frozen):
    """{"vgg", "maps"}: a student's convolutions `params` trained on top of `frozen` ones, and its maps."""
    batches = _batches(recipe, name)
    some = [jnp.asarray(batches[i]) for i in range(CALIBRATION_BATCHES)]
    student = distill.make_student(recipe.config.widths, taps)
    scales = distill.unit_scales(jax.jit(lambda images: teacher(images, "zero")), some)

    @jax.jit
    def features(images):
        return student({**frozen, **params}, images, "zero")

    @jax.jit
    def wanted(images):
        return {tap: scales[tap] * x for tap, x in teacher(images, "zero").items()}

    maps = distill.fit_maps(features, wanted, some)
    loss = distill.make_loss(student, teacher, scales, frozen)
    return _train(recipe, name, loss, {"vgg": params, "maps": maps}, batches)


def _train(recipe, name, loss, params, batches):
    config, part = recipe.config, recipe.config[name]
    own = {key: value for key, value in config.to_dict().items() if key == name or key not in PARTS}
    with RunFolder(recipe.workdir / name, own, recipe.provenance) as folder:
        return train.train(
            folder,
            loss,
            params,
            OPTIMIZERS[part.optimizer](part.learning_rate, part.steps),
            batches,
            steps=part.steps,
            log_every=config.log_every,
            checkpoint_every=config.checkpoint_every,
        )


def _batches(recipe, name):
    part = recipe.config[name]
    return data.make_batches(
        recipe.pictures,
        size=part.size,
        batch=part.batch,
        seed=recipe.config.seed,
        texture_share=recipe.config.texture_share,
    )
