"""The label pictures of a config: read, checked, and made into masks at the taps of its terms."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from nstjax import images
from nstjax.errors import UserError, nearest
from nstjax.images import labels
from nstjax.networks import masks
from nstjax.optimize.objective import Masks


class LabelPictures(NamedTuple):
    """Label pictures as read.

    Attributes:
      canvas: `Picture` for the image that is optimised.
      styles: one `Picture` a style.
    """

    canvas: images.Picture
    styles: tuple[images.Picture, ...]

    @property
    def notes(self):
        """What a person should know: which labels go unused, a line each."""
        ours, theirs = _labels(self.canvas), set().union(*map(_labels, self.styles))
        alone = {"content_mask": sorted(ours - theirs), "style_mask": sorted(theirs - ours)}
        return tuple(
            f"{key}: label {label!r} is in no other mask; its region is left out"
            for key, labels in alone.items()
            for label in labels
        )


def load(config, content, style_names, styles, terms):
    """The `LabelPictures` of a config, or None where no term has regions.

    Args:
      config: with the keys content_mask, style_mask and mask_mode.
      content: `Picture` or None.
      style_names: the names in `style_mask`.
      styles: the style pictures.
      terms: of all stages.

    Raises:
      UserError: for masks that are missing, not needed, of another shape, or have no label in common.
    """
    wanted = [term.name for term in terms if term.regions]
    given = [key for key in ("content_mask", "style_mask") if config[key]]
    if not wanted:
        if given:
            raise UserError(f"{given[0]} is given, but no term has regions")
        return None
    if len(given) < 2:
        raise UserError(f"terms.{wanted[0]} has regions: give both content_mask and style_mask")
    return read(config, content, style_names, styles)


def read(config, content, style_names, styles):
    """The `LabelPictures` that a config names, all given; arguments and errors as of `load`."""
    if config.mask_mode not in masks.MODES:
        raise UserError(f"mask_mode {config.mask_mode!r} is unknown{nearest(config.mask_mode, masks.MODES)}")
    canvas, pictures = images.load_picture(config.content_mask), tuple(map(images.load_picture, style_names))
    if len(pictures) != len(styles):
        raise UserError(f"style_mask names {len(pictures)} pictures for {len(styles)} styles")
    pairs = [("content_mask", canvas, content)] if content else []
    for key, mask, picture in pairs + [("style_mask", *pair) for pair in zip(pictures, styles, strict=True)]:
        (h, w), (height, width) = mask.pixels.shape[:2], picture.pixels.shape[:2]
        if abs(h * width - w * height) > max(h, w, height, width):
            raise UserError(
                f"{key} {mask.name} is {w} x {h} pixels and its picture {width} x {height}; expected the "
                "same aspect ratio"
            )
    for key, mask in (("content_mask", canvas), *(("style_mask", mask) for mask in pictures)):
        if not _labels(mask):
            raise UserError(f"{key} {mask.name} has none of the label colours {', '.join(labels.LABELS)}")
    if not _labels(canvas) & set().union(*map(_labels, pictures)):
        raise UserError("content_mask and style_mask have no label in common")
    return LabelPictures(canvas, pictures)


def make_masks(labels, config, terms, shape, style_shapes):
    """The `Masks` of a stage.

    Args:
      labels: `LabelPictures`.
      config: of the stage.
      terms: a sequence of `Term`.
      shape: (H, W) of the canvas.
      style_shapes: one a style.

    Raises:
      UserError: for a region that covers no position of a tap.
    """
    taps = tuple(dict.fromkeys(tap for term in terms if term.regions for tap in term.taps))
    canvas = propagated("content_mask", labels.canvas, shape, taps, config.mask_mode)
    styles = [
        propagated("style_mask", picture, size, taps, config.mask_mode)
        for picture, size in zip(labels.styles, style_shapes, strict=True)
    ]
    shared = set(canvas) & set().union(*styles)
    canvas = {label: regions for label, regions in canvas.items() if label in shared}
    return Masks(canvas, {"content": [canvas], "style": styles})


def _labels(picture):
    return set(label_masks(picture.pixels))


def propagated(key, picture, shape, taps, mode):
    """{label: {tap: [h, w]}} of a label picture at a size; UserError for a region that covers no position."""
    result = {}
    for label, mask in label_masks(picture.pixels).items():
        result[label] = masks.propagate(jax.image.resize(mask, shape, "linear"), taps, mode)
        for tap, where in result[label].items():
            if not jnp.any(where > 0):
                raise UserError(
                    f"{key}: region {label!r} covers no position of {tap} under mask_mode {mode!r}; give a "
                    "larger region or size, or mask_mode area"
                )
    return result
