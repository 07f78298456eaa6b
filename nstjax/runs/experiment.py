"""A config made into arrays and compiled parts: pictures, encoder, terms, stages."""

import dataclasses
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from nstjax import images
from nstjax.errors import UserError, nearest
from nstjax.networks import formats, pretrained, vgg
from nstjax.networks.normalise import normalise
from nstjax.optimize.loop import Plan
from nstjax.optimize.objective import (
    Objective,
    gradient_norms,
    make_targets,
    single_taps,
    term_gradient_norms,
    term_weights,
)
from nstjax.runs import memory, regions, terms, validate
from nstjax.runs.provenance import describe, inputs

MEAN_GREY = (0.485, 0.458, 0.408)
LEARNING_RATE = {"lbfgs": 1.0}
CALIBRATIONS = {
    "taps": jax.jit(gradient_norms, static_argnums=0),
    "terms": jax.jit(term_gradient_norms, static_argnums=0),
}
_CALIBRATION_NOISE = 0.1


@dataclasses.dataclass(frozen=True)
class Stage:
    """One size of the optimisation.

    Attributes:
      shape: (H, W) of the image.
      steps: to make.
      plan: static part of the loop.
      objective: what is minimised.
      learning_rate: a number.
      problem: the other arguments of the objective: (params, targets, weights, key).
    """

    shape: tuple[int, int]
    steps: int
    plan: Plan
    objective: Objective
    learning_rate: float
    problem: tuple


@dataclasses.dataclass(frozen=True)
class Experiment:
    """All that a run needs, read and checked.

    Attributes:
      config: the resolved config, a plain dict.
      weights: the weight set.
      content: `Picture` or None.
      styles: the style pictures.
      initial: the `Picture` that the image starts from, where `init` is a path.
      labels: the label pictures, where a term has regions.
      stage_configs: one ConfigDict a stage.
    """

    config: dict[str, Any]
    weights: formats.Weights
    content: images.Picture | None
    styles: tuple[images.Picture, ...]
    initial: images.Picture | None
    labels: regions.LabelPictures | None
    stage_configs: tuple[Any, ...]

    @property
    def label(self):
        """What outputs are labelled with."""
        return f"nstjax; weights: {self.weights.label}"

    @property
    def notes(self):
        """What a person should know about the inputs, a line each."""
        pictures = filter(None, (self.content, *self.styles, self.initial))
        notes = [f"{p.name}: {note}" for p in pictures for note in p.notes]
        notes += self.labels.notes if self.labels else ()
        if self.weights.label.startswith("random"):
            notes.append(f"the network has random weights ({self.weights.label}), not trained ones")
        return tuple(notes)


def load(config, once=None):
    """Reads what a config names and checks every key.

    Args:
      config: a ConfigDict.
      once: a `Cache` of experiments that may share pictures and weight sets.

    Raises:
      UserError: naming the key, what was expected and the nearest valid name.
    """
    validate.keys(config, ("content", "style", "terms", "stages"), "an image, such as configs/demo.py")
    validate.finite("", _plain(config))
    stage_configs = validate.stages(config)
    for stage in stage_configs:
        validate.values(stage)
        if stage.calibrate not in ("", *CALIBRATIONS):
            raise UserError(
                f"calibrate {stage.calibrate!r} is unknown{nearest(stage.calibrate, CALIBRATIONS)}"
            )
        terms.check_control(terms.build(stage.terms), _plan(stage))
    once = once or Cache()

    def picture(name):
        return once(("picture", name), lambda: images.load_picture(name))

    content = picture(config.content) if config.content else None
    styles = tuple(picture(name) for name in style_names(config.style))
    if config.style_weights and len(config.style_weights) != len(styles):
        raise UserError(
            f"style_weights has {len(config.style_weights)} numbers for {len(styles)} style pictures"
        )
    if not styles and not content:
        raise UserError("content and style are both empty: give at least one picture")
    initial = _load_initial(config, content, styles)
    all_terms = [term for stage in stage_configs for term in terms.build(stage.terms)]
    labels = regions.load(config, content, style_names(config.style_mask), styles, all_terms)
    seed = config.seed if config.weights in pretrained.RANDOM else 0
    depends = (config.weights, seed, config.normalise, config.pooling, config.padding)
    loaded = once(("weights", *depends), lambda: _load_weights(config))
    experiment = Experiment(_plain(config), loaded, content, styles, initial, labels, tuple(stage_configs))
    reachable = vgg.reachable_taps(experiment.weights.params)
    for stage in stage_configs:
        for name, term in stage.terms.items():
            try:
                source = f"the weights {experiment.weights.label}"
                vgg.check_taps(single_taps(term.taps), reachable, source)
            except ValueError as error:
                raise UserError(f"terms.{name}.taps: {error}") from None
            if not (content if term.reference == "content" else styles):
                raise UserError(f"terms.{name} compares with the {term.reference}, which is empty")
            if term.transform and not styles:
                raise UserError(f"terms.{name}.transform needs a style, which is empty")
        taps = single_taps(tap for term in stage.terms.values() for tap in term.taps)
        params = experiment.weights.params
        memory.check("size", canvas(experiment, stage), params, taps, backward=True)
        for picture in styles:
            for shape, _ in _style_copies(picture, stage):
                memory.check("style_size", shape, params, taps, backward=False)
        if labels and (stage.style_angles or stage.style_scales):
            raise UserError("style_angles and style_scales have no meaning for terms with regions")
    return experiment


def make_encoder(loaded, config):
    """The `Encoder` of a weight set with the pooling and padding of a config."""
    return vgg.make_encoder(
        loaded.params, loaded.preprocessing, pooling=config.pooling, padding=config.padding
    )


def make_stage(experiment, index, once=None):
    """The arrays and compiled parts of a stage; its targets are computed here.

    Args:
      experiment: an `Experiment`.
      index: of the stage.
      once: a `Cache` of experiments that may share targets.
    """
    config = experiment.stage_configs[index]
    encoder = make_encoder(experiment.weights, config)
    built = terms.build(config.terms)
    shape = canvas(experiment, config)
    references = {}
    if experiment.content:
        references["content"] = [(jnp.asarray(images.resize(experiment.content.pixels, *shape)), 1.0)]
    if experiment.styles:
        references["style"] = style_references(experiment, config)
    used = {reference: references[reference] for t in built for reference in t.references}
    per_tap = {
        name: tuple(term.weight * w for w in term.tap_weights) or term.weight
        for name, term in config.terms.items()
    }
    key = jax.random.fold_in(jax.random.key(config.seed), 1)
    masks = None
    if experiment.labels:
        style_shapes = [pixels.shape[:2] for pixels, _ in references["style"]]
        masks = regions.make_masks(experiment.labels, config, built, shape, style_shapes)
    objective = Objective(encoder.apply, built)
    read = (
        id(experiment.weights),
        id(experiment.content),
        *map(id, experiment.styles),
        id(experiment.labels),
    )
    sizes = (shape, *(tuple(_style_copies(picture, config)) for picture in experiment.styles))
    blended = (tuple(config.style_weights), config.mask_mode)
    targets = (once or Cache())(
        ("targets", objective, read, sizes, blended),
        lambda: _targets(encoder.apply, encoder.params, built, used, masks),
    )
    problem = (encoder.params, targets, term_weights(built, per_tap), key)
    return Stage(
        shape=shape,
        steps=config.steps,
        plan=_plan(config),
        objective=objective,
        learning_rate=_learning_rate(config),
        problem=_calibrated(experiment, config, objective, problem) if config.calibrate else problem,
    )


_targets = jax.jit(make_targets, static_argnames=("apply", "terms"))


def _calibrated(experiment, config, objective, problem):
    """A problem whose weights are divided by gradient norms at a fixed picture.

    Raises:
      UserError: for a term that has no gradient there.
    """
    params, targets, weights, key = problem
    picture = experiment.content or experiment.styles[0]
    shape = canvas(experiment, config)
    noise = _CALIBRATION_NOISE * jax.random.normal(jax.random.key(0), (*shape, 3))
    image = jnp.asarray(images.resize(picture.pixels, *shape)) + noise
    profile = {name: term.tap_weights or 1.0 for name, term in config.terms.items()}
    profile = term_weights(objective.terms, profile)
    measure = CALIBRATIONS[config.calibrate]
    norms = measure(objective, image, params, targets, profile, key)
    for name, norm in norms.items():
        if not 0 < norm < jnp.inf:
            raise UserError(
                f"calibrate: the gradient of {name} at the noisy picture has norm {norm}; expected one "
                "above 0, to divide by"
            )
    scaled = {
        name: {tap: w / norms.get(f"{name}/{tap}", norms.get(name)) for tap, w in taps.items()}
        for name, taps in pretrained.items()
    }
    return params, targets, scaled, key


def initial_image(experiment, config):
    """The image [H, W, 3] that the first stage starts from."""
    shape = canvas(experiment, config)
    if config.init == "noise":
        noise = jax.random.normal(jax.random.key(config.seed), (*shape, 3))
        return jnp.clip(jnp.asarray(MEAN_GREY) + config.noise_scale * noise, 0, 1)
    if config.init == "content":
        return jnp.asarray(images.resize(experiment.content.pixels, *shape))
    picture = experiment.styles[0] if config.init == "style" else experiment.initial
    return jnp.asarray(images.resize_to_cover(picture.pixels, *shape))


def _load_initial(config, content, styles):
    """The `Picture` that `init` names; None where it is one of the others, or noise."""
    if config.init in ("content", "style"):
        if not (content if config.init == "content" else styles):
            raise UserError(f"init is {config.init!r}, but {config.init} is empty; give another init")
        return None
    if config.init == "noise":
        return None
    try:
        return images.load_picture(config.init)
    except UserError as error:
        hint = nearest(config.init, ("content", "style", "noise"))
        raise UserError(f"init: {error}{hint}" if "did you mean" in hint else f"init: {error}") from None


def canvas(experiment, config):
    """(H, W) of the result: the aspect ratio of the content, else its mask, else the first style."""
    mask = experiment.labels.canvas if experiment.labels else None
    picture = experiment.content or mask or experiment.styles[0]
    return images.fit_size(*picture.pixels.shape[:2], config.size)


def provenance(experiment, command=""):
    """What `provenance.json` holds of an experiment.

    Args:
      experiment: an `Experiment`.
      command: the command line, for people.
    """
    further = {"init": experiment.initial} if experiment.initial else {}
    made_of = inputs(experiment, experiment.weights, experiment.config["seed"], further)
    return describe(made_of, command, experiment.notes)


def _plan(config):
    try:
        return Plan(
            optimizer=config.optimizer,
            optimizer_args=tuple(sorted(config.optimizer_args.items())),
            schedule=config.schedule,
            schedule_args=tuple(sorted(config.schedule_args.items())),
            project=config.project,
            ema=config.ema,
            log_every=config.log_every,
            log_gradients=config.log_gradients,
        )
    except ValueError as error:
        raise UserError(str(error)) from None


def _learning_rate(config):
    if config.learning_rate is None:
        return LEARNING_RATE.get(config.optimizer, 0.02)
    return config.learning_rate


def _load_weights(config):
    loaded = pretrained.load(config.weights, seed=config.seed)
    if not config.normalise:
        return loaded
    images = images.calibration_images()
    return normalise(loaded, images, pooling=config.pooling, padding=config.padding)


def style_names(style):
    if Path(style).expanduser().is_file():
        return (style,)
    return tuple(filter(None, style.split(",")))


def style_references(experiment, config):
    """[(image [h, w, 3], blend weight), ...] of the styles and their copies, as `make_targets` takes them."""
    blend = config.style_weights or (1.0,) * len(experiment.styles)
    return [
        (jnp.asarray(pixels), float(weight))
        for picture, weight in zip(experiment.styles, blend, strict=True)
        for pixels in style_pictures(picture, config)
    ]


def style_pictures(picture, config):
    """The copies [h, w, 3] float32 of a style that targets are made of, as large as they are then."""
    copies = _style_copies(picture, config)
    return [images.resize(images.rotate(picture.pixels, angle), *shape) for shape, angle in copies]


def _style_copies(picture, config):
    """((h, w), angle in degrees) of each copy of a style."""
    size = config.style_size or config.size
    return [
        (images.fit_size(*picture.pixels.shape[:2], size * scale), angle)
        for scale in config.style_scales or (1,)
        for angle in config.style_angles or (0,)
    ]


def _plain(config):
    """Nested dicts, lists and numbers of a ConfigDict."""
    plain = config.copy_and_resolve_references().to_dict()
    return plain | {"stages": [s.to_dict() if hasattr(s, "to_dict") else s for s in config.stages]}
