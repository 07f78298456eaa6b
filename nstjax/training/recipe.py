"""Recipes of networks: the training of any part, and decoders for any encoder."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from nstjax import files, images, validate
from nstjax.errors import UserError, check_at_least, notify
from nstjax.folders import RunFolder, provenance
from nstjax.images import read_aloud
from nstjax.networks import formats, pretrained, vgg
from nstjax.networks.decoder import LEVELS
from nstjax.training import data, loop, optimizers, reconstruction

DECODERS = {f"decoder{level}": level for level in LEVELS}
OPTIMIZERS = {"adam": optimizers.adam, "muon": optimizers.muon}
# Steps, learning rates and crops. Deeper decoders need larger crops, and lower rates or their filters die.
_SCHEDULE = {
    "decoder1": (3000, 7e-3, 64),
    "decoder2": (4000, 7e-3, 64),
    "decoder3": (8000, 7e-3, 64),
    "decoder4": (4000, 4e-3, 96),
    "decoder5": (6000, 3e-3, 128),
}
# The same for an encoder as wide as VGG-19, whose decoders learn faster under Adam.
_WIDE = {
    "decoder1": (1500, 3e-3, 64),
    "decoder2": (2000, 3e-3, 64),
    "decoder3": (2500, 2e-3, 64),
    "decoder4": (2000, 1e-3, 96),
    "decoder5": (2500, 1e-3, 128),
}
# Values of the types that a recipe's keys have, and those of its parts.
_EXAMPLE = {
    "seed": 0,
    "data": "",
    "held_out": (),
    "left_out": (),
    "texture_share": 0.0,
    "dtype": "",
    "log_every": 0,
    "checkpoint_every": 0,
}
_PART = {"steps": 0, "optimizer": "", "learning_rate": 0.0, "size": 0, "batch": 0, "feature_weight": 0.0}


@dataclasses.dataclass(frozen=True)
class Recipe:
    """The inputs of training that all parts of a recipe share.

    Attributes:
      config: a ConfigDict as `configs/mini.py` and `configs/decoder.py` return it.
      workdir: a folder; each part has a run folder in it, and resumes from its last checkpoint.
      pictures: [H, W, 3] uint8 each, to take crops of.
      provenance: for `provenance.json`.
    """

    config: Any
    workdir: Path
    pictures: list
    provenance: dict


def decoder_parts(*, wide: bool = False) -> dict[str, dict]:
    """{part: settings of its training, for a ConfigDict} of the decoders of a recipe.

    Args:
      wide: whether for an encoder as wide as VGG-19, not a slim one.
    """
    return {
        name: {
            "steps": steps,
            "optimizer": "adam" if wide else "muon",
            "learning_rate": rate,
            "size": size,
            "batch": 4,
            "feature_weight": 0.1,
        }
        for name, (steps, rate, size) in (_WIDE if wide else _SCHEDULE).items()
    }


def load(config: Any, workdir: str | Path, teachers: Sequence[formats.Weights], command: str = "") -> Recipe:
    """The `Recipe` of a config that has been checked.

    Args:
      config: with `data`, folders of pictures to add to those of the package, separated by commas, or "" for
        none; `held_out` and `left_out`, names of pictures to skip, without suffixes; and `seed`.
      workdir: path of a folder.
      teachers: the networks to imitate or to invert; notes on them are printed.
      command: the command line, for provenance.

    Raises:
      UserError: for a picture that cannot be read.
    """
    found = picture_files(config)
    skipped = {*config.held_out, *config.left_out}
    names = [str(path) for path in found if path.stem not in skipped]
    names += [f"example:{name}" for name in images.example_names()]
    pictures = [read_aloud(name) for name in names]
    notes = [f"{p.name}: {note}" for p in pictures for note in p.notes]
    inputs = {
        "pictures": {Path(p.name).name: p.sha256 for p in pictures},
        "teachers": [teacher.sha256 for teacher in teachers],
        "preprocessing": [dataclasses.asdict(teacher.preprocessing) for teacher in teachers],
        "seed": config.seed,
        "precision": provenance.precision(),
    }
    of_teachers = [note for teacher in teachers for note in teacher.notes]
    for note in of_teachers:
        notify(f"note: {note}")
    described = provenance.describe(inputs, command, [*notes, *of_teachers])
    return Recipe(config, files.user_path(workdir), [p.pixels for p in pictures], described)


def picture_files(config: Any) -> list[Path]:
    """Paths of the pictures in the folders that `config.data` names, held-out ones too.

    Raises:
      UserError: for a folder that does not exist, or holds no picture.
    """
    folders = filter(None, map(str.strip, config.data.split(",")))
    return [path for folder in folders for path in images.picture_files(folder)]


def check(config: Any, parts: Sequence[str]) -> None:
    """Raises UserError for a value of a recipe, or of its parts, of another type or out of range."""
    validate.finite("", config.to_dict())
    validate.kinds(config, _EXAMPLE)
    check_at_least("seed", config.seed, 0)
    validate.at_most("seed", config.seed, validate.LARGEST_SEED)
    if not 0 <= config.texture_share < 1:
        raise UserError(f"texture_share must be in [0, 1); got {config.texture_share}")
    for name in parts:
        validate.kinds(config, {name: {}})
        part = config[name]
        validate.kinds(part, _PART, f"{name}.")
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


def load_decoders(config: Any, workdir: str | Path, command: str = "") -> tuple[Recipe, formats.Weights]:
    """The `Recipe` of a config for decoders, checked, and the weight set that it names.

    Args:
      config: a ConfigDict, as `configs/decoder.py` returns it.
      workdir: path of a folder.
      command: the command line, for provenance.

    Raises:
      UserError: if grain is not installed, for a value that is out of range, and for a picture or weights
        that cannot be read.
    """
    data.import_grain()
    validate.needs_keys(config, ("weights", "levels", "data"), "decoders, such as configs/decoder.py")
    validate.kinds(config, {"weights": "", "preprocessing": "", "levels": ()})
    levels = tuple(config.levels)
    if not levels or not set(levels) <= set(LEVELS) or len(set(levels)) < len(levels):
        raise UserError(f"levels must be some of {LEVELS}, each once; got {levels}")
    check(config, [f"decoder{level}" for level in levels])
    loaded = pretrained.load(config.weights, seed=config.seed, preprocessing=config.preprocessing)
    deepest = f"relu{max(levels)}_1"
    if deepest not in vgg.reachable_taps(loaded.params):
        end = vgg.reachable_taps(loaded.params)[-1]
        raise UserError(f"weights {config.weights}: end at {end}, before {deepest}; give fewer levels")
    return load(config, workdir, [loaded], command), loaded


def make_decoders(recipe: Recipe, loaded: formats.Weights) -> dict[str, Path]:
    """Trains the decoders of `config.levels`, one after the other.

    Returns:
      {"decoders": path}, the output, for `nstjax.networks.load_decoders`.

    Raises:
      UserError: for a run folder of another recipe, or a file that cannot be written.
      NotFiniteError: if training failed.
    """
    names = [f"decoder{level}" for level in sorted(recipe.config.levels)]
    about = {
        "what": f"decoders for the encoder {loaded.label}, on its max pooling and reflection padding",
        "encoder": loaded.sha256,
        "preprocessing": str(loaded.preprocessing),
    }
    made = decoders(recipe, loaded, names, about | {k: v for k, v in loaded.about.items() if k != "what"})
    output = recipe.workdir / "decoders.safetensors"
    formats.save_decoders(output, made, dtype=recipe.config.dtype)
    return {"decoders": output}


def decoders(
    recipe: Recipe, loaded: formats.Weights, names: Sequence[str], about: Mapping[str, str]
) -> formats.Decoders:
    """Trains decoders of a weight set, each a part of the recipe.

    Args:
      recipe: with a part for each name.
      loaded: the weight set of the encoder.
      names: some of `DECODERS`.
      about: of the result.
    """
    widths = vgg.widths(loaded.params)
    encoder = pretrained.make_encoder(loaded, padding="reflect")

    def one(name):
        level = DECODERS[name]
        crops, weight = batches(recipe, name), recipe.config[name].feature_weight
        scale = reconstruction.unit_scale(encoder, level, jnp.asarray(crops[0]))
        loss = reconstruction.make_loss(encoder, level, widths, weight, scale)
        params = reconstruction.init(jax.random.key(recipe.config.seed), level, widths)
        return reconstruction.folded(train_part(recipe, name, loss, params, crops), level, scale)

    return formats.Decoders({name: one(name) for name in names}, widths, loaded.label, about=about)


def train_part(recipe: Recipe, name: str, loss: Callable, params: Any, batches: Any) -> Any:
    """Trains one part, in a run folder of its own.

    Args:
      recipe: the recipe; `config[name]` has the part's optimiser, learning rate and steps.
      name: of the part.
      loss: `loss(params, batch) -> (scalar, {name: scalar})`.
      params: a pytree of arrays to start from.
      batches: from `batches`.

    Returns:
      The trained params.
    """
    config, part = recipe.config, recipe.config[name]
    rate = optimizers.warmup_cosine(part.learning_rate, part.steps)
    # The folder's config leaves the other parts out, so that changing them does not invalidate this one.
    others = {k for k, v in config.items() if hasattr(v, "steps") and k != name}
    own = {key: value for key, value in config.to_dict().items() if key not in {*others, "levels"}}
    with RunFolder(recipe.workdir / name, own, recipe.provenance) as folder:
        return loop.train(
            folder,
            loss,
            params,
            OPTIMIZERS[part.optimizer](rate),
            batches,
            steps=part.steps,
            log_every=config.log_every,
            checkpoint_every=config.checkpoint_every,
        ).params


def batches(recipe: Recipe, name: str) -> Any:
    """The training data of a part, a `grain.MapDataset`."""
    part = recipe.config[name]
    return data.make_batches(
        recipe.pictures,
        size=part.size,
        batch=part.batch,
        seed=recipe.config.seed,
        texture_share=recipe.config.texture_share,
    )
