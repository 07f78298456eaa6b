"""Finished points of a sweep, measured alike: by every style loss, and by measures of pictures."""

import io as bytes_io
import math

import jax
import jax.numpy as jnp
import ml_collections
import tqdm
from PIL import Image

from nstjax import experiment as experiments
from nstjax import io, metrics, presets, terms
from nstjax.config import term
from nstjax.objective import Objective, make_targets, single_taps

_CONTENT = ("relu4_2", "relu3_4", "relu2_2", "relu1_2")
# Where all pairs of patches or positions are few; elsewhere they take longer than all other losses.
_PAIRS = ("relu3_1", "relu4_1")
_TAPS = {"mrf": _PAIRS, "contextual": _PAIRS}
_THUMBNAIL = 512


def measure_points(points, workdir, reference):
    """Writes `measures.json` of every finished point that has none, and the pictures they were made of.

    Those pictures are left in `pictures/` of the sweep, small, by their hash.

    Args:
      points: {name: `Experiment`}.
      workdir: path of the sweep.
      reference: the `Experiment` whose weight set, pooling and padding measure all.
    """
    once, folders = experiments.Once(), {name: workdir / "points" / name for name in points}
    waiting = [
        n for n, f in folders.items() if (f / "image.png").exists() and not (f / "measures.json").exists()
    ]
    for name in tqdm.tqdm(waiting, disable=None, unit="picture measured"):
        point, folder = points[name], folders[name]
        for picture in filter(None, (point.content, *point.styles)):
            small = thumbnail(workdir, picture.sha256)
            if not small.exists():
                with io.writing(small.parent):
                    small.parent.mkdir(exist_ok=True)
                io.write_atomic(small, _jpeg(picture.pixels))
        pixels = io.load_picture(str(folder / "image.png")).pixels
        image = jnp.asarray(io.resize(pixels, *pixels.shape[:2]))
        io.write_json(folder / "measures.json", measures(point, image, reference, once))


def thumbnail(workdir, sha256):
    """Path of a picture in a sweep's `pictures/`, by the hash of its file."""
    return workdir / "pictures" / f"{sha256[:16]}.jpg"


def measures(point, image, reference, once):
    """What losses and measures say of a picture as a whole, without masks or regions.

    Args:
      point: the `Experiment` that made it, for its content and styles.
      image: [H, W, 3] float32 sRGB in [0, 1].
      reference: the `Experiment` whose weight set, pooling and padding measure.
      once: a `Once` for all pictures that one reference measures.

    Returns:
      {"losses": {loss: {tap: number}}, "picture": {measure: number}}. Of a loss, the share that is left of
      its value at the content; without a content, at the image that the point started from. The measure
      "content" is the squared distance of features divided by the squares of the content's. None stands
      for what has no value, as a share of nothing.
    """
    stage, shape = point.stage_configs[-1], image.shape[:2]
    encoder = experiments.make_encoder(reference.weights, reference.stage_configs[-1])
    wanted = _terms(point, encoder.taps)
    objective = Objective(encoder.apply, terms.build(wanted))
    if point.content:
        start = jnp.asarray(io.resize(point.content.pixels, *shape))
    else:
        start = jnp.asarray(experiments.initial_image(point, stage))
    styles = experiments.style_references(point, stage) if point.styles else []

    def prepare():
        references = {"content": [(start, 1.0)], "style": styles}
        targets = _targets(encoder.apply, encoder.params, objective.terms, references)
        return targets, _scores(objective, start, encoder.params, targets)

    made_of = (*map(id, (point.content, *point.styles)), stage.size, stage.style_size, stage.style_weights)
    made_of += (stage.style_angles, stage.style_scales, () if point.content else (stage.init, stage.seed))
    targets, before = once(("measured", made_of, shape), prepare)
    after = _scores(objective, image, encoder.params, targets)
    shares = {loss: {} for loss in wanted if loss != "content"}
    for name in after:
        loss, tap = name.split("/", 1)
        if loss in shares:
            shares[loss][tap] = _number(after[name] / before[name]) if before[name] else None
    picture = {"high_frequency": metrics.high_frequency(image), "saturation": metrics.saturation(image)}
    picture["clipped"] = metrics.clipped(image)
    if point.content:
        (tap,) = wanted.content.taps
        scale = jnp.mean(jnp.square(targets["content"][tap]))
        picture |= {"content": after[f"content/{tap}"] / scale, "ssim": metrics.ssim(image, start)}
        picture["edge_ssim"] = metrics.edge_ssim(image, start)
    if len(point.styles) == 1:
        gaps = metrics.colour_gaps(image, styles[0][0])
        picture |= {f"colour_{name}": gap for name, gap in gaps.items()}
    return {"losses": shares, "picture": {name: _number(value) for name, value in picture.items()}}


def _terms(point, taps):
    """The terms of a config that measure: content, and every style loss at what the encoder reaches."""
    wanted = ml_collections.ConfigDict()
    if point.content:
        wanted.content = term("feature", next(tap for tap in _CONTENT if tap in taps), reference="content")
    for loss in presets.STYLE_LOSSES if point.styles else ():
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
