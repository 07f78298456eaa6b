"""Pictures as arrays, from a file and to a file."""

from pathlib import Path

import numpy as np

from nstjax import files
from nstjax.images.encode import encode_png
from nstjax.images.picture import fit_size, load_picture, resize


def load(name: str | Path, size: int | None = None) -> np.ndarray:
    """A picture as [H, W, 3] float32 sRGB in [0, 1].

    Args:
      name: a path, or `example:NAME`.
      size: the long side in pixels to resize to; None keeps the size of the file.

    Raises:
      UserError: as `load_picture`.
    """
    pixels = load_picture(name).pixels
    shape = pixels.shape[:2] if size is None else fit_size(*pixels.shape[:2], size)
    return resize(pixels, *shape)


def save(path: str | Path, image: np.ndarray) -> None:
    """Writes an image [H, W, 3] in [0, 1] as PNG.

    Raises:
      UserError: where the file cannot be written.
    """
    files.write_atomic(files.user_path(path), encode_png(image))
