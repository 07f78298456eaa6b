"""Label pictures: a region for each label, as people paint, select or export them."""

import dataclasses
import hashlib
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from scipy import ndimage

from nstjax import files
from nstjax.errors import UserError, check_choice
from nstjax.images import decode
from nstjax.images.picture import Picture, load_picture, picture_files, to_srgb

# The labels of luanfujun/deep-photo-styletransfer, in sRGB.
LABELS = {
    "black": (0, 0, 0),
    "blue": (0, 0, 255),
    "green": (0, 255, 0),
    "grey": (128, 128, 128),
    "light blue": (0, 255, 255),
    "purple": (255, 0, 255),
    "red": (255, 0, 0),
    "white": (255, 255, 255),
    "yellow": (255, 255, 0),
}
RULES = ("nearest", "strict")
# The distance in any channel, of 255, from which a pixel is of no label: as in the program of those labels.
TOLERANCE = 25
# The spread of a channel, of 255, under which 3 x 3 pixels are of one colour, and no smooth edge.
_FLAT = 12
# The side in pixels of a square near one label that is a region in any colours: more than edges are wide.
_NOISY_SIDE = 9
# A smaller share of a picture is an artefact of edges, not a region.
LEAST_AREA = 1e-3
_SMALL_AREA = 0.01
_FEW_UNLABELLED, _MANY_UNLABELLED = 0.02, 1 / 3
_SAMPLE = 100_000  # pixels, to say which colour is there most often
_LARGEST_INDEX = 63  # of a grey picture that holds numbers of labels, and not tones
_LOSSY = ("JPEG", "MPO", "WEBP", "AVIF", "JPEG2000")


@dataclasses.dataclass(frozen=True)
class LabelPicture(Picture):
    """A label picture.

    Attributes:
      masks: {label: [H, W] float32 of 0 and 1}; together they cover the picture, but by the rule "strict".
    """

    masks: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class _Source:
    """A label picture as decoded: colours [H, W, 3], which are opaque [H, W] or None, numbers or None.

    Its notes are on the file, those of its colours on how they were converted.
    """

    name: str
    sha256: str
    notes: list[str]
    notes_of_colours: list[str]
    colours: np.ndarray
    opaque: np.ndarray | None
    numbers: np.ndarray | None
    has_palette: bool


def load_labels(names: Sequence[str], *, rule: str = "nearest") -> tuple[LabelPicture, ...]:
    """Reads label pictures whose regions are to be paired, all in the same way where that is possible.

    - Colours: every pixel is of the nearest of `LABELS`. What is too thin for 3 x 3 pixels of one colour,
      such as the smooth edge between two regions, and labels under `LEAST_AREA` go to what is nearest.
    - Numbers: a palette whose colours are not `LABELS`, and a grey picture of 0, 1, 2 ... up to 63. Labels
      are the numbers as they are; only those under `LEAST_AREA` go to what is nearest.
    - Transparency: transparent pixels are a region of their own, white, or black where white is painted.
    - A `.npy` file of integers [H, W] from 0 to 255: numbers.
    - A folder: a mask a file, whose name is the label; what is brighter than the middle is in it. A pixel of
      two masks belongs to the smaller one, and one of none to the region `rest`.

    Args:
      names: paths, or `example:NAME`s.
      rule: "nearest"; or "strict", by which a colour is a label only where each channel is below 0.1 or above
        0.9 of white, as the label's is, or, for grey, in (0.4, 0.6): the pixels of other colours are in no
        region, as in luanfujun/deep-photo-styletransfer.

    Returns:
      A `LabelPicture` each; the shares of its regions are among its notes.

    Raises:
      UserError: as `load_picture`; for a picture with over a third of its pixels near no label, and for
        integers that are none.
    """
    check_choice("rule", rule, RULES)
    folders = {name: _of_folder(name) for name in names if _is_folder(name)}
    sources = _filled([_read(name) for name in names if name not in folders])
    numbered = any(_must_be_numbers(source) for source in sources)
    strict = rule == "strict"
    read = folders | {source.name: _label_picture(source, numbered, strict) for source in sources}
    return tuple(read[name] for name in names)


def merged(picture: LabelPicture, into: Mapping[str, str]) -> LabelPicture:
    """A label picture whose regions {label: another} belong to another, where there are such."""
    masks, said = dict(picture.masks), []
    for label, other in into.items():
        if label in masks and label != other:
            masks[other] = np.maximum(masks.pop(label), masks.get(other, np.float32(0)))
            said.append(f"region {label!r} counts as {other!r}")
    return dataclasses.replace(picture, masks=masks, notes=(*picture.notes, *said))


def _is_folder(name):
    path = files.user_path(name) if name else Path()
    with files.reading(path):
        return bool(name) and path.is_dir()


def _of_folder(name):
    """The `LabelPicture` of a folder with a mask a file."""
    paths = picture_files(name)
    read = [load_picture(path) for path in paths]
    shapes = {picture.pixels.shape[:2] for picture in read}
    if len(shapes) > 1:
        sizes = ", ".join(
            f"{path.name} {p.pixels.shape[1]} x {p.pixels.shape[0]}"
            for path, p in zip(paths, read, strict=True)
        )
        raise UserError(f"mask {name}: expected masks of one size; got {sizes}")
    labels = [*(path.stem for path in paths), "rest"]
    if double := [label for label in labels if labels.count(label) > 1]:
        raise UserError(f"mask {name}: two masks are called {double[0]!r}; rename a file")
    clear = [np.zeros(p.pixels.shape[:2], bool) if p.alpha is None else p.alpha <= 127 for p in read]
    stacked = np.stack([(p.pixels.max(-1) > 127) & ~away for p, away in zip(read, clear, strict=True)])
    sizes, several = stacked.sum((1, 2)), np.mean(stacked.sum(0) > 1)
    smallest_first = np.argsort(sizes, kind="stable")
    owner = np.where(stacked.any(0), smallest_first[stacked[smallest_first].argmax(0)], len(paths))
    notes = [f"mask {label!r} is empty" for label, size in zip(labels, sizes, strict=False) if not size]
    if several:
        notes.append(f"{_percent(several)} of the pixels are in several masks, and belong to the smallest")
    palette = np.uint8([*LABELS.values()])
    digest = hashlib.sha256(
        "".join(label + p.sha256 for label, p in zip(labels, read, strict=False)).encode()
    )
    source = _Source(name, digest.hexdigest(), notes, [], palette[owner % len(palette)], None, None, False)
    return _made(source, owner, labels, notes)


def _read(name):
    if str(name).lower().endswith(".npy"):
        return _read_numbers(name)
    data, notes, notes_of_colours = decode.read(name), [], []
    image = decode.decode(name, data, notes)
    kind = image.format
    opaque, numbers, has_palette = None, None, image.mode == "P"
    if has_palette:
        numbers = _few(np.asarray(image))
    if image.has_transparency_data:
        alpha = np.asarray(image.convert("RGBA").getchannel("A"))
        opaque = None if alpha.min() == alpha.max() > 0 else alpha > alpha.max() / 2
        image = image.convert("RGBA").convert("RGB")
    if not has_palette and opaque is None and kind not in _LOSSY:
        numbers = _small_integers(np.asarray(image))
    colours = to_srgb(name, image, notes_of_colours)
    digest = hashlib.sha256(data).hexdigest()
    return _Source(name, digest, notes, notes_of_colours, colours, opaque, numbers, has_palette)


def _read_numbers(name):
    data = decode.read(name)
    try:
        numbers = np.load(io.BytesIO(data), allow_pickle=False)
    except (ValueError, EOFError, OSError):
        raise UserError(f"mask {name} is not a file of an array, as numpy.save writes") from None
    if numbers.ndim != 2 or not numbers.size or numbers.dtype.kind not in "biu":
        raise UserError(
            f"mask {name}: expected integers [H, W]; got {numbers.dtype.name} {list(numbers.shape)}"
        )
    if not 0 <= numbers.min() <= numbers.max() <= 255:
        raise UserError(f"mask {name}: labels must be from 0 to 255; got {numbers.min()} to {numbers.max()}")
    numbers = numbers.astype(np.uint8)
    colours = np.uint8([*LABELS.values()])[numbers % len(LABELS)]
    return _Source(name, hashlib.sha256(data).hexdigest(), [], [], colours, None, numbers, False)


def _few(numbers):
    """The indices of a palette, or None where they are too many for labels."""
    return numbers if len(np.unique(numbers)) <= _LARGEST_INDEX + 1 else None


def _small_integers(values):
    """[H, W] the values of a grey picture, or None where they are tones, or it is in colour."""
    if values.ndim == 3 and (values == values[..., :1]).all():
        values = values[..., 0]
    if values.ndim != 2 or not 0 <= values.min() <= values.max() <= _LARGEST_INDEX:
        return None
    return values.astype(np.uint8) if (values == np.rint(values)).all() else None


def _filled(sources):
    """The sources, their transparent pixels in the colour of one label that is painted in none of them."""
    painted = set()
    for source in sources:
        if source.opaque is not None:
            counts = np.bincount(_nearest(source.colours)[0][source.opaque], minlength=len(LABELS))
            seen = counts > LEAST_AREA * counts.sum()
            painted |= {label for label, is_seen in zip(LABELS, seen, strict=True) if is_seen}
    free = next((label for label in ("white", "black", *LABELS) if label not in painted), "white")
    return [source if source.opaque is None else _with_background(source, free) for source in sources]


def _with_background(source, label):
    colours = np.where(source.opaque[..., None], source.colours, np.uint8(LABELS[label]))
    said = f"transparent parts are the region {label!r}"
    return dataclasses.replace(source, colours=colours, notes_of_colours=[*source.notes_of_colours, said])


def _must_be_numbers(source):
    """Whether a picture can be read as numbers, and its colours are not those of labels."""
    if source.numbers is None:
        return False
    if not source.has_palette:
        return source.numbers.max() > 0
    _, far = _nearest(source.colours)
    return np.mean(far & _windows(source.numbers)) >= LEAST_AREA


def _label_picture(source, numbered, strict):
    notes = source.notes
    if numbered and source.numbers is not None:
        labels = [str(number) for number in range(256)]
        numbers = _given_away(source.numbers, *np.ones((2, *source.numbers.shape), bool))
    elif strict:
        labels, numbers = [*LABELS], _strict(source.colours)
        outside = np.mean(numbers == len(LABELS))
        notes = [*notes, *source.notes_of_colours, f"{_percent(outside)} of its pixels are in no region"]
    else:
        labels, (numbers, far) = [*LABELS], _nearest(source.colours)
        notes = [*notes, *source.notes_of_colours, *_notes_of_unlabelled(source, far)]
        numbers = _given_away(numbers, *_inside_and_beside(source.colours, numbers, far))
    return _made(source, numbers, labels, notes)


def _made(source, numbers, labels, notes):
    """The `LabelPicture` of numbers [H, W] of labels; a number beyond them is in no region."""
    shares = np.bincount(numbers.ravel(), minlength=len(labels))[: len(labels)] / numbers.size
    found = {labels[i]: shares[i] for i in np.flatnonzero(shares)}
    said = ", ".join(f"{label} {_percent(share)}" for label, share in found.items())
    small = {label: share for label, share in found.items() if share < _SMALL_AREA}
    of_small = (f"region {label!r} is only {_percent(share)} of it" for label, share in small.items())
    masks = {labels[i]: (numbers == i).astype(np.float32) for i in np.flatnonzero(shares)}
    notes = (*notes, f"regions: {said}", *of_small)
    return LabelPicture(source.name, source.colours, source.sha256, notes, masks=masks)


def _nearest(colours):
    """([H, W] index of the nearest of `LABELS`, [H, W] whether it is further than `TOLERANCE`)."""
    shifts = np.uint32([16, 8, 0])
    codes = (colours.astype(np.uint32) << shifts) @ np.ones(3, np.uint32)
    codes, where = np.unique(codes, return_inverse=True)  # a label picture has few colours
    gaps = np.int32((codes[:, None] >> shifts) & 255)[:, None] - np.int32([*LABELS.values()])
    nearest = np.square(gaps).sum(-1).argmin(-1).astype(np.uint8)
    far = (np.abs(gaps).max(-1) > TOLERANCE).all(-1)
    return tuple(found[where].reshape(colours.shape[:2]) for found in (nearest, far))


def _strict(colours):
    """[H, W] index of the label that every channel is strictly of, or the number of labels for none."""
    result = np.full(colours.shape[:2], len(LABELS), np.uint8)
    low, high = colours < 0.1 * 255, colours > 0.9 * 255
    middle = (colours > 0.4 * 255) & (colours < 0.6 * 255)
    for i, colour in enumerate(LABELS.values()):
        fits = [{0: low, 128: middle, 255: high}[value][..., channel] for channel, value in enumerate(colour)]
        result[np.all(fits, 0)] = i
    return result


def _notes_of_unlabelled(source, far):
    """A note on pixels of no label, where they are not few; raises UserError where they are many."""
    share = np.mean(far)
    if share <= _FEW_UNLABELLED:
        return []
    some = source.colours[far][:: max(far.sum() // _SAMPLE, 1)]
    colours, counts = np.unique(some, axis=0, return_counts=True)
    often = tuple(colours[counts.argmax()].tolist())
    if share > _MANY_UNLABELLED:
        raise UserError(
            f"mask {source.name}: {_percent(share)} of its pixels are near none of the label colours "
            f"{', '.join(LABELS)}, most often {often}; paint it in those, or save label numbers as a palette "
            "or grey PNG"
        )
    return [
        f"{_percent(share)} of its pixels are near no label colour, most often {often}, and go to the nearest"
    ]


def _windows(numbers, side=3):
    """[H, W] whether the side x side pixels around each are of one label."""
    return ndimage.maximum_filter(numbers, side) == ndimage.minimum_filter(numbers, side)


def _inside_and_beside(colours, nearest, far):
    """[H, W] whether a pixel is inside a region, and whether it is no smooth edge between two.

    Inside are 3 x 3 pixels of one colour, and more near one label. The pixels of a smooth edge have darker
    and brighter ones around them.
    """
    most, least = (f(colours, (3, 3, 1)) for f in (ndimage.maximum_filter, ndimage.minimum_filter))
    flat = (most - least <= _FLAT).all(-1)
    noisy = _windows(np.where(far, np.uint8(255), nearest), _NOISY_SIDE) & ~far
    between = ((colours - least > _FLAT) & (most - colours > _FLAT)).any(-1)
    return flat & _windows(nearest) | noisy, ~between


def _given_away(numbers, inside, joining):
    """Numbers [H, W] with what is thin, or of a small label, given to the nearest of the rest.

    Args:
      numbers: [H, W] of labels.
      inside: [H, W] whether the pixel is inside a region.
      joining: [H, W] whether the pixel belongs to the region that it touches, if that is of its label.
    """
    kept, around = np.zeros(numbers.shape, bool), np.ones((3, 3))
    for number in np.unique(numbers[inside]):
        own = numbers == number
        region = ndimage.binary_propagation(inside & own, around, own & joining)
        if np.mean(region) >= LEAST_AREA:
            kept |= ndimage.binary_dilation(region, around, mask=own)
    if not kept.any() or kept.all():
        return numbers
    return numbers[tuple(ndimage.distance_transform_edt(~kept, return_distances=False, return_indices=True))]


def _percent(share):
    return f"{share:.0%}" if share >= 0.1 else f"{share:.1%}"
