"""Crops of pictures to train networks on, endless and the same for the same seed."""

import functools
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

import numpy as np
from PIL import Image

from nstjax.errors import UserError
from nstjax.images import textures


def import_grain() -> ModuleType:
    """The library that feeds batches, which only the extra `train` installs.

    Raises:
      UserError: if it is not installed.
    """
    try:
        import grain
    except ImportError:
        raise UserError(
            "training needs the package grain, which is not installed; install nstjax[train]"
        ) from None
    return grain


def make_batches(
    pictures: Sequence[np.ndarray], *, size: int, batch: int, seed: int, texture_share: float = 0.0
) -> Any:
    """Random crops of pictures, varied in scale, orientation and colour.

    Args:
      pictures: a sequence of [H, W, 3] uint8 sRGB.
      size: side of a crop in pixels.
      batch: crops in a batch.
      seed: of all random choices.
      texture_share: share of the crops, in [0, 1], to replace by procedural textures.

    Returns:
      An endless `grain.MapDataset`: batch i is [batch, size, size, 3] float32 in [0, 1], and depends on the
      seed and i alone.

    Raises:
      UserError: if grain is not installed.
    """
    return make_crops(pictures, random_crop, size=size, seed=seed, texture_share=texture_share).batch(batch)


def make_crops(
    pictures: Sequence[np.ndarray], cut: Callable, *, size: int, seed: int, texture_share: float = 0.0
) -> Any:
    """An endless `grain.MapDataset` of crops [size, size, 3], in an order that follows from the seed.

    Args:
      pictures: a sequence of [H, W, 3] uint8 sRGB.
      cut: `cut(picture, rng, size=...)`, such as `random_crop`.
      size, seed, texture_share: as of `make_batches`.

    Raises:
      UserError: if grain is not installed.
    """
    grain = import_grain()
    crops = grain.MapDataset.source(pictures).seed(seed).shuffle().repeat()
    crops = crops.random_map(functools.partial(cut, size=size))
    if texture_share:
        drawn = grain.MapDataset.range(1).seed(seed + 1).repeat()
        drawn = drawn.random_map(lambda _, rng: textures.draw(rng, size))
        crops = grain.MapDataset.mix([crops, drawn], [1 - texture_share, texture_share])
    return crops


def random_crop(picture: np.ndarray, rng: np.random.Generator, *, size: int) -> np.ndarray:
    """A random square of a picture, at 0.4 to 1.3 times its scale as far as the picture is large enough.

    Args:
      picture: [H, W, 3] uint8 sRGB.
      rng: draws the square and its variation in orientation and colour.
      size: side of the result in pixels.

    Returns:
      [size, size, 3] float32 sRGB in [0, 1].
    """
    shorter = min(picture.shape[:2])
    side = min(shorter, size / np.exp(rng.uniform(np.log(0.4), np.log(1.3))))
    top, left = (rng.uniform(0, n - side) for n in picture.shape[:2])
    box = (left, top, left + side, top + side)
    crop = Image.fromarray(picture).resize((size, size), Image.Resampling.LANCZOS, box)
    image = np.asarray(crop, np.float32) / 255
    image = np.rot90(image, rng.integers(4)) if rng.random() < 0.3 else image
    image = image[:, ::-1] if rng.random() < 0.5 else image
    return np.ascontiguousarray(_jitter(image, rng), np.float32)


def _jitter(image, rng):
    """Varies contrast, brightness, saturation, white balance and gamma; adds noise to one crop in five."""
    if rng.random() < 0.7:
        grey, mean = image.mean(-1, keepdims=True), image.mean((0, 1))
        image = grey + rng.uniform(0.3, 1.6) * (image - grey)
        image = mean + rng.uniform(0.5, 1.5) * (image - mean) + rng.normal(0, 0.08)
        image = np.clip(image * rng.uniform(0.85, 1.15, 3), 0, 1) ** np.exp(rng.normal(0, 0.25))
    if rng.random() < 0.1:
        image = image[..., rng.permutation(3)]
    if rng.random() < 0.2:
        image = image + rng.normal(0, rng.uniform(0, 0.15), image.shape)
    return np.clip(image, 0, 1)
