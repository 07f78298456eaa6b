"""Pictures: files to arrays, upright and as sRGB, and arrays to PNG."""

import dataclasses
import hashlib
import io
import math
import os
from pathlib import Path

import numpy as np
from PIL import Image, ImageChops, ImageCms, ImageOps

from nstjax import files
from nstjax.errors import UserError, notify
from nstjax.images import decode


@dataclasses.dataclass(frozen=True)
class Picture:
    """A picture and the file it comes from.

    Attributes:
      name: a path, or `example:NAME`, as it was given.
      pixels: [H, W, 3] uint8 sRGB, upright.
      sha256: of the file; equal for pictures of equal content.
      notes: conversions on the way, for people to read.
      alpha: [H, W] uint8, 255 where opaque, of a picture with transparent parts; else None.
    """

    name: str
    pixels: np.ndarray
    sha256: str
    notes: tuple[str, ...] = ()
    alpha: np.ndarray | None = None


def load_picture(name: str | Path) -> Picture:
    """Reads a picture in any mode and depth of `decode.formats`; upright, as sRGB, alpha over white.

    Args:
      name: a path, or `example:NAME`.

    Returns:
      `Picture`.

    Raises:
      UserError: for a file that is missing, not a picture, damaged, or has over `decode.MAX_PIXELS` pixels.
    """
    name = str(name)
    data, notes = decode.read(name), []
    image = decode.decode(name, data, notes)
    alpha, pixels = _alpha(image), to_srgb(name, image, notes)
    opacity = None if alpha is None else np.asarray(alpha)
    return Picture(name, pixels, hashlib.sha256(data).hexdigest(), tuple(notes), opacity)


def say_notes(picture: Picture) -> None:
    """Says the notes of a `Picture` on stderr, a line each."""
    for note in picture.notes:
        notify(f"note: {picture.name}: {note}")


def read_aloud(name: str | Path) -> Picture:
    """`load_picture`, with the notes said."""
    picture = load_picture(name)
    say_notes(picture)
    return picture


def fit_size(height: int, width: int, long_side: int) -> tuple[int, int]:
    """A size of the same aspect ratio.

    Args:
      height, width: in pixels.
      long_side: the longer side of the result in pixels.

    Returns:
      (height, width) in pixels, at least 1 each.

    >>> fit_size(300, 400, 200)
    (150, 200)
    """
    scale = long_side / max(height, width)
    return max(round(height * scale), 1), max(round(width * scale), 1)


def resize(pixels: np.ndarray, height: int, width: int) -> np.ndarray:
    """Resizes a picture by an antialiased Lanczos filter.

    Args:
      pixels: [H, W, 3] uint8.
      height, width: of the result, in pixels.

    Returns:
      [height, width, 3] float32 in [0, 1].
    """
    if pixels.shape[:2] != (height, width):
        image = Image.fromarray(pixels).resize((width, height), Image.Resampling.LANCZOS)
        pixels = np.asarray(image)
    return pixels.astype(np.float32) / 255


def calibration_images() -> list[np.ndarray]:
    """The example pictures, [H, W, 3] float32 in [0, 1], long side 256, for Gatys' weight normalisation.

    Photographs and paintings: a filter that hardly fires on one kind would be blown up on the other.
    """
    pictures = [load_picture(f"example:{name}").pixels for name in decode.example_names()]
    return [resize(pixels, *fit_size(*pixels.shape[:2], 256)) for pixels in pictures]


def resize_to_cover(pixels: np.ndarray, height: int, width: int) -> np.ndarray:
    """Scales a picture until it covers a size, and crops its centre.

    Args:
      pixels: [H, W, 3] uint8.
      height, width: of the result, in pixels.

    Returns:
      [height, width, 3] float32 in [0, 1].
    """
    image = ImageOps.fit(Image.fromarray(pixels), (width, height), Image.Resampling.LANCZOS)
    return np.asarray(image).astype(np.float32) / 255


def rotate(pixels: np.ndarray, degrees: float) -> np.ndarray:
    """Turns a picture [H, W, 3] uint8 about its centre, anticlockwise; reflections fill the corners."""
    if degrees == 0:
        return pixels
    h, w = pixels.shape[:2]
    pad = round(math.hypot(h, w) - min(h, w)) // 2 + 2
    wider = np.pad(pixels, ((pad, pad), (pad, pad), (0, 0)), mode="symmetric")
    turned = np.asarray(Image.fromarray(wider).rotate(degrees, Image.Resampling.BICUBIC))
    return turned[pad : pad + h, pad : pad + w]


def to_uint8(image: np.ndarray) -> np.ndarray:
    """Image [H, W, 3] float, clipped to [0, 1] and rounded to uint8."""
    return np.rint(np.clip(np.asarray(image, np.float32), 0, 1) * 255).astype(np.uint8)


def to_srgb(name: str, image: Image.Image, notes: list[str]) -> np.ndarray:
    """[H, W, 3] uint8 sRGB of a decoded picture in any mode, composited on white.

    Args:
      name: for the messages.
      image: the picture.
      notes: lines on conversions are added to it.

    Raises:
      UserError: for values that are not finite.
    """
    profile = image.info.get("icc_profile")
    if image.mode.startswith("I") or image.mode == "F":
        image = _to_8_bits(name, image, notes)
    alpha = _alpha(image)
    if image.mode not in ("L", "RGB", "CMYK", "LAB"):
        image = image.convert("L" if image.mode in ("1", "LA") else "RGB")
    image = _apply_profile(image, profile, notes)
    if alpha is not None:
        notes.append("transparent parts laid over white")
        image = Image.composite(image, Image.new("RGB", image.size, "white"), alpha)
    return np.asarray(image)


def _alpha(image):
    """The opacity of a picture, of mode L; None where all of it is opaque."""
    if not image.has_transparency_data:
        return None
    alpha = image.convert("RGBA").getchannel("A")
    return alpha if alpha.getextrema()[0] < 255 else None


def _to_8_bits(name, image, notes):
    """A grey picture of mode I or F as mode L; white is the first of 1, 255, 65535 not exceeded."""
    values = np.asarray(image, np.float64)
    if not np.isfinite(values).all():
        raise UserError(f"picture {name}: has values that are not finite")
    white = 65535.0
    if ";" not in image.mode:
        brightest = values.max(initial=0)
        white = next((top for top in (1.0, 255.0, 65535.0) if brightest <= top), brightest)
        notes.append(f"its values were divided by {white:.6g}")
    return Image.fromarray(np.rint(np.clip(values / white, 0, 1) * 255).astype(np.uint8))


def _apply_profile(image, profile, notes):
    """A picture of mode L, RGB, CMYK or LAB as sRGB, by its ICC profile if that can be applied."""
    plain = image.convert("RGB")
    if profile:
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            grey = image.mode == "L" and source.profile.xcolor_space.strip() == "GRAY"
            encoded = plain if image.mode == "L" and not grey else image
            srgb = ImageCms.createProfile("sRGB")
            converted = ImageCms.profileToProfile(encoded, source, srgb, outputMode="RGB")
            if max(most for _, most in ImageChops.difference(plain, converted).getextrema()) <= 2:
                return plain  # sRGB by another name, up to rounding.
            description = ImageCms.getProfileDescription(source).strip()
            notes.append(f"converted from the colour profile {description!r} to sRGB")
            return converted
        except (ImageCms.PyCMSError, OSError):
            notes.append("its colour profile cannot be applied and is ignored")
    if image.mode == "CMYK":
        notes.append("converted from CMYK without a colour profile")
    return plain


def picture_files(folder: str | Path, *, deep: bool = False) -> list[Path]:
    """Paths of the pictures in a folder, sorted; hidden files are skipped.

    A picture is what has one of `decode.suffixes`, or that of HEIC: one that cannot be read is refused where
    it is read, and not left out.

    Args:
      folder: path of the folder.
      deep: whether to look into the folders in it, but for hidden ones.

    Raises:
      UserError: for a folder that does not exist, or holds no picture.
    """
    path, found = files.user_path(folder), []
    known = {*decode.suffixes(), *decode.HEIC}
    with files.reading(path):
        if not path.is_dir():
            raise UserError(f"data {folder}: no such folder; expected one with pictures")
        for place, inner, names in os.walk(path, onerror=_raise):
            inner[:] = [name for name in inner if not name.startswith(".")] if deep else []
            shown = [name for name in names if not name.startswith(".")]
            found += [Path(place, name) for name in shown if Path(name).suffix.lower() in known]
    if not found:
        raise UserError(f"data {folder}: no picture in it; expected {', '.join(decode.formats())}")
    return sorted(found)


def _raise(error):
    raise error
