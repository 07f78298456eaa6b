"""The two kinds of pictures that a sweep can make: optimised ones, and transferred ones."""

import json
from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp

from nstjax import images
from nstjax.optimize.objective import single_taps
from nstjax.runs import experiment, memory, run, transfer
from nstjax.sweeps.measure import Subject

# Keys of a config that only decide about numbers, or about pictures, of which the sizes count.
_NUMBERS = ("seed", "learning_rate", "init", "noise_scale", "content", "style")


class Kind(NamedTuple):
    """What a sweep asks of its points.

    Attributes:
      load: `load(config, once) -> point`, a ConfigDict read and checked. Points have a `config`, a plain
        dict; `label`, `notes`, `content` and `styles`.
      provenance: `provenance(point, command) -> dict`.
      run: `run(points, folder) -> [Outcome]`, of points of one structure.
      report: `report(point, folder)`, writes what there is beside the picture.
      structure: `structure(point) -> text`, equal for points that can be run together.
      room: `room(point) -> count` of such points that fit into memory.
      encoder: `encoder(point) -> Encoder`, by which the points of a sweep are measured.
      subject: `subject(point, shape) -> Subject`, what a picture is measured against.
    """

    load: Callable
    provenance: Callable
    run: Callable
    report: Callable
    structure: Callable
    room: Callable
    encoder: Callable
    subject: Callable


def of(config):
    """The kind of picture that a config makes."""
    return TRANSFERRED if "levels" in config else OPTIMISED


def _structure(experiment):
    """What must be equal, as text, for experiments to be lanes of one program."""

    def plain(config):
        config = {key: value for key, value in config.items() if key not in _NUMBERS}
        terms = config.get("terms", {})
        return config | {"terms": {name: weightless(term) for name, term in terms.items()}}

    def weightless(term):
        return {key: value for key, value in term.items() if key not in ("weight", "tap_weights")}

    config = plain(experiment.config)
    config["stages"] = [plain(stage) for stage in config["stages"]]
    shapes = [p.pixels.shape for p in (experiment.content, *experiment.styles) if p]
    return json.dumps([config, shapes, experiment.content is not None], sort_keys=True)


def _room(experiment):
    needed = 0
    for stage in experiment.stage_configs:
        taps = single_taps(tap for term in stage.terms.values() for tap in term.taps)
        shape = experiment.canvas(experiment, stage)
        needed = max(needed, memory.needed(shape, experiment.weights.params, taps, backward=True))
    return int(memory.available() // (2 * needed))


def _subject(experiment, shape):
    stage = experiment.stage_configs[-1]
    if experiment.content:
        start = jnp.asarray(images.resize(experiment.content.pixels, *shape))
    else:
        start = jnp.asarray(experiment.initial_image(experiment, stage))
    made_of = (*map(id, (experiment.content, *experiment.styles)), stage.size, stage.style_size)
    made_of += (stage.style_weights, stage.style_angles, stage.style_scales)
    made_of += () if experiment.content else (stage.init, stage.seed)
    styles = experiment.style_references(experiment, stage) if experiment.styles else []
    return Subject(start, experiment.content is not None, styles, made_of)


def _transfer_structure(transfer):
    config = {k: v for k, v in transfer.config.items() if k not in (*_NUMBERS, "alpha")}
    shapes = [p.pixels.shape for p in (transfer.content, *transfer.styles) if p]
    return json.dumps([config, shapes], sort_keys=True)


OPTIMISED = Kind(
    load=experiment.load,
    provenance=experiment.provenance,
    run=run.run,
    report=run.write_report,
    structure=_structure,
    room=_room,
    encoder=lambda point: experiment.make_encoder(point.weights, point.stage_configs[-1]),
    subject=_subject,
)
TRANSFERRED = Kind(
    load=transfer.load,
    provenance=transfer.provenance,
    run=transfer.outcomes,
    report=lambda point, folder: None,
    structure=_transfer_structure,
    room=lambda point: 1,
    encoder=transfer.measuring_encoder,
    subject=lambda point, shape: Subject(*transfer.references(point, shape)),
)
