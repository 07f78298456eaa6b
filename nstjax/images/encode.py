"""Arrays to files of pictures, with a label in them."""

import io
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, PngImagePlugin

from nstjax.errors import check_choice
from nstjax.images.picture import to_uint8

# How each format is written. JPEG and WebP carry their label as the description in their EXIF.
_OPTIONS: dict[str, dict] = {
    ".png": {"format": "PNG"},
    ".jpg": {"format": "JPEG", "quality": 92, "subsampling": 0},
    ".webp": {"format": "WEBP", "quality": 92, "method": 4},
}
SUFFIXES = tuple(_OPTIONS)


def encode(image: np.ndarray, suffix: str, label: str = "", alpha: np.ndarray | None = None) -> bytes:
    """The bytes of an image in a file format.

    Args:
      image: [H, W, 3] in [0, 1].
      suffix: one of `SUFFIXES`.
      label: a text for people, which `label_of` gives back.
      alpha: [H, W] uint8, its opacity, which a JPEG does not have; None where it is opaque.

    Raises:
      UserError: for another suffix.
    """
    check_choice("format", suffix, SUFFIXES)
    made, text = Image.fromarray(to_uint8(image)), label.encode(errors="backslashreplace").decode()
    if alpha is not None and suffix != ".jpg":
        made.putalpha(Image.fromarray(alpha))
    options = dict(_OPTIONS[suffix])
    if label and suffix == ".png":
        options["pnginfo"] = PngImagePlugin.PngInfo()
        options["pnginfo"].add_text("Comment", text)
    elif label:
        exif = Image.Exif()
        exif[ExifTags.Base.ImageDescription] = text
        options["exif"] = exif
    buffer = io.BytesIO()
    made.save(buffer, **options)
    return buffer.getvalue()


def encode_png(image: np.ndarray, label: str = "") -> bytes:
    """`encode` as PNG, with the label in the text chunk `Comment`."""
    return encode(image, ".png", label)


def label_of(path: str | Path) -> str:
    """The label of a picture that `encode` made; "" where it has none.

    Raises:
      OSError: for a file that is missing or no picture in one of these formats.
    """
    with Image.open(path, formats=[options["format"] for options in _OPTIONS.values()]) as image:
        if image.format == "PNG":
            return image.text.get("Comment", "")
        return image.getexif().get(ExifTags.Base.ImageDescription, "")
