"""Finished points of a sweep, measured alike: by every style loss, and by measures of pictures."""

import io as bytes_io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
from PIL import Image

from nstjax import files, images, metrics, presets
from nstjax.config import term
from nstjax.optimize import WHOLE, Objective, Problem, Reference, make_targets, single_taps
from nstjax.progress import progress_bar
from nstjax.runs import Cache, Run, Subject, terms
from nstjax.runs.regions import LabelPictures
from nstjax.sweeps.claims import claim, wait

_CONTENT = ("relu4_2", "relu3_4", "relu2_2", "relu1_2")
# Where all pairs of patches or positions are few; elsewhere they take longer than all other losses.
_PAIRS = ("relu3_1", "relu4_1")
_TAPS = {"mrf": _PAIRS, "contextual": _PAIRS}
_MEASURES = (  # in the order of tables
    *("high_frequency", "checkerboard", "saturation", "clipped"),
    *("content", "ssim", "edge_ssim", "matting_energy"),
    *("colour_mean", "colour_deviation", "colour_wasserstein", "region_colour", "region_gram"),
)
_THUMBNAIL = 512
# Sizes of pictures whose compiled programs are kept at a time; many exceed Linux's `vm.max_map_count`.
_KEPT = 4


def measure_points(
    points: Mapping[str, Run], workdir: Path, encoder: Any, losses: Sequence[str] = ()
) -> None:
    """Writes `measures.json` of finished points that have none by these losses, and the pictures they show.

    Those pictures are left in `pictures/` of the sweep, small, by their hash. Processes that share the folder
    divide the points, and each waits until all are measured.

    Args:
      points: {name: Run}.
      workdir: path of the sweep.
      encoder: the `Encoder` by which losses measure.
      losses: the style losses that do; all of the library where none is named.
    """
    kinds = {name: _kind(run) for name, run in points.items()}
    waiting = _unmeasured(sorted(points, key=kinds.get), workdir, losses)
    cache, last, compiled, said = Cache(), None, set(), False
    with progress_bar(total=len(waiting), unit="picture measured") as bar:
        while waiting:
            with claim(waiting, workdir, 1) as claimed:
                for name in _unmeasured(claimed, workdir, losses):
                    sizes, _ = kind = kinds[name]
                    cache, last = (cache if kind == last else Cache()), kind
                    if len(compiled | {sizes}) > _KEPT:
                        jax.clear_caches()
                        compiled.clear()
                    compiled.add(sizes)
                    _measure(points[name], name, workdir, encoder, cache, losses)
            if not claimed:
                said = wait(waiting, said)
            waiting = _unmeasured(waiting, workdir, losses)
            bar.update(bar.total - len(waiting) - bar.n)


def _kind(run):
    """(sizes, pictures): runs of equal sizes share programs, and of equal pictures their targets as well."""
    config = run.config | (run.config.get("stages") or [{}])[-1]
    shapes = [picture.pixels.shape for picture in (run.content, *run.styles) if picture]
    return str([config["size"], config["style_size"], shapes]), str(run.pictures_key)


def _unmeasured(names, workdir, losses):
    def waits(folder):
        measured = folder / "measures.json"
        if not (folder / "image.png").exists():
            return False
        return not measured.exists() or files.read_json(measured).get("asked", []) != list(losses)

    return [name for name in names if waits(workdir / "points" / name)]


def _measure(run, name, workdir, encoder, cache, losses):
    """Writes `measures.json` of a point, and the pictures that it was made of."""
    for picture in filter(None, (run.content, *run.styles)):
        small = thumbnail(workdir, picture.sha256)
        if not small.exists():
            files.make_folder(small.parent)
            files.write_atomic(small, _jpeg(picture.pixels))
    folder = workdir / "points" / name
    pixels = images.load_picture(str(folder / "image.png")).pixels
    image = jnp.asarray(images.resize(pixels, *pixels.shape[:2]))
    found = measures(run.subject(image.shape[:2]), image, encoder, cache, losses)
    files.write_json(folder / "measures.json", found | {"asked": list(losses)})


def thumbnail(workdir: Path, sha256: str) -> Path:
    """Path of a picture in a sweep's `pictures/`, by the hash of its file."""
    return workdir / "pictures" / f"{sha256[:16]}.jpg"


def measures(
    subject: Subject, image: jax.Array, encoder: Any, cache: Cache, losses: Sequence[str] = ()
) -> dict[str, dict]:
    """Losses of a picture as a whole, without masks, and measures of it.

    Args:
      subject: a `Subject`.
      image: [H, W, 3] float32 sRGB in [0, 1].
      encoder: the `Encoder` by which losses measure.
      cache: a `Cache` of all pictures that one encoder measures by the same losses.
      losses: the style losses that do; all of the library where none is named.

    Returns:
      {"losses": {loss: {tap: number}}, "picture": {measure: number}}. Of a loss, the share that is left of
      its value at the content; without a content, at the image that the run started from. The measure
      "content" is the squared distance of features divided by the squares of the content's. None stands
      for what has no value, as a share of nothing.
    """
    wanted = _terms(subject, encoder.taps, losses or presets.STYLE_LOSSES)
    objective = Objective(encoder.apply, terms.build(wanted))

    def prepare():
        references = {"content": [Reference(subject.start)], "style": subject.styles}
        targets = _targets(encoder.apply, encoder.params, objective.terms, references)
        return targets, _scores(objective, subject.start, encoder.params, targets)

    targets, before = cache(("measured", subject.cache_key, image.shape), prepare)
    after = _scores(objective, image, encoder.params, targets)
    shares = {loss: {} for loss in wanted if loss != "content"}
    for name in after:
        loss, tap = name.split("/", 1)
        if loss in shares:
            shares[loss][tap] = _number(after[name] / before[name]) if before[name] else None
    style = subject.styles[0].image if len(subject.styles) == 1 else None
    picture = _of_picture(image, subject.start if subject.content else None, style)
    if subject.content:
        (tap,) = wanted.content.taps
        features = targets["content"][tap][WHOLE].target
        picture["content"] = after[f"content/{tap}"] / jnp.mean(jnp.square(features))
    if subject.labels and style is not None:
        picture |= region_gaps(subject.labels, image, style, encoder)
    in_order = {name: _number(picture[name]) for name in sorted(picture, key=_MEASURES.index)}
    return {"losses": shares, "picture": in_order}


@jax.jit
def _of_picture(image, content, style):
    """The measures of a picture, beside those of a content and a style where there are."""
    found = {
        "high_frequency": metrics.high_frequency(image),
        "checkerboard": metrics.checkerboard(image),
        "saturation": metrics.saturation(image),
        "clipped": metrics.clipped(image),
    }
    if content is not None:
        found["ssim"] = metrics.ssim(image, content)
        found["edge_ssim"] = metrics.edge_ssim(image, content)
        found["matting_energy"] = metrics.matting_energy(image, content)
    if style is not None:
        gaps = metrics.colour_gaps(image, style)
        found |= {f"colour_{name}": gap for name, gap in gaps.items()}
    return found


def region_gaps(
    labels: LabelPictures, image: jax.Array, style: jax.Array, encoder: Any
) -> dict[str, jax.Array]:
    """Distances of the regions of a picture to those of the style, means over the labels that both have.

    Args:
      labels: `LabelPictures` of one style.
      image: [H, W, 3] sRGB in [0, 1].
      style: [h, w, 3].
      encoder: the `Encoder` by which Gram matrices are compared, at all style taps that it has.

    Returns:
      {"region_colour": `metrics.colour_gaps`' 1-Wasserstein distance, "region_gram": `metrics.gram_gap`, mean
      over the taps}.
    """
    taps = tuple(tap for tap in presets.STYLE_TAPS if tap in encoder.taps)
    ours, theirs = ({"image": x} | _features(encoder.apply, encoder.params, x, taps) for x in (image, style))
    (of_style,) = labels.styles
    colour, gram = [], []
    for label in labels.canvas.masks.keys() & of_style.masks.keys():
        seen, wanted = labels.canvas.masks[label], of_style.masks[label]
        for tap in ("image", *taps):
            where = jax.image.resize(seen, ours[tap].shape[:2], "linear")
            style_where = jax.image.resize(wanted, theirs[tap].shape[:2], "linear")
            if tap == "image":
                gaps = metrics.colour_gaps(image, style, where=where, style_where=style_where)
                colour.append(gaps["wasserstein"])
            else:
                options = {"where": where, "reference_where": style_where}
                gram.append(metrics.gram_gap(ours[tap], theirs[tap], **options))
    return {"region_colour": jnp.mean(jnp.stack(colour)), "region_gram": jnp.mean(jnp.stack(gram))}


_features = jax.jit(lambda apply, params, x, taps: apply(params, x, taps), static_argnums=(0, 3))


def _terms(subject, taps, losses):
    """The terms of a config that measure: content, and style losses at what the encoder reaches."""
    wanted = ml_collections.ConfigDict()
    if subject.content:
        wanted.content = term("feature", next(tap for tap in _CONTENT if tap in taps), reference="content")
    for loss in losses if subject.styles else ():
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
    return objective(image, Problem(params, targets, unweighted, jax.random.key(0)))[1]


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
