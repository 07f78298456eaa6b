"""Crops of pictures to train networks on, endless and the same for the same seed."""

import functools

import grain
import numpy as np
from PIL import Image

from nstjax import images
from nstjax.images import textures


def make_batches(pictures, *, size, batch, seed, texture_share=0.0):
    """Random crops of pictures, changed in scale, orientation and colour.

    Args:
      pictures: a sequence of [H, W, 3] uint8 sRGB.
      size: side of a crop in pixels.
      batch: crops in a batch.
      seed: everything follows from it.
      texture_share: share of crops that are procedural textures instead.

    Returns:
      A `grain.MapDataset` without end: batch i is [batch, size, size, 3] float32 in [0, 1], and depends
      on the seed and i alone.
    """
    crops = grain.MapDataset.source(pictures).seed(seed).shuffle().repeat()
    crops = crops.random_map(functools.partial(random_crop, size=size))
    if texture_share:
        drawn = grain.MapDataset.range(1).seed(seed + 1).repeat()
        drawn = drawn.random_map(lambda _, rng: textures.draw(rng, size))
        crops = grain.MapDataset.mix([crops, drawn], [1 - texture_share, texture_share])
    return crops.batch(batch)


def random_crop(picture, rng, *, size):
    """A square of a picture [H, W, 3] uint8, at 0.4 to 1.3 times its scale where the picture allows."""
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
    """Changes contrast, brightness, saturation, white balance and gamma; adds noise now and then."""
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


def load_pictures(names):
    """[H, W, 3] uint8 of every picture, by path or `example:NAME`."""
    return [images.load_picture(str(name)).pixels for name in names]
