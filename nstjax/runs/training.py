"""A network that is trained to stylize: its config made into inputs, read and checked."""

import dataclasses
import functools
import hashlib
import os
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import optax

from nstjax import images, networks, validate
from nstjax.config import default_training_config
from nstjax.errors import UserError, check_at_least, check_choice, nearest
from nstjax.feedforward import data
from nstjax.networks import stylizers, transformer
from nstjax.networks.stylizers import Stylizer
from nstjax.networks.transformer import Transformer
from nstjax.networks.vgg import PADDINGS, POOLINGS, PREPROCESSINGS, reachable_taps
from nstjax.optimize import OPTIMIZERS, Reference, make_method, make_targets
from nstjax.optimize.calibrate import CALIBRATIONS
from nstjax.runs import abstract, image, network, pictures, report, stage, terms
from nstjax.runs.base import Run, Subject
from nstjax.runs.cache import Cache
from nstjax.training import optimizers
from nstjax.training.data import import_grain
from nstjax.training.pictures import find

NEEDED = ("content", "style", "terms", "network", "data")
EXAMPLE = "a network, such as configs/johnson2016.py"


@dataclasses.dataclass(frozen=True)
class TrainingRun(Run):
    """A `Run` that trains a network and paints a picture with it.

    Attributes:
      settings: the config, a ConfigDict as `configs/johnson2016.py` returns it.
      terms: of the objective.
      transformer: the `Transformer` to train.
      paths: of the pictures to train on.
      held_out: of the pictures to look at.
      extends: the `Stylizer` that styles are added to, or None.
    """

    settings: Any
    terms: tuple
    transformer: Transformer
    paths: tuple[str, ...]
    held_out: tuple[str, ...]
    extends: Stylizer | None = None

    @property
    def strengths(self):
        """{term: (least, largest)} of the factors of weights that the network takes."""
        given = self.extends.strengths if self.extends else self.settings.strengths
        return {name: tuple(map(float, bounds)) for name, bounds in given.items()}

    @property
    def style_names(self):
        """The names of the network's styles: those that it had, then those that are trained."""
        names = tuple(Path(p.name.removeprefix("example:")).stem for p in self.styles)
        return (*(self.extends.styles if self.extends else ()), *names)

    @property
    def inputs(self):
        extends = {"extends": self.extends.sha256} if self.extends else {}
        data = {"pictures": len(self.paths), "sha256": _digest(self.paths)}
        return super().inputs | {"data": data, **extends}

    @property
    def structure(self):
        return repr((sorted(self.config.items()), self.pictures_key))

    @property
    def room(self):
        return 1

    @staticmethod
    def run_batch(runs, folder, *, warm_up=False):
        return [network.train(run, folder) for run in runs]

    @property
    def encoder(self):
        """The `Encoder` that outputs are scored by."""
        config = self.settings
        return networks.make_encoder(
            self.network,
            pooling=config.pooling,
            padding=config.padding,
            conv=config.conv,
            dtype=stage.dtype_of(config.precision),
        )

    @property
    def optimizer(self):
        """A gradient transformation of optax."""
        return _make_optimizer(self.settings)

    @property
    def style_shape(self):
        """From a style picture to its (H, W): a square where the styles' targets need one shape."""
        return _style_shape(self)

    def measuring_encoder(self):
        return self.encoder

    def subject(self, shape):
        start = jnp.asarray(images.resize(self.content.pixels, *shape))
        weights = pictures.blend_weights(self.settings, self.styles)
        shape_of = self.style_shape
        styles = [
            Reference(jnp.asarray(images.resize(p.pixels, *shape_of(p))), float(weight))
            for p, weight in zip(self.styles, weights, strict=True)
        ]
        return Subject(start, True, styles, (self.pictures_key, shape, self.settings.style_weights))

    def write_report(self, folder: Path):
        outputs = {"network": folder / "network.safetensors", "report": folder / "report.html"}
        if not outputs["report"].exists():
            report.write(self, folder)
        return outputs


def load(config, cache=None) -> TrainingRun:
    """The `TrainingRun` of a config.

    Args:
      config: a ConfigDict.
      cache: a `Cache` of runs that may share pictures and weight sets.

    Raises:
      UserError: naming the key, the value expected and the nearest valid name.
    """
    import_grain()
    validate.needs_keys(config, NEEDED, EXAMPLE)
    config = validate.completed(config, default_training_config())
    validate.kinds(config, default_training_config())
    plain, cache = config.copy_and_resolve_references().to_dict(), cache or Cache()
    validate.finite("", plain)
    _check_values(config)
    built = terms.build(config.terms)
    content = pictures.read(config.content, cache)
    styles = pictures.read_styles(config, cache)
    if not styles:
        raise UserError("style is empty; expected a path or example:NAME")
    loaded = image.read_network(config, cache)
    if config.beyond_weights == "drop":
        config = config.copy_and_resolve_references()
        with config.unlocked():
            config.terms = terms.within(config.terms, reachable_taps(loaded.params))
        built = terms.build(config.terms)
    paths, held_out = find(config.data, config.held_out)
    extends = stylizers.load(config.extends) if config.extends else None
    made = _extended(config, extends, len(styles)) if extends else _transformer(config, len(styles))
    pieces = (config, built, made, tuple(paths), tuple(held_out), extends)
    run = TrainingRun(plain, loaded, content, styles, None, *pieces)
    for name in run.style_names:
        if run.style_names.count(name) > 1:
            raise UserError(f"style: two styles are called {name}; rename a file")
    image.check_taps(run, built)
    _check_built(run)
    return run


def _digest(paths):
    """SHA-256 of the names and sizes of files."""
    known = [(os.path.basename(p), 0 if p.startswith("example:") else os.path.getsize(p)) for p in paths]
    return hashlib.sha256(repr(known).encode()).hexdigest()


def _check_values(config):
    """Raises UserError for a value out of its range, or one that is not among the valid names."""
    least = {"size": 1, "style_size": 0, "seed": 0, "crop": 32, "batch": 1, "steps": 1, "accumulate": 1}
    least |= {"log_every": 1, "checkpoint_every": 1, "validate_every": 1, "learning_rate": 0}
    for key, value in least.items():
        check_at_least(key, config[key], value)
    validate.at_most("seed", config.seed, validate.LARGEST_SEED)
    if config.crop % 4:
        raise UserError(f"crop must be a multiple of 4; got {config.crop}")
    if config.accumulate > config.steps:
        raise UserError(f"accumulate must be at most steps, {config.steps}; got {config.accumulate}")
    if not 0 <= config.ema < 1:
        raise UserError(f"ema must be in [0, 1); got {config.ema}")
    if config.content_mask or config.style_mask or any(term.get("regions") for term in config.terms.values()):
        raise UserError("a network is trained without masks: content_mask, style_mask and regions must be ''")
    choices = {"augmentation": data.AUGMENTATIONS, "dtype": ("float32", "float16"), "pooling": POOLINGS}
    choices |= {"padding": tuple(PADDINGS), "preprocessing": ("", *PREPROCESSINGS)}
    choices |= {"beyond_weights": ("refuse", "drop"), "network": tuple(transformer.PRESETS)}
    for key, valid in choices.items():
        check_choice(key, config[key], valid)
    validate.convolutions(config)
    if config.calibrate:
        check_choice("calibrate", config.calibrate, CALIBRATIONS)
    if not config.content:
        raise UserError("content is empty; expected the picture to paint at the end, a path or example:NAME")
    for name, bounds in config.strengths.items():
        check_choice("strengths: term", name, tuple(config.terms))
        validate.numbers(f"strengths.{name}", bounds)
        if len(bounds) != 2 or not 0 < bounds[0] < bounds[1]:
            raise UserError(f"strengths.{name} must be (least, largest), above 0; got {tuple(bounds)}")
    _make_optimizer(config)


def _make_optimizer(config):
    """The gradient transformation of a config."""
    scheduled = {"schedule": config.schedule, "schedule_args": tuple(sorted(config.schedule_args.items()))}
    given = tuple(sorted(config.optimizer_args.items()))
    try:
        if config.optimizer == "muon":
            if given:
                raise UserError(f"optimizer muon takes no optimizer_args; got {dict(given)}")
            plain = optimizers.muon(make_method(**scheduled).scheduled(config.learning_rate))
        else:
            check_choice("optimizer", config.optimizer, (*OPTIMIZERS, "muon"))
            method = make_method(config.optimizer, optimizer_args=given, **scheduled)
            plain = method.transformation(config.learning_rate)
            if method.line_search:
                raise UserError(f"optimizer {config.optimizer} searches along lines; expected adam or muon")
    except ValueError as error:
        raise UserError(str(error)) from None
    return plain if config.accumulate == 1 else optax.MultiSteps(plain, config.accumulate)


def _extended(config, extends, styles):
    """The `Transformer` of a trained network with so many styles more."""
    if extends.network.norm != "instance":
        raise UserError(
            f"extends {config.extends}: its norm is {extends.network.norm}, whose statistics styles share; "
            "expected a network with instance norm"
        )
    for name in extends.strengths:
        check_choice(
            f"extends {config.extends}: it takes the strength of the term", name, tuple(config.terms)
        )
    return extends.network.clone(styles=extends.network.styles + styles)


def _transformer(config, styles):
    """The `Transformer` of a config, for so many styles."""
    preset, given = transformer.PRESETS[config.network], dict(config.network_args)
    valid = {"widths": (), "blocks": 0, "amplitude": 0.0, **dict.fromkeys(stylizers.CHOICES, "")}
    for key in given:
        if key not in valid:
            raise UserError(f"network_args.{key} is unknown{nearest(key, valid)}")
    validate.kinds(config.network_args, {key: valid[key] for key in given}, "network_args.")
    for key, names in stylizers.CHOICES.items():
        check_choice(f"network_args.{key}", given.get(key, getattr(preset, key)), names)
    if "widths" in given:
        given["widths"] = tuple(given["widths"])
        if len(given["widths"]) != 3 or not all(type(n) is int and n > 0 for n in given["widths"]):
            raise UserError(f"network_args.widths must be three numbers of channels; got {given['widths']}")
    check_at_least("network_args.blocks", given.get("blocks", preset.blocks), 0)
    return preset.clone(**given, styles=styles, strengths=len(config.strengths))


def _style_shape(run):
    size = run.settings.style_size or run.settings.crop
    shapes = {images.fit_size(*picture.pixels.shape[:2], size) for picture in run.styles}
    encoder = run.encoder

    def targets(shape):
        of_style = tuple(term for term in run.terms if term.references == ("style",))
        given = {"style": [Reference(jax.ShapeDtypeStruct((*shape, 3), jnp.float32))]}
        made = functools.partial(make_targets, encoder.apply, encoder.params, of_style)
        return jax.tree.map(lambda leaf: leaf.shape, jax.eval_shape(made, given))

    both = any(len(term.references) > 1 for term in run.terms)
    if len(shapes) > 1 and (both or len({str(targets(shape)) for shape in shapes}) > 1):
        return lambda picture: (size, size)
    return lambda picture: images.fit_size(*picture.pixels.shape[:2], size)


def _check_built(run):
    """Raises UserError for a term that could not make a step."""
    size = run.settings.crop
    shape = run.style_shape
    references = {"content": ((size, size),), "style": tuple(shape(picture) for picture in run.styles)}
    spec = stage.StageSpec(run.settings, run.terms, None)
    abstract.check_terms(spec, run.encoder, (size, size), references)
