"""Batches that a network learns from: crops, each with a style and strengths to be taken."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from nstjax.errors import UserError
from nstjax.feedforward.loss import Batch
from nstjax.training import data

AUGMENTATIONS = ("crop", "jitter")
LARGEST = 1.5  # of a picture's shorter side, in crops


def make_batches(
    pictures: Sequence[np.ndarray],
    *,
    crop: int,
    batch: int,
    seed: int,
    augmentation: str = "crop",
    texture_share: float = 0.0,
    styles: int = 1,
    ranges: Sequence[tuple[float, float]] = (),
    share: tuple[int, int] = (0, 1),
) -> Any:
    """An endless `grain.MapDataset` of `Batch`es; batch i depends on the seed and i alone.

    Args:
      pictures: a sequence of [H, W, 3] uint8 sRGB.
      crop: side of a crop in pixels.
      batch: crops in a batch.
      seed: of all random choices.
      augmentation: "crop" (a square of a picture whose shorter side is 1 to 1.5 crops, half of them mirrored)
        or "jitter" (`nstjax.training.data.random_crop`: scale, orientation, colour and noise vary).
      texture_share: share of the crops, in [0, 1), to replace by procedural textures.
      styles: how many styles to draw from, all alike.
      ranges: (least, largest) of each strength. Its logarithm is drawn as that of the least plus u^2 of what
        lies between, u uniform in [0, 1]: weak ones, which learn little from others, come more often.
      share: (p, n) for part p of n of each batch, which are equally large.

    Raises:
      UserError: if grain is not installed, or parts cannot be equal.
    """
    cut = {"crop": crop_and_flip, "jitter": data.random_crop}[augmentation]
    crops = data.make_crops(pictures, cut, size=crop, seed=seed, texture_share=texture_share)
    least, largest = np.log2(np.reshape(ranges, (-1, 2))).T

    def complete(image, rng):
        strengths = least + (largest - least) * rng.uniform(size=len(least)) ** 2
        style, draw = np.int32(rng.integers(styles)), np.uint32(rng.integers(2**32))
        return Batch(image, style, strengths.astype(np.float32), draw)

    part, parts = share
    if batch % parts:
        raise UserError(f"batch must be a multiple of {parts}, the number of processes; got {batch}")
    return crops.seed(seed + 2).random_map(complete)[part::parts].batch(batch // parts)


def crop_and_flip(picture: np.ndarray, rng: np.random.Generator, *, size: int) -> np.ndarray:
    """A random square of a picture whose shorter side is 1 to 1.5 times as long, mirrored half of the time.

    Args:
      picture: [H, W, 3] uint8 sRGB; its shorter side is at least `size`, unless it is enlarged.
      rng: draws the square.
      size: side of the result in pixels.

    Returns:
      [size, size, 3] float32 sRGB in [0, 1].
    """
    shorter = min(picture.shape[:2])
    side = shorter / rng.uniform(1, min(LARGEST, max(shorter / size, 1)))
    top, left = (rng.uniform(0, n - side) for n in picture.shape[:2])
    box = (left, top, left + side, top + side)
    image = Image.fromarray(picture).resize((size, size), Image.Resampling.LANCZOS, box)
    pixels = np.asarray(image, np.float32) / 255
    return np.ascontiguousarray(pixels[:, ::-1] if rng.random() < 0.5 else pixels)
