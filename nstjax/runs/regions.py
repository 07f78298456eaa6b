"""The label pictures of a config: read, checked, and made into masks at the taps of its terms."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from nstjax.errors import UserError, check_choice
from nstjax.images.labels import RULES, LabelPicture, load_labels, merged
from nstjax.networks.masks import MODES, propagate
from nstjax.runs import pictures


class LabelPictures(NamedTuple):
    """Label pictures as read.

    Attributes:
      canvas: `LabelPicture` for the image that is optimised.
      styles: one `LabelPicture` per style.
    """

    canvas: LabelPicture
    styles: tuple[LabelPicture, ...]

    @property
    def notes(self):
        """Lines on labels that go unused."""
        ours, theirs = set(self.canvas.masks), set().union(*(style.masks for style in self.styles))
        alone = {"content_mask": sorted(ours - theirs), "style_mask": sorted(theirs - ours)}
        return tuple(
            f"{key}: label {label!r} is in no other mask; its region is left out"
            for key, labels in alone.items()
            for label in labels
        )


def given(config):
    """The keys of label pictures that a config gives."""
    return [key for key in ("content_mask", "style_mask") if config[key]]


def check_wanted(config, terms):
    """Whether terms have regions.

    Raises:
      UserError: for masks that are missing, or given and not needed.
    """
    wanted = [term.name for term in terms if term.regions]
    if not wanted and given(config):
        raise UserError(f"{given(config)[0]} is given, but no term has regions")
    if wanted and len(given(config)) < 2:
        raise UserError(f"terms.{wanted[0]} has regions: give both content_mask and style_mask")
    return bool(wanted)


def read(config, content, styles, cache):
    """The `LabelPictures` that a config names.

    Args:
      config: with the keys content_mask, style_mask, mask_mode, mask_labels and merge_labels.
      content: `Picture` or None.
      styles: the style pictures.
      cache: a `Cache` of runs that may share masks.

    Raises:
      UserError: for masks that cannot be read, of another shape than their pictures, and without a label in
        common.
    """
    check_choice("mask_mode", config.mask_mode, MODES)
    check_choice("mask_labels", config.mask_labels, RULES)
    names = (config.content_mask, *pictures.names(config.style_mask))
    key = ("labels", config.mask_labels, *names)
    read = cache(key, lambda: load_labels(names, rule=config.mask_labels))
    canvas, *theirs = (merged(picture, _merges(config, read)) for picture in read)
    if len(theirs) != len(styles):
        raise UserError(f"style_mask names {len(theirs)} pictures for {len(styles)} styles")
    pairs = [("content_mask", canvas, content)] if content else []
    for key, mask, picture in pairs + [("style_mask", *pair) for pair in zip(theirs, styles, strict=True)]:
        (h, w), (height, width) = mask.pixels.shape[:2], picture.pixels.shape[:2]
        if abs(h * width - w * height) > max(h, w, height, width):
            raise UserError(
                f"{key} {mask.name} is {w} x {h} pixels and its picture {width} x {height}; expected the "
                "same aspect ratio"
            )
    common = set().union(*(mask.masks for mask in theirs))
    if not common & set(canvas.masks):
        raise UserError(
            f"content_mask and style_mask have no label in common: {', '.join(canvas.masks)} there, "
            f"{', '.join(sorted(common))} here"
        )
    return LabelPictures(canvas, tuple(theirs))


def _merges(config, read):
    """{label: another} of `merge_labels`, such as "green:grey,light blue:blue"."""
    known, merges = sorted(set().union(*(picture.masks for picture in read))), {}
    for pair in filter(None, map(str.strip, config.merge_labels.split(","))):
        label, colon, other = (part.strip() for part in pair.partition(":"))
        if not (label and colon and other):
            raise UserError(f"merge_labels: expected LABEL:LABEL; got {pair!r}")
        for each in (label, other):
            check_choice("merge_labels", each, known)
        merges[label] = other
    return merges


def make_masks(labels, terms, config, shape, style_shapes):
    """(masks of the canvas, [masks of each style]), {label: {tap: [h, w]}} each, of labels in common.

    Args:
      labels: `LabelPictures`.
      terms: a sequence of `Term`.
      config: with the keys mask_mode and pooling_size.
      shape: (H, W) of the canvas.
      style_shapes: (H, W) of each style.

    Raises:
      UserError: for a region that covers no position of a tap.
    """
    taps = tuple(dict.fromkeys(tap for term in terms if term.regions for tap in term.taps))
    how = taps, config.mask_mode, config.pooling_size
    canvas = propagated("content_mask", labels.canvas, shape, *how)
    styles = [
        propagated("style_mask", picture, size, *how)
        for picture, size in zip(labels.styles, style_shapes, strict=True)
    ]
    shared = set(canvas) & set().union(*styles)
    return {label: masks for label, masks in canvas.items() if label in shared}, styles


def propagated(key, picture, shape, taps, mode, pooling_size="floor"):
    """{label: {tap: [h, w]}} of a label picture.

    Args:
      key: of the config, for the message.
      picture: a `LabelPicture`.
      shape: (H, W) to resize to.
      taps: names.
      mode: one of `nstjax.networks.masks.MODES`.
      pooling_size: "floor" or "ceil", as of the network.

    Raises:
      UserError: for a region that covers no position of a tap.
    """
    result = {}
    for label, mask in picture.masks.items():
        result[label] = propagate(jax.image.resize(mask, shape, "linear"), taps, mode, pooling_size)
        for tap, where in result[label].items():
            if not jnp.any(where > 0):
                raise UserError(
                    f"{key}: region {label!r} covers no position of {tap} under mask_mode {mode!r}; give a "
                    "larger region or size, or mask_mode area"
                )
    return result
