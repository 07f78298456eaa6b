"""A picture that is optimised: its config made into inputs, read and checked."""

import dataclasses
import json
from pathlib import Path

import jax
import jax.numpy as jnp

from nstjax import images, networks, validate
from nstjax.config import default_config
from nstjax.errors import UserError, nearest
from nstjax.images import Picture
from nstjax.networks import vgg
from nstjax.networks.pretrained import RANDOM
from nstjax.optimize import single_taps
from nstjax.runs import abstract, batch, filters, memory, pictures, regions, report, stage
from nstjax.runs.base import Run, Subject
from nstjax.runs.cache import Cache
from nstjax.runs.stage import StageSpec

NEEDED = ("content", "style", "terms", "stages")
EXAMPLE = "an image, such as configs/demo.py"
# Keys of a config that only decide about numbers, or about pictures, of which the sizes count.
_NUMBERS = (
    *("seed", "learning_rate", "init", "noise_scale", "content", "style"),
    *("photorealistic", "photorealistic_args"),
)


@dataclasses.dataclass(frozen=True)
class ImageRun(Run):
    """A `Run` that optimises a picture.

    Attributes:
      initial: the `Picture` that the image starts from, where `init` is a path.
      stages: one `StageSpec` per stage.
    """

    initial: Picture | None
    stages: tuple[StageSpec, ...]

    @property
    def pictures(self):
        return super().pictures | ({"init": self.initial} if self.initial else {})

    @property
    def notes(self):
        label = self.network.label
        untrained = f"the network has random weights ({label}), not trained ones"
        of_stages = dict.fromkeys(
            note
            for spec in self.stages
            for note in (*spec.notes, *_foreign(spec, self.network), *stage.tile_notes(self, spec))
        )
        return (*super().notes, *([untrained] if label.startswith("random") else []), *of_stages)

    @property
    def structure(self):
        def plain(config):
            config = {key: value for key, value in config.items() if key not in _NUMBERS}
            terms = config.get("terms", {})
            return config | {"terms": {name: weightless(term) for name, term in terms.items()}}

        def weightless(term):
            return {key: value for key, value in term.items() if key not in ("weight", "tap_weights")}

        config = plain(self.config)
        config["stages"] = [plain(stage) for stage in config["stages"]]
        shapes = [p.pixels.shape for p in (self.content, *self.styles) if p]
        return json.dumps([config, shapes, self.content is not None], sort_keys=True)

    @property
    def room(self):
        def needed(spec):
            shape = self.canvas(spec.config.size)
            how = {"backward": True, "tile": stage.tile(self, spec), "kept": spec.kept}
            features = memory.needed(shape, self.network.params, spec.taps, **how)
            return features + abstract.state_bytes(spec.plan.method, shape)

        return int(memory.available() // (2 * max(map(needed, self.stages))))

    @staticmethod
    def run_batch(runs, folder, *, warm_up=False):
        with jax.default_matmul_precision(validate.PRECISIONS[runs[0].config["precision"]]):
            return batch.run_batch(runs, folder, warm_up=warm_up)

    def measuring_encoder(self):
        return stage.make_encoder(self, self.stages[-1], "float32")

    def subject(self, shape):
        spec = self.stages[-1]
        config = spec.config
        if self.content:
            start = jnp.asarray(images.resize(self.content.pixels, *shape))
        else:
            start = stage.initial_image(self, spec)
        key = (self.pictures_key, config.size, config.style_size, config.style_weights)
        key += (config.style_angles, config.style_scales)
        key += () if self.content else (config.init, config.seed, config.noise_scale)
        return Subject(start, self.content is not None, stage.style_references(self, spec), key, self.labels)

    def write_report(self, folder: Path):
        path = folder / "report.html"
        if not path.exists():
            report.write(self, folder)
        return {"report": path}


def load(config, cache=None) -> ImageRun:
    """The `ImageRun` of a config.

    Args:
      config: a ConfigDict.
      cache: a `Cache` of runs that may share pictures and weight sets.

    Raises:
      UserError: naming the key, the value expected and the nearest valid name.
    """
    validate.needs_keys(config, NEEDED, EXAMPLE)
    config = validate.completed(config, default_config())
    validate.kinds(config, default_config())
    plain, cache = to_plain(config), cache or Cache()
    validate.finite("", plain)
    specs = stage.make_specs(config)
    filters.build(config)
    content = pictures.read(config.content, cache) if config.content else None
    styles = pictures.read_styles(config, cache)
    if not styles and not content:
        raise UserError("content and style are both empty: give at least one picture")
    initial = _read_initial(config, content, styles, cache)
    masked = regions.check_wanted(config, [term for spec in specs for term in spec.terms])
    labels = regions.read(config, content, styles, cache) if masked else None
    network = read_network(config, cache, config.pooling_size)
    if config.beyond_weights == "drop":
        reachable = vgg.reachable_taps(network.params)
        specs = tuple(stage.within(spec, reachable) for spec in specs)
    run = ImageRun(plain, network, content, styles, labels, initial, specs)
    for spec in specs:
        check_taps(run, spec.terms)
        _check_memory(run, spec)
        _check_built(run, spec)
    return run


def to_plain(config):
    """Nested dicts, lists and numbers of a ConfigDict."""
    plain = config.copy_and_resolve_references().to_dict()
    return plain | {"stages": [s.to_dict() if hasattr(s, "to_dict") else s for s in config.stages]}


def _foreign(spec, network):
    """Notes on terms whose weights were published for another family of networks, and are not calibrated."""
    families = {term.published_for for term in spec.config.terms.values()} - {"", network.family}
    for family in () if spec.config.calibrate else sorted(families):
        names = [name for name, term in spec.config.terms.items() if term.published_for == family]
        yield (
            f"the weights of {' and '.join(names)} were published for {networks.FAMILIES[family]}, not for "
            f"{network.label}; the config's argument `calibrated` gives strengths that fit any network"
        )


def _read_initial(config, content, styles, cache):
    """The `Picture` that `init` names; None where it is one of the others, or noise."""
    if config.init == "noise":
        return None
    needed = {"content": {"content": content}, "style": {"style": styles}}
    needed["recoloured"] = needed["content"] | needed["style"]
    if config.init in needed:
        for key, given in needed[config.init].items():
            if not given:
                raise UserError(f"init is {config.init!r}, but {key} is empty; give another init")
        return None
    try:
        return pictures.read(config.init, cache)
    except UserError as error:
        hint = nearest(config.init, ("content", "style", "noise", "recoloured"))
        raise UserError(f"init: {error}{hint}" if "did you mean" in hint else f"init: {error}") from None


def read_network(config, cache, pooling_size="floor"):
    """The `Weights` of a config, normalised where it says so for that pooling size, each once."""
    seed = config.seed if config.weights in RANDOM else 0

    how = {"pooling": config.pooling, "padding": config.padding, "pooling_size": pooling_size}

    def make():
        loaded = networks.load(config.weights, seed=seed, preprocessing=config.preprocessing)
        if not config.normalise:
            return loaded
        return networks.normalise(loaded, images.calibration_images(), **how)

    key = ("weights", config.weights, seed, config.preprocessing, config.normalise)
    return cache((*key, *how.values()), make)


def check_taps(run, terms):
    """Raises UserError for a term whose taps the network, or whose references the config, does not have."""
    reachable = vgg.reachable_taps(run.network.params)
    for term in terms:
        try:
            vgg.check_taps(single_taps(term.taps), reachable, f"the weights {run.network.label}")
        except ValueError as error:
            raise UserError(f"terms.{term.name}.taps: {error}") from None
        if not (run.content if term.reference == "content" else run.styles):
            raise UserError(f"terms.{term.name} compares with the {term.reference}, which is empty")
        if term.transform and not run.styles:
            raise UserError(f"terms.{term.name}.transform needs a style, which is empty")


def _check_memory(run, spec):
    """Raises UserError where a canvas or a style cannot fit into memory, or copies meet regions."""
    params, config = run.network.params, spec.config
    tile = stage.tile(run, spec)
    how = {"tile": tile, "kept": spec.kept}
    of_canvas = {"backward": True, "devices": spec.plan.row_devices, **how}
    memory.check("size", run.canvas(config.size), params, spec.taps, **of_canvas)
    for picture in run.styles:
        for shape, _ in stage.style_copies(picture, config):
            memory.check("style_size", shape, params, spec.taps, backward=False, **how)
    if run.labels and (config.style_angles or config.style_scales):
        raise UserError("style_angles and style_scales have no meaning for terms with regions")


def _check_built(run, spec):
    """Raises UserError for a term or a method that could not make a step."""
    shape = run.canvas(spec.config.size)
    copies = [of_copy for picture in run.styles for of_copy, _ in stage.style_copies(picture, spec.config)]
    references = {"content": (shape,), "style": tuple(copies)}
    abstract.check_terms(spec, stage.make_encoder(run, spec), shape, references)
    abstract.check_method(spec, shape)
