"""The stages of an optimised picture: specifications from a config, and the arrays of each."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from nstjax import images, networks, transforms, validate
from nstjax.config import default_config
from nstjax.errors import UserError, check_choice
from nstjax.optimize import (
    Objective,
    Plan,
    Problem,
    Reference,
    Term,
    averaged_taps,
    calibrate,
    make_method,
    make_targets,
    single_taps,
    term_weights,
)
from nstjax.optimize.calibrate import CALIBRATIONS
from nstjax.runs import memory, pictures, regions, terms
from nstjax.runs.cache import Cache

MEAN_GREY = (0.485, 0.458, 0.408)
_OF_THE_RUN = (
    *("method", "content", "style", "content_mask", "style_mask", "mask_labels", "merge_labels"),
    *("weights", "preprocessing", "beyond_weights", "normalise"),
    *("precision", "row_devices", "seed", "init", "max_evaluations", "max_seconds", "stages"),
    *("photorealistic", "photorealistic_args"),
)
_CALIBRATION_NOISE = 0.1
# Windows of so many pixels are used where the features might take more memory than there is: so many times
# what `memory.needed` counts at the most.
_TILE, _TIMES = 512, 3.25


@dataclasses.dataclass(frozen=True)
class StageSpec:
    """One size of the optimisation, as a config says it.

    Attributes:
      config: a ConfigDict, that of the run with the keys of the stage over it.
      terms: the terms of the objective.
      plan: the static part of the loop.
      notes: lines on the terms, for people.
    """

    config: Any
    terms: tuple[Term, ...]
    plan: Plan
    notes: tuple[str, ...] = ()

    @property
    def taps(self) -> tuple[str, ...]:
        """The taps that the terms read, each once."""
        return single_taps(tap for term in self.terms for tap in term.taps)

    @property
    def kept(self) -> tuple[str, ...]:
        """Those of which more than averages over windows is read."""
        taps = [tap for term in self.terms for tap in term.taps]
        return single_taps(tap for tap in taps if tap not in averaged_taps(self.terms))

    @property
    def learning_rate(self) -> float:
        """As given, or the usual of the method."""
        given = self.config.learning_rate
        return self.plan.method.learning_rate if given is None else given


@dataclasses.dataclass(frozen=True)
class Stage:
    """One size of the optimisation, with its arrays.

    Attributes:
      spec: a `StageSpec`.
      shape: (H, W) of the image.
      objective: an `Objective`.
      problem: its other argument, a `Problem`.
    """

    spec: StageSpec
    shape: tuple[int, int]
    objective: Objective
    problem: Problem


def make_specs(config) -> tuple[StageSpec, ...]:
    """The `StageSpec`s of a ConfigDict, every value checked.

    Raises:
      UserError: naming the key, the value expected and the nearest valid name.
    """
    return tuple(_make_spec(stage) for stage in _merged(config))


def _merged(config):
    """One ConfigDict per stage: the config with the stage's keys over it."""
    if not config.stages:
        return [config]
    merged_stages = []
    for i, stage in enumerate(config.stages):
        if not hasattr(stage, "items"):
            raise UserError(f"stages[{i}] must be a dict of config keys; got {stage!r}")
        validate.known_keys(f"stages[{i}]", stage, config)
        like = {key: example for key, example in default_config().items() if key in stage}
        validate.kinds(stage, like, f"stages[{i}].")
        merged = config.copy_and_resolve_references()
        try:
            merged.update(stage)
        except (KeyError, AttributeError, TypeError) as error:
            raise UserError(f"stages[{i}]: {str(error).splitlines()[0]}") from None
        for key in stage:
            if key in _OF_THE_RUN:
                raise UserError(f"stages[{i}].{key} cannot differ between stages")
        merged_stages.append(merged)
    return merged_stages


def _make_spec(config):
    validate.stage_values(config)
    if config.calibrate:
        check_choice("calibrate", config.calibrate, CALIBRATIONS)
    built = terms.build(config.terms)
    try:
        method = make_method(
            config.optimizer,
            optimizer_args=tuple(sorted(config.optimizer_args.items())),
            schedule=config.schedule,
            schedule_args=tuple(sorted(config.schedule_args.items())),
            project=config.project,
        )
    except ValueError as error:
        raise UserError(str(error)) from None
    terms.check_control(built, method)
    devices = config.row_devices or jax.local_device_count()
    plan = Plan(method, config.ema, config.log_every, config.log_gradients, devices)
    return StageSpec(config, built, plan)


def within(spec, reachable) -> StageSpec:
    """The `StageSpec` with terms at reachable taps alone, as `nstjax.runs.terms.within` makes them."""
    config = spec.config.copy_and_resolve_references()
    with config.unlocked():
        config.terms = terms.within(config.terms, reachable)
    notes = tuple(
        f"terms.{name} reads {', '.join(term.taps)}: the weights do not reach all of its taps"
        for name, term in config.terms.items()
        if term.taps != tuple(spec.config.terms[name].taps)
    )
    return dataclasses.replace(spec, config=config, terms=terms.build(config.terms), notes=notes)


def make_stage(run, index, cache=None) -> Stage:
    """A stage of a run with its arrays; its targets are computed here.

    Args:
      run: an `ImageRun`.
      index: of the stage.
      cache: a `Cache` of runs that may share targets.

    Raises:
      UserError: for a mask without a position at a tap, and a term without a gradient to calibrate by.
    """
    spec = run.stages[index]
    config, encoder, shape = spec.config, make_encoder(run, spec), run.canvas(spec.config.size)
    objective = Objective(encoder.apply, spec.terms)
    sizes = (shape, *(tuple(style_copies(picture, config)) for picture in run.styles))
    masks = config.mask_mode, config.mask_labels, config.merge_labels
    key = ("targets", objective, run.network.cache_key, run.pictures_key, sizes, config.style_weights, masks)
    targets = (cache or Cache())(key, lambda: _make_targets(run, spec, encoder, shape))
    key = jax.random.fold_in(jax.random.key(config.seed), 1)
    problem = Problem(encoder.params, targets, term_weights(spec.terms, terms.per_tap(config.terms)), key)
    if config.calibrate:
        problem = _calibrated(run, spec, objective, problem, shape)
    return Stage(spec, shape, objective, problem)


def make_encoder(run, spec, dtype=""):
    """The `Encoder` of a run with the options of a stage, in windows where it has to be.

    Args:
      run: an `ImageRun`.
      spec: the `StageSpec` of the stage.
      dtype: of features; "" for that of the stage's precision.
    """
    options = {key: spec.config[key] for key in ("pooling", "padding", "pooling_size", "conv")}
    options |= {"dtype": dtype or dtype_of(spec.config.precision), "tile": tile(run, spec)}
    options |= {"row_devices": spec.plan.row_devices}
    return networks.make_encoder(run.network, **options)


def dtype_of(precision):
    """The dtype of features by the precision of a config."""
    return "bfloat16" if precision == "bfloat16" else "float32"


def tile(run, spec):
    """The side of the windows of a stage, 0 for none."""
    if spec.config.tile or spec.plan.row_devices > 1:
        return spec.config.tile
    needed = memory.needed(run.canvas(spec.config.size), run.network.params, spec.taps, backward=True)
    return _TILE if needed > memory.available() / _TIMES else 0


def tile_notes(run, spec):
    """A line where a picture is in windows by itself."""
    if spec.config.tile or not tile(run, spec):
        return ()
    h, w = run.canvas(spec.config.size)
    return (f"features of {w} x {h} pixels are made in windows of {_TILE}, for lack of memory",)


_targets = jax.jit(make_targets, static_argnames=("apply", "terms"))


def _make_targets(run, spec, encoder, shape):
    used = {name for term in spec.terms for name in term.references}
    references, masks = {}, None
    if "content" in used:
        references["content"] = [Reference(jnp.asarray(images.resize(run.content.pixels, *shape)))]
    if "style" in used:
        references["style"] = style_references(run, spec)
    if run.labels:
        shapes = [reference.image.shape[:2] for reference in style_references(run, spec)]
        masks, of_styles = regions.make_masks(run.labels, spec.terms, spec.config, shape, shapes)
        given = {"content": [masks], "style": of_styles}
        references = {
            name: [each._replace(masks=own) for each, own in zip(several, given[name], strict=True)]
            for name, several in references.items()
        }
    return _targets(encoder.apply, encoder.params, spec.terms, references, masks)


def _calibrated(run, spec, objective, problem, shape):
    """The problem with weights divided by gradient norms at a fixed picture under noise."""
    picture, config = run.content or run.styles[0], spec.config
    noise = _CALIBRATION_NOISE * jax.random.normal(jax.random.key(0), (*shape, 3))
    image = jnp.asarray(images.resize(picture.pixels, *shape)) + noise
    profile = {name: term.tap_weights or 1.0 for name, term in config.terms.items()}
    profile = term_weights(objective.terms, profile)
    try:
        return calibrate(objective, image, problem, profile, config.calibrate)
    except ValueError as error:
        raise UserError(f"calibrate: {error}") from None


def initial_image(run, spec):
    """The image [H, W, 3] that the first stage starts from."""
    config, shape = spec.config, run.canvas(spec.config.size)
    if config.init == "noise":
        noise = jax.random.normal(jax.random.key(config.seed), (*shape, 3))
        return jnp.clip(jnp.asarray(MEAN_GREY) + config.noise_scale * noise, 0, 1)
    if config.init == "content":
        return jnp.asarray(images.resize(run.content.pixels, *shape))
    if config.init == "recoloured":
        return _recoloured(run, spec, shape)
    picture = run.styles[0] if config.init == "style" else run.initial
    return jnp.asarray(images.resize_to_cover(picture.pixels, *shape))


def _recoloured(run, spec, shape):
    """The content in the colours of the style, region by region where there are label pictures."""
    content = jnp.asarray(images.resize(run.content.pixels, *shape))
    styles, change = style_references(run, spec), transforms.colour(method="optimal_transport")
    if not run.labels:
        seen = [change.style(style.image) for style in styles]
        return change.apply(content, change.blend(seen, _shares(styles)))
    found = content
    for label, mask in run.labels.canvas.masks.items():
        pairs = [pair for pair in zip(styles, run.labels.styles, strict=True) if label in pair[1].masks]
        if pairs:
            seen = [
                change.style(
                    style.image, where=jax.image.resize(labels.masks[label], style.image.shape[:2], "linear")
                )
                for style, labels in pairs
            ]
            where = jax.image.resize(mask, shape, "linear")
            own = change.apply(content, change.blend(seen, _shares([s for s, _ in pairs])), where=where)
            found = found + where[..., None] * (own - content)
    return jnp.clip(found, 0, 1)


def _shares(styles):
    total = sum(style.weight for style in styles)
    return [style.weight / total for style in styles]


def style_references(run, spec) -> list[Reference]:
    """The `Reference`s of the styles and their copies."""
    config = spec.config
    return [
        Reference(jnp.asarray(pixels), float(weight))
        for picture, weight in zip(run.styles, pictures.blend_weights(config, run.styles), strict=True)
        for pixels in style_images(picture, config)
    ]


def style_images(picture, config):
    """The copies [h, w, 3] float32 of a style that targets are made of, as large as they are then."""
    copies = style_copies(picture, config)
    return [images.resize(images.rotate(picture.pixels, angle), *shape) for shape, angle in copies]


def style_copies(picture, config):
    """((h, w), angle in degrees) of each copy of a style."""
    size = config.style_size or config.size
    return [
        (images.fit_size(*picture.pixels.shape[:2], size * scale), angle)
        for scale in config.style_scales or (1,)
        for angle in config.style_angles or (0,)
    ]
