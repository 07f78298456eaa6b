"""A picture by universal style transfer: its config made into pictures and levels, and run."""

import dataclasses
import json
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from nstjax import images, networks, transforms, universal, validate
from nstjax.config import default_transfer_config
from nstjax.errors import UserError, check_at_least, check_choice, notify
from nstjax.networks.decoder import LEVELS
from nstjax.networks.masks import MODES
from nstjax.networks.vgg import PREPROCESSINGS
from nstjax.optimize import Reference
from nstjax.runs import filters, memory, pictures, regions, terms
from nstjax.runs.base import Outcome, Run, Subject
from nstjax.runs.cache import Cache
from nstjax.universal import levels, tiled

NEEDED = ("content", "style", "levels", "alpha", "transform", "passes")
EXAMPLE = "a transfer, such as configs/wct.py"
_INITS = ("content", "noise")
# Keys of a config that only decide about numbers, or about pictures, of which the sizes count.
_NUMBERS = ("seed", "init", "content", "style", "alpha", "photorealistic", "photorealistic_args")
NOT_FINITE = "the result is not finite; give a lower alpha, or fewer levels or passes"


@dataclasses.dataclass(frozen=True)
class TransferRun(Run):
    """A `Run` of universal style transfer.

    Attributes:
      settings: the config, a ConfigDict as `configs/wct.py` returns it.
      transform: a `Transform`.
    """

    settings: Any
    transform: transforms.Transform

    @property
    def order(self):
        """The levels as they are applied."""
        return tuple(self.network.levels[number] for number in self.settings.levels)

    @property
    def shape(self):
        """(H, W) of the result."""
        return self.canvas(self.settings.size)

    @property
    def style_shapes(self):
        """(H, W) of each style."""
        size = self.settings.style_size or self.settings.size
        return [images.fit_size(*picture.pixels.shape[:2], size) for picture in self.styles]

    @property
    def structure(self):
        config = {key: value for key, value in self.config.items() if key not in _NUMBERS}
        shapes = [p.pixels.shape for p in (self.content, *self.styles) if p]
        return json.dumps([config, shapes], sort_keys=True)

    @property
    def room(self):
        return 1

    @staticmethod
    def run_batch(runs, folder, *, warm_up=False):
        outcomes = []
        for run in runs:
            if warm_up:
                make_image(run)
            start = time.perf_counter()
            image = np.asarray(make_image(run))
            cost = {"seconds": round(time.perf_counter() - start, 3), "with_compilation": not warm_up}
            cost |= {"together": 1, "peak_bytes": memory.peak()}
            finite = np.isfinite(image).all()
            shown, reason = (image, None) if finite else (_start(run, run.shape), NOT_FINITE)
            shown, before = (shown, {}) if reason else filters.filtered(run, shown)
            outcomes.append(Outcome(shown, reason, {}, cost, files=before))
        return outcomes

    def measuring_encoder(self):
        loaded = networks.load(self.settings.measured_by)
        for note in loaded.notes:
            notify(f"note: {note}")
        return networks.make_encoder(loaded)

    def subject(self, shape):
        config, content = self.settings, self.content
        start = jnp.asarray(images.resize(content.pixels, *shape) if content else _start(self, shape))
        styles = [
            Reference(jnp.asarray(images.resize(picture.pixels, *size)), float(weight))
            for picture, size, weight in zip(
                self.styles, self.style_shapes, pictures.blend_weights(config, self.styles), strict=True
            )
        ]
        key = (self.pictures_key, *self.style_shapes, config.style_weights)
        key += () if content else (config.seed,)
        return Subject(start, content is not None, styles, key, self.labels)


def load(config, cache=None) -> TransferRun:
    """The `TransferRun` of a config.

    Args:
      config: a ConfigDict.
      cache: a `Cache` of runs that may share pictures and networks.

    Raises:
      UserError: naming the key, the value expected and the nearest valid name.
    """
    validate.needs_keys(config, NEEDED, EXAMPLE)
    config = validate.completed(config, default_transfer_config())
    validate.kinds(config, default_transfer_config())
    validate.finite("", config.to_dict())
    _check_values(config)
    filters.build(config)
    check_choice("transform", config.transform, terms.TRANSFORMS)
    transform = terms.call_factory("transform_args", transforms, config.transform, config.transform_args)
    cache = cache or Cache()
    content = pictures.read(config.content, cache) if config.content else None
    styles = pictures.read_styles(config, cache)
    if not styles:
        raise UserError("style is empty; expected a path or example:NAME")
    if not content and config.init == "content":
        raise UserError("init is 'content', but content is empty; give a content, or init noise")
    given = regions.given(config)
    if len(given) == 1:
        raise UserError(f"{given[0]} is given alone: give both content_mask and style_mask")
    labels = regions.read(config, content, styles, cache) if given else None
    name, numbers = config.weights, tuple(sorted(set(config.levels)))
    options = {"decoders": config.decoders, "preprocessing": config.preprocessing}
    key = ("levels", name, numbers, *options.values())
    network = cache(key, lambda: levels.load(name, numbers, **options))
    plain = config.copy_and_resolve_references().to_dict()
    run = TransferRun(plain, network, content, styles, labels, config, transform)
    check_sizes(run)
    return run


def check_sizes(run):
    """Raises UserError where the canvas or a style of a `TransferRun` cannot fit into memory, or its tile."""
    tile = run.settings.tile
    for key, shapes in {"size": [run.shape], "style_size": run.style_shapes}.items():
        for shape in shapes:
            memory.check(key, shape, {}, (), backward=False)
            _check_tile(run, key, shape)
            for level in run.order:
                seen = tuple(min(side, tile or side) for side in shape)
                memory.check(key, seen, level.encoder["params"], (level.tap,), backward=False)


def _check_tile(run, key, shape):
    tile, units = run.settings.tile, [level.unit for level in run.order]
    if not tile or max(shape) <= tile:
        return
    if run.transform.tiled is None:
        raise UserError(
            f"{key}: {shape[1]} x {shape[0]} pixels are more than a tile of {tile}, and the transform "
            f"{run.settings.transform} must see all of a picture; give tile 0"
        )
    least = tiled.smallest_tile(run.order)
    if tile < least or tile % max(units):
        raise UserError(f"tile must be 0 or a multiple of {max(units)}, at least {least}; got {tile}")


def make_image(run, style_regions=None):
    """The picture [H, W, 3] of a `TransferRun`, not clipped.

    Args:
      run: a `TransferRun`.
      style_regions: from `regions_of`, where several runs share them; its own by default.
    """
    config, key = run.settings, jax.random.key(run.settings.seed)
    return tiled.stylize(
        run.order,
        run.transform,
        _start(run, run.shape),
        regions_of(run, run.shape) if style_regions is None else style_regions,
        alpha=config.alpha[0] if len(config.alpha) == 1 else config.alpha,
        passes=config.passes,
        mask_mode=config.mask_mode,
        key=jax.random.fold_in(key, 1),
        tile=config.tile or None,
    )


def _start(run, shape):
    """The picture [H, W, 3] to transfer, a NumPy array."""
    if run.settings.init == "noise":
        return np.asarray(jax.random.uniform(jax.random.key(run.settings.seed), (*shape, 3)))
    return images.resize(run.content.pixels, *shape)


def regions_of(run, shape=None):
    """A `StyleRegion` per label that the canvas (H, W) shares with a style, or one for all of any canvas."""
    mode, shapes = run.settings.mask_mode, run.style_shapes
    styles = [images.resize(p.pixels, *size) for p, size in zip(run.styles, shapes, strict=True)]
    if run.labels is None:
        return [_region(run, styles, [None] * len(styles), None)]
    taps = ("image", *(level.tap for level in run.order))
    ours = regions.propagated("content_mask", run.labels.canvas, shape, taps, mode)
    theirs = [
        regions.propagated("style_mask", mask, size, taps, mode)
        for mask, size in zip(run.labels.styles, shapes, strict=True)
    ]
    found = []
    for label in ours:
        chosen = [
            each[label]["image"] if label in each else jnp.zeros(size)
            for each, size in zip(theirs, shapes, strict=True)
        ]
        if any(label in each for each in theirs):
            found.append(_region(run, styles, chosen, ours[label]["image"]))
    return found


def _region(run, styles, masks, where):
    """The `StyleRegion` of the styles [h, w, 3] under one mask each."""
    config = run.settings
    options = {"mask_mode": config.mask_mode, "tile": config.tile or None}
    known = [
        tiled.statistics(run.order, run.transform, style, where=mask, **options)
        for style, mask in zip(styles, masks, strict=True)
    ]
    weights = pictures.blend_weights(config, run.styles)
    shares = [weight / sum(weights) for weight in weights]
    return universal.StyleRegion(universal.blend(run.transform, known, shares), where)


def _check_values(config):
    """Raises UserError for a value out of its range, or one that is not among the valid names."""
    for key, least in {"size": 1, "style_size": 0, "passes": 1, "seed": 0, "tile": 0}.items():
        check_at_least(key, config[key], least)
    validate.at_most("seed", config.seed, validate.LARGEST_SEED)
    for key in ("levels", "alpha", "style_weights"):
        validate.numbers(key, config[key])
    if any(weight < 0 for weight in config.style_weights):
        raise UserError(f"style_weights must be at least 0; got {tuple(config.style_weights)}")
    if not config.levels or not set(config.levels) <= set(LEVELS):
        raise UserError(f"levels must be some of {LEVELS}; got {tuple(config.levels)}")
    if len(config.alpha) not in (1, len(config.levels)):
        raise UserError(
            f"alpha must be one number, or one for each of the {len(config.levels)} levels; got "
            f"{len(config.alpha)}"
        )
    for alpha in config.alpha:
        if not 0 <= alpha <= 1:
            raise UserError(f"alpha must be in [0, 1]; got {alpha}")
    check_choice("init", config.init, _INITS)
    check_choice("mask_mode", config.mask_mode, MODES)
    check_choice("preprocessing", config.preprocessing, ("", *PREPROCESSINGS))
