"""A config of universal style transfer made into pictures and levels, and run into a folder."""

import dataclasses
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from nstjax import files, images, transforms, universal
from nstjax.errors import NotFiniteError, UserError, nearest, notify
from nstjax.networks import masks, pretrained, vgg
from nstjax.networks.decoder import LEVELS
from nstjax.runs import memory, regions, terms, validate
from nstjax.runs.cache import Cache
from nstjax.runs.experiment import canvas, style_names
from nstjax.runs.folder import RunFolder
from nstjax.runs.provenance import describe, inputs
from nstjax.runs.run import Outcome
from nstjax.universal import levels, tiled

_NEEDED = ("content", "style", "levels", "alpha", "transform", "passes")
_INITS = ("content", "noise")
NOT_FINITE = "the result is not finite; give a lower alpha, or fewer levels or passes"


@dataclasses.dataclass(frozen=True)
class Transfer:
    """All that a transfer needs, read and checked.

    Attributes:
      config: the resolved config, a plain dict.
      settings: the same, a ConfigDict as `configs/wct.py` returns it.
      transform: a `Transform`.
      levels: the set.
      content: `Picture` or None.
      styles: the style pictures.
      labels: `LabelPictures` or None.
    """

    config: dict[str, Any]
    settings: Any
    transform: transforms.Transform
    levels: levels.Levels
    content: images.Picture | None
    styles: tuple[images.Picture, ...]
    labels: regions.LabelPictures | None

    @property
    def label(self):
        """What outputs are labelled with."""
        return f"nstjax; weights: {self.levels.label}"

    @property
    def order(self):
        """The levels as they are applied."""
        return tuple(self.levels.levels[number] for number in self.settings.levels)

    @property
    def notes(self):
        """What a person should know about the inputs, a line each."""
        pictures = filter(None, (self.content, *self.styles))
        notes = [f"{p.name}: {note}" for p in pictures for note in p.notes]
        return (*notes, *(self.labels.notes if self.labels else ()))


def stylize(config, workdir, command=""):
    """Runs a config into a run folder, or finds it finished.

    Args:
      config: a ConfigDict.
      workdir: path of the folder.
      command: the command line, for provenance.

    Returns:
      {"picture": path}.

    Raises:
      UserError: for whatever a person can mend.
      NotFiniteError: where the result is not finite.
    """
    loaded = load(config)
    for note in loaded.notes:
        notify(f"note: {note}")
    with RunFolder(workdir, loaded.config, provenance(loaded, command)) as folder:
        left = {"picture": folder.path / "image.png"}
        if folder.finished:
            notify(f"already finished: {left['picture']}")
            return left
        image, seconds = timed(lambda: run(loaded))
        if not np.isfinite(image).all():
            raise NotFiniteError(NOT_FINITE)
        cost = {"seconds": seconds, "with_compilation": True, "peak_bytes": memory.peak()}
        files.write_json(folder.path / "cost.json", cost)
        files.write_atomic(left["picture"], images.encode_png(image, loaded.label))
    return left


def outcomes(transfers, folder):
    """An `Outcome` for each of some `Transfer`s, its seconds without compilation."""
    made = []
    for transfer in transfers:
        run(transfer)  # compiles
        image, seconds = timed(lambda transfer=transfer: run(transfer))
        good = bool(np.isfinite(image).all())
        made.append(Outcome(image, None if good else NOT_FINITE, {}, {"seconds": seconds, "together": 1}))
    return made


def timed(make):
    """(the array that a function makes, seconds)."""
    start = time.perf_counter()
    made = np.asarray(make())
    return made, round(time.perf_counter() - start, 3)


def load(config, once=None):
    """Reads what a config names and checks every key.

    Args:
      config: a ConfigDict.
      once: a `Cache` of transfers that may share pictures and networks.

    Raises:
      UserError: naming the key, what was expected and the nearest valid name.
    """
    validate.keys(config, _NEEDED, "a transfer, such as configs/wct.py")
    validate.finite("", config.to_dict())
    _check(config)
    _known("transform", config.transform, terms.TRANSFORMS)
    transform = terms.bound("transform_args", transforms, config.transform, config.transform_args)
    once = once or Cache()

    def picture(name):
        return once(("picture", name), lambda: images.load_picture(name))

    content = picture(config.content) if config.content else None
    styles = tuple(map(picture, style_names(config.style)))
    if not styles:
        raise UserError("style is empty; expected a path or example:NAME")
    if not content and config.init == "content":
        raise UserError("init is 'content', but content is empty; give a content, or init noise")
    if config.style_weights and len(config.style_weights) != len(styles):
        raise UserError(
            f"style_weights has {len(config.style_weights)} numbers for {len(styles)} style pictures"
        )
    given = [key for key in ("content_mask", "style_mask") if config[key]]
    if len(given) == 1:
        raise UserError(f"{given[0]} is given alone: give both content_mask and style_mask")
    labels = regions.read(config, content, style_names(config.style_mask), styles) if given else None
    wanted = (config.weights, tuple(sorted(set(config.levels))), config.decoders)
    loaded = once(("levels", *wanted), lambda: levels.load(wanted[0], wanted[1], decoders=wanted[2]))
    plain = config.copy_and_resolve_references().to_dict()
    transfer = Transfer(plain, config, transform, loaded, content, styles, labels)
    check_sizes(transfer)
    return transfer


def check_sizes(transfer):
    """Raises UserError where the canvas or a style of a `Transfer` cannot fit into memory, or its tile."""
    config = transfer.settings
    sizes = {"size": [canvas(transfer, config)], "style_size": _style_shapes(transfer)}
    for key, shape in ((key, shape) for key, shapes in sizes.items() for shape in shapes):
        memory.check(key, shape, {}, (), backward=False)
        _check_tile(transfer, key, shape)
        for level in transfer.order:
            seen = tuple(min(side, config.tile or side) for side in shape)
            memory.check(key, seen, level.encoder["params"], (level.tap,), backward=False)


def _check_tile(transfer, key, shape):
    tile, units = transfer.settings.tile, [level.unit for level in transfer.order]
    if not tile or max(shape) <= tile:
        return
    if transfer.transform.tiled is None:
        raise UserError(
            f"{key}: {shape[1]} x {shape[0]} pixels are more than a tile of {tile}, and the transform "
            f"{transfer.settings.transform} must see all of a picture; give tile 0"
        )
    least = tiled.smallest_tile(transfer.order)
    if tile < least or tile % max(units):
        raise UserError(f"tile must be 0 or a multiple of {max(units)}, at least {least}; got {tile}")


def run(transfer, regions=None):
    """The picture [H, W, 3] that a `Transfer` makes, not clipped.

    Args:
      transfer: a `Transfer`.
      regions: from `regions_of`, where several share them; they are its own by default.
    """
    config, key = transfer.settings, jax.random.key(transfer.settings.seed)
    shape = canvas(transfer, config)
    return tiled.stylize(
        transfer.order,
        transfer.transform,
        _start(transfer, shape),
        regions_of(transfer, shape) if regions is None else regions,
        alpha=config.alpha[0] if len(config.alpha) == 1 else config.alpha,
        passes=config.passes,
        mask_mode=config.mask_mode,
        key=jax.random.fold_in(key, 1),
        tile=config.tile or None,
    )


def _start(transfer, shape):
    """The picture [H, W, 3] that is transferred, a NumPy array."""
    if transfer.settings.init == "noise":
        return np.asarray(jax.random.uniform(jax.random.key(transfer.settings.seed), (*shape, 3)))
    return images.resize(transfer.content.pixels, *shape)


def references(transfer, shape):
    """(start, whether it is the content, styles, what they follow from), as `scoring.Subject` has them."""
    config, content = transfer.settings, transfer.content
    start = jnp.asarray(images.resize(content.pixels, *shape) if content else _start(transfer, shape))
    shares = config.style_weights or (1.0,) * len(transfer.styles)
    sizes = _style_shapes(transfer)
    styles = [
        (jnp.asarray(images.resize(picture.pixels, *size)), float(share))
        for picture, size, share in zip(transfer.styles, sizes, shares, strict=True)
    ]
    made_of = (*map(id, (content, *transfer.styles)), *sizes, config.style_weights)
    return start, content is not None, styles, made_of + (() if content else (config.seed,))


def measuring_encoder(transfer):
    """The `Encoder` of the weight set `measured_by`, as a network for losses is by default."""
    loaded = pretrained.load(transfer.settings.measured_by)
    return vgg.make_encoder(loaded.params, loaded.preprocessing)


def regions_of(transfer, shape=None):
    """A `Region` for every label that the canvas (H, W) shares with a style, or one for all of any canvas."""
    config = transfer.settings
    shapes = _style_shapes(transfer)
    pictures = [images.resize(p.pixels, *size) for p, size in zip(transfer.styles, shapes, strict=True)]
    if transfer.labels is None:
        return [_region(transfer, pictures, [None] * len(pictures), None)]
    taps = ("image", *(level.tap for level in transfer.order))
    ours = regions.propagated("content_mask", transfer.labels.canvas, shape, taps, config.mask_mode)
    theirs = [
        regions.propagated("style_mask", mask, size, taps, config.mask_mode)
        for mask, size in zip(transfer.labels.styles, shapes, strict=True)
    ]
    found = []
    for label in ours:
        chosen = [
            each[label]["image"] if label in each else jnp.zeros(size)
            for each, size in zip(theirs, shapes, strict=True)
        ]
        if any(label in each for each in theirs):
            found.append(_region(transfer, pictures, chosen, ours[label]["image"]))
    return found


def _region(transfer, pictures, chosen, where):
    """The `Region` of the styles under one mask each."""
    config = transfer.settings
    styles = [
        tiled.statistics(
            transfer.order,
            transfer.transform,
            picture,
            where=mask,
            mask_mode=config.mask_mode,
            tile=config.tile or None,
        )
        for picture, mask in zip(pictures, chosen, strict=True)
    ]
    weights = config.style_weights or (1.0,) * len(styles)
    shares = [weight / sum(weights) for weight in weights]
    return universal.Region(universal.blend(transfer.transform, styles, shares), where)


def _style_shapes(transfer):
    size = transfer.settings.style_size or transfer.settings.size
    return [images.fit_size(*picture.pixels.shape[:2], size) for picture in transfer.styles]


def _check(config):
    """Raises UserError for a value out of its range, or one that is not among the valid names."""
    for key, least in {"size": 1, "style_size": 0, "passes": 1, "seed": 0, "tile": 0}.items():
        if config[key] < least:
            raise UserError(f"{key} must be at least {least}; got {config[key]}")
    if config.seed >= 2**32:
        raise UserError(f"seed must be at most {2**32 - 1}; got {config.seed}")
    for key in ("levels", "alpha", "style_weights"):
        validate.numbers(key, config[key])
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
    if any(weight < 0 for weight in config.style_weights):
        raise UserError(f"style_weights must be at least 0; got {tuple(config.style_weights)}")
    if config.style_weights and not sum(config.style_weights) > 0:
        raise UserError(f"style_weights must add up to more than 0; got {tuple(config.style_weights)}")
    _known("init", config.init, _INITS)
    _known("mask_mode", config.mask_mode, masks.MODES)


def _known(key, name, valid):
    if name not in valid:
        raise UserError(f"{key} {name!r} is unknown{nearest(name, valid)}")


def provenance(transfer, command):
    """What `provenance.json` holds of a `Transfer`."""
    return describe(inputs(transfer, transfer.levels, transfer.settings.seed), command, transfer.notes)
