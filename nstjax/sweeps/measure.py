"""Finished points of a sweep, measured alike: by every style loss, and by measures of pictures."""

import io as bytes_io
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import ml_collections
import tqdm
from PIL import Image

from nstjax import files, images, metrics, presets
from nstjax.config import term
from nstjax.optimize.objective import Objective, make_targets, single_taps
from nstjax.runs import terms
from nstjax.runs.cache import Cache

_CONTENT = ("relu4_2", "relu3_4", "relu2_2", "relu1_2")
# Where all pairs of patches or positions are few; elsewhere they take longer than all other losses.
_PAIRS = ("relu3_1", "relu4_1")
_TAPS = {"mrf": _PAIRS, "contextual": _PAIRS}
_THUMBNAIL = 512


class Subject(NamedTuple):
    """What a picture is measured against.

    Attributes:
      start: [H, W, 3], the content, or without one what the picture started from.
      content: whether it is the content.
      styles: [(picture [h, w, 3], blend weight), ...].
      of: what they follow from; it hashes, and two subjects of one shape with an equal one are the same.
    """

    start: jax.Array
    content: bool
    styles: list
    of: tuple


def measure_points(points, workdir, encoder, subject):
    """Writes `measures.json` of every finished point that has none, and the pictures they were made of.

    Those pictures are left in `pictures/` of the sweep, small, by their hash.

    Args:
      points: {name: point}, each with `content` and `styles`.
      workdir: path of the sweep.
      encoder: the `Encoder` by which losses measure.
      subject: `subject(point, (H, W)) -> Subject`.
    """
    once, folders = Cache(), {name: workdir / "points" / name for name in points}
    waiting = [
        n for n, f in folders.items() if (f / "image.png").exists() and not (f / "measures.json").exists()
    ]
    for name in tqdm.tqdm(waiting, disable=None, unit="picture measured"):
        point, folder = points[name], folders[name]
        for picture in filter(None, (point.content, *point.styles)):
            small = thumbnail(workdir, picture.sha256)
            if not small.exists():
                with files.writing(small.parent):
                    small.parent.mkdir(exist_ok=True)
                files.write_atomic(small, _jpeg(picture.pixels))
        pixels = images.load_picture(str(folder / "image.png")).pixels
        image = jnp.asarray(images.resize(pixels, *pixels.shape[:2]))
        files.write_json(
            folder / "measures.json", measures(subject(point, image.shape[:2]), image, encoder, once)
        )


def thumbnail(workdir, sha256):
    """Path of a picture in a sweep's `pictures/`, by the hash of its file."""
    return workdir / "pictures" / f"{sha256[:16]}.jpg"


def measures(subject, image, encoder, once):
    """What losses and measures say of a picture as a whole, without masks or regions.

    Args:
      subject: a `Subject`.
      image: [H, W, 3] float32 sRGB in [0, 1].
      encoder: the `Encoder` by which losses measure.
      once: a `Cache` for all pictures that one encoder measures.

    Returns:
      {"losses": {loss: {tap: number}}, "picture": {measure: number}}. Of a loss, the share that is left of
      its value at the content; without a content, at the image that the point started from. The measure
      "content" is the squared distance of features divided by the squares of the content's. None stands
      for what has no value, as a share of nothing.
    """
    wanted = _terms(subject, encoder.taps)
    objective = Objective(encoder.apply, terms.build(wanted))

    def prepare():
        references = {"content": [(subject.start, 1.0)], "style": subject.styles}
        targets = _targets(encoder.apply, encoder.params, objective.terms, references)
        return targets, _scores(objective, subject.start, encoder.params, targets)

    targets, before = once(("measured", subject.of, image.shape), prepare)
    after = _scores(objective, image, encoder.params, targets)
    shares = {loss: {} for loss in wanted if loss != "content"}
    for name in after:
        loss, tap = name.split("/", 1)
        if loss in shares:
            shares[loss][tap] = _number(after[name] / before[name]) if before[name] else None
    picture = {"high_frequency": metrics.high_frequency(image), "saturation": metrics.saturation(image)}
    picture["clipped"] = metrics.clipped(image)
    if subject.content:
        (tap,) = wanted.content.taps
        scale = jnp.mean(jnp.square(targets["content"][tap]))
        picture["content"] = after[f"content/{tap}"] / scale
        picture["ssim"] = metrics.ssim(image, subject.start)
        picture["edge_ssim"] = metrics.edge_ssim(image, subject.start)
    if len(subject.styles) == 1:
        ((style, _),) = subject.styles
        picture |= {f"colour_{name}": gap for name, gap in metrics.colour_gaps(image, style).items()}
    return {"losses": shares, "picture": {name: _number(value) for name, value in picture.items()}}


def _terms(subject, taps):
    """The terms of a config that measure: content, and every style loss at what the encoder reaches."""
    wanted = ml_collections.ConfigDict()
    if subject.content:
        wanted.content = term("feature", next(tap for tap in _CONTENT if tap in taps), reference="content")
    for loss in presets.STYLE_LOSSES if subject.styles else ():
        made = presets.style_term(loss)
        read = _TAPS.get(loss, made.taps)
        made.taps = tuple(tap for tap in read if set(single_taps([tap])) <= {*taps, "image"})
        if made.taps:
            wanted[loss] = made
    return wanted


_targets = jax.jit(make_targets, static_argnames=("apply", "terms"))


def _scores_of(objective, image, params, targets):
    """{"term/tap": scalar} of every term, the random ones with one key for all pictures."""
    unweighted = {each.name: dict.fromkeys(each.taps, 0.0) for each in objective.terms}
    return objective(image, params, targets, unweighted, jax.random.key(0))[1]


_scores = jax.jit(_scores_of, static_argnums=0)


def _number(value):
    value = float(value)
    return value if math.isfinite(value) else None


def _jpeg(pixels):
    image = Image.fromarray(pixels)
    image.thumbnail((_THUMBNAIL, _THUMBNAIL), Image.Resampling.LANCZOS)
    buffer = bytes_io.BytesIO()
    image.save(buffer, "JPEG", quality=88)
    return buffer.getvalue()
