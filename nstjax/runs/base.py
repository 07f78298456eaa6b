"""The interface of a run: its inputs, read and checked, and the questions of a sweep."""

import abc
import dataclasses
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from nstjax import images
from nstjax.folders import provenance
from nstjax.images import Picture
from nstjax.runs.regions import LabelPictures


class Outcome(NamedTuple):
    """The end of a run.

    Attributes:
      image: [H, W, 3] float32 in [0, 1]; where the run failed, the last one whose objective was finite.
      reason: the step at which it failed and why, or None.
      weights: {"term/tap": number} of the last stage, after calibration.
      cost: {"seconds" without compilation, "together": the number of runs of its batch, ...}; of an optimised
        picture also {"steps", "evaluations", "bytes" of memory that the compiled program takes at its peak}.
        Seconds and bytes are a run's share of its batch.
      notes: lines on the result, for people.
      files: {name: content} of further files that the run leaves.
    """

    image: np.ndarray
    reason: str | None
    weights: dict[str, float]
    cost: dict[str, Any]
    notes: tuple[str, ...] = ()
    files: Mapping[str, bytes] = MappingProxyType({})


class Subject(NamedTuple):
    """The pictures that a result is measured against.

    Attributes:
      start: [H, W, 3], the content, or without one the image that the run started from.
      content: whether it is the content.
      styles: a list of `Reference`.
      cache_key: hashes; equal for equal subjects of one shape.
      labels: `LabelPictures`, where regions are compared, or None.
    """

    start: Any
    content: bool
    styles: list
    cache_key: tuple
    labels: LabelPictures | None = None


@dataclasses.dataclass(frozen=True)
class Run(abc.ABC):
    """A config made into the inputs of one picture, read and checked.

    Attributes:
      config: the resolved config, a plain dict.
      network: the `Weights` or `Levels`.
      content: `Picture` or None.
      styles: the style pictures.
      labels: `LabelPictures`, where regions are compared, or None.
    """

    config: dict[str, Any]
    network: Any
    content: Picture | None
    styles: tuple[Picture, ...]
    labels: LabelPictures | None

    @property
    def label(self) -> str:
        """The label of outputs."""
        return f"nstjax; weights: {self.network.label}"

    @property
    def pictures(self) -> dict[str, Picture]:
        """{role: picture} of every picture that the result depends on."""
        found = {"content": self.content} if self.content else {}
        found |= {f"style {i}": picture for i, picture in enumerate(self.styles)}
        if self.labels:
            found["content mask"] = self.labels.canvas
            found |= {f"style mask {i}": picture for i, picture in enumerate(self.labels.styles)}
        return found

    @property
    def notes(self) -> tuple[str, ...]:
        """Lines on the inputs, for people."""
        notes = [f"{p.name}: {note}" for p in self.pictures.values() for note in p.notes]
        return (*notes, *(self.labels.notes if self.labels else ()), *self.network.notes)

    @property
    def pictures_key(self) -> tuple:
        """Hashes; equal for runs of equal pictures."""
        return tuple((role, picture.sha256) for role, picture in self.pictures.items())

    def canvas(self, size) -> tuple[int, int]:
        """(H, W) of the result with a long side: as the content, else its mask, else the first style."""
        picture = self.content or (self.labels.canvas if self.labels else self.styles[0])
        return images.fit_size(*picture.pixels.shape[:2], size)

    @property
    def inputs(self) -> dict:
        """Everything beside the config that the result depends on, for JSON."""
        network = self.network
        return {
            "weights": {
                "label": network.label,
                "sha256": network.sha256,
                "preprocessing": dataclasses.asdict(network.preprocessing),
            },
            "pictures": {k: {"name": p.name, "sha256": p.sha256} for k, p in self.pictures.items()},
            "seed": self.config["seed"],
            "precision": provenance.precision(),
        }

    def provenance(self, command="") -> dict:
        """The dict of `provenance.json`; `command` is the command line, for people."""
        return provenance.describe(self.inputs, command, self.notes)

    @property
    @abc.abstractmethod
    def structure(self) -> str:
        """Equal for runs that one batch can hold: same structure, same shapes."""

    @property
    @abc.abstractmethod
    def room(self) -> int:
        """The number of such runs that fit into memory."""

    @staticmethod
    @abc.abstractmethod
    def run_batch(runs, folder, *, warm_up=False) -> list[Outcome]:
        """Makes the pictures of runs of one structure.

        Args:
          runs: a list; of several, each line of the metrics says of which it is.
          folder: a `RunFolder` that is not finished.
          warm_up: whether seconds are to be without compilation where a run is a single call.
        """

    @abc.abstractmethod
    def measuring_encoder(self):
        """The `Encoder` by which the results of a sweep are measured."""

    @abc.abstractmethod
    def subject(self, shape) -> Subject:
        """The `Subject` of a result of shape (H, W)."""

    def write_report(self, folder: Path) -> dict[str, Path]:
        """Writes further outputs of a finished run into its folder; {name: path} of them."""
        return {}
