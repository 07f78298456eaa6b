"""Procedural textures, to add variety to the photographs that small networks are trained on."""

import numpy as np


def draw(rng: np.random.Generator, size: int) -> np.ndarray:
    """A random texture.

    Args:
      rng: a `numpy.random.Generator`.
      size: side in pixels.

    Returns:
      [size, size, 3] float32 sRGB in [0, 1].
    """
    kind = rng.choice([_clouds, _stripes, _cells, _discs, _strokes])
    picture = kind(rng, size)
    if rng.random() < 0.3:
        mask = _clouds(rng, size)[..., :1] > 0.5
        picture = np.where(mask, picture, rng.choice([_clouds, _stripes, _cells, _discs])(rng, size))
    return np.clip(picture, 0, 1).astype(np.float32)


def _palette(rng, n):
    """n random colours [n, 3] of random saturation and spread."""
    colours = rng.random((n, 3))
    grey = colours.mean(1, keepdims=True)
    colours = grey + rng.uniform(0, 1.5) * (colours - grey)
    return colours.mean(0) + rng.uniform(0.2, 1.2) * (colours - colours.mean(0))


def _grid(size):
    return np.mgrid[:size, :size].astype(np.float64)


def _clouds(rng, size):
    """Noise with a spectrum that falls as a power of the frequency, from white to smooth."""
    frequency = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None])
    frequency[0, 0] = 1 / size
    spectrum = np.fft.rfft2(rng.normal(size=(3, size, size)))
    field = np.fft.irfft2(spectrum * frequency ** -rng.uniform(0, 2.5), s=(size, size))
    field = (field - field.mean((1, 2), keepdims=True)) / field.std((1, 2), keepdims=True)
    field = np.moveaxis(field, 0, -1) @ rng.normal(size=(3, 3))
    return _palette(rng, 1)[0] + rng.uniform(0.03, 0.3) * field


def _stripes(rng, size):
    """Waves across the picture, soft or hard, once or twice over."""
    y, x = _grid(size)
    wave = np.zeros((size, size))
    for _ in range(rng.integers(1, 3)):
        angle, period = rng.uniform(0, np.pi), np.exp(rng.uniform(np.log(2.5), np.log(size / 2)))
        bend = rng.uniform(0, 2) * np.sin(2 * np.pi * (x - y) / size)
        wave += np.sin(2 * np.pi * (x * np.cos(angle) + y * np.sin(angle)) / period + bend)
    share = 1 / (1 + np.exp(-wave * np.exp(rng.uniform(0, 4))))[..., None]
    first, second = _palette(rng, 2)
    return first + share * (second - first)


def _cells(rng, size):
    """The Voronoi cells of random points, sometimes with dark or bright joints."""
    points = rng.uniform(0, size, (rng.integers(4, 80), 2))
    y, x = _grid(size)
    distance = np.hypot(y[..., None] - points[:, 0], x[..., None] - points[:, 1])
    order = np.partition(distance, 1, axis=-1)
    picture = _palette(rng, len(points))[distance.argmin(-1)]
    joint = (order[..., 1] - order[..., 0])[..., None] < rng.choice([0, 1.5, 3])
    return np.where(joint, _palette(rng, 1)[0], picture)


def _discs(rng, size):
    """Soft-edged discs over one another."""
    y, x = _grid(size)
    picture = np.broadcast_to(_palette(rng, 1)[0], (size, size, 3))
    for colour in _palette(rng, rng.integers(3, 40)):
        radius = np.exp(rng.uniform(np.log(2), np.log(size / 4)))
        distance = np.hypot(y - rng.uniform(0, size), x - rng.uniform(0, size))
        picture = picture + np.clip(radius - distance, 0, 1)[..., None] * (colour - picture)
    return picture


def _strokes(rng, size):
    """Short straight strokes that follow a smooth field of directions."""
    y, x = _grid(size)
    picture = np.broadcast_to(_palette(rng, 1)[0], (size, size, 3))
    turn, width, length = rng.uniform(0, 2 * np.pi), rng.uniform(1, 5), rng.uniform(6, 40)
    for colour in _palette(rng, rng.integers(30, 120)):
        v, u = rng.uniform(0, size, 2)
        angle = turn + 1.5 * np.sin(2 * np.pi * u / size) + rng.normal(0, 0.2)
        along = (x - u) * np.cos(angle) + (y - v) * np.sin(angle)
        across = (y - v) * np.cos(angle) - (x - u) * np.sin(angle)
        inside = np.clip(width - np.abs(across), 0, 1) * np.clip(length - np.abs(along), 0, 1)
        picture = picture + inside[..., None] * (colour - picture)
    return picture
