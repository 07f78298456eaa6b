"""The tools of every hand: coordinates, noise, colour ramps, strokes and light.

Fields are float32 arrays `[H, W]`; a canvas has twice the picture's sides, and `finish` halves it.
Lengths are fractions of the picture's height, so that a picture keeps its composition at any size.
"""

import numpy as np
from scipy import ndimage

SUPERSAMPLING = 2
NOISE_DEVIATION = 2.0
_SPLINE_DEVIATION = 0.479  # of a bicubic B-spline over white noise of deviation 1


def coordinates(height, width):
    """Centres of the pixels: `y` [H, W] in [0, 1], downwards, and `x` in [0, width / height]."""
    y = (np.arange(height, dtype=np.float32) + 0.5) / height
    x = (np.arange(width, dtype=np.float32) + 0.5) / height
    return np.broadcast_to(y[:, None], (height, width)), np.broadcast_to(x, (height, width))


def mix(first, second, amount):
    """Goes from `first` to `second` as `amount` goes from 0 to 1."""
    return first + (second - first) * amount


def smoothstep(low, high, x):
    """Cubic ramp that is 0 at `low` and 1 at `high`."""
    t = np.clip((x - low) / (high - low), 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


def colours(*codes):
    """Colours [N, 3] float32 in [0, 1] from codes such as "1b3a6b"."""
    return np.array([list(bytes.fromhex(code)) for code in codes], np.float32) / 255.0


def ramp(palette, t):
    """Colours `[..., 3]` at `t` in [0, 1] along a palette [N, 3] of evenly spaced stops."""
    position = np.clip(t, 0.0, 1.0) * (len(palette) - 1)
    stops = np.arange(len(palette))
    channels = [np.interp(position, stops, channel) for channel in palette.T]
    return np.stack(channels, axis=-1).astype(np.float32)


def over(image, colour, alpha):
    """Lays `colour` [3] or [H, W, 3] over the image [H, W, 3] with coverage `alpha` [H, W]."""
    return mix(image, colour, alpha[..., None])


def _spline_weights(length, cells):
    position = (np.arange(length) + 0.5) / length * cells
    knots = np.arange(int(np.ceil(cells)) + 3) - 1.0
    d = np.abs(position[:, None] - knots)
    weights = np.where(d < 1.0, 2.0 / 3.0 - d**2 + d**3 / 2.0, np.maximum(2.0 - d, 0.0) ** 3 / 6.0)
    return weights.astype(np.float32)


def noise(rng, height, width, cells):
    """Smooth noise [H, W] of mean 0 and deviation 2 with `cells` bumps along the height.

    A pair `(rows, columns)` in place of `cells` stretches the bumps; both count along one height.
    """
    rows, columns = cells if isinstance(cells, tuple) else (cells, cells)
    down = _spline_weights(height, rows)
    across = _spline_weights(width, columns * width / height)
    grid = rng.standard_normal((down.shape[1], across.shape[1]), dtype=np.float32)
    return down @ grid @ across.T * np.float32(NOISE_DEVIATION / _SPLINE_DEVIATION)


def fractal(rng, height, width, cells, octaves=4, gain=0.5):
    """Sum of `octaves` noises of doubling frequency and falling strength; deviation about 2."""
    weights = gain ** np.arange(octaves)
    rows, columns = cells if isinstance(cells, tuple) else (cells, cells)
    layers = [
        weight * noise(rng, height, width, (rows * 2**octave, columns * 2**octave))
        for octave, weight in enumerate(weights)
    ]
    return sum(layers) / np.sqrt(np.sum(weights**2))


def sample(field, y, x):
    """Values of `field` [H, W] or [H, W, C] in the pixels at positions `y`, `x`, edges held."""
    height, width = field.shape[:2]
    rows = np.clip(y, 0, height - 1).astype(np.int32)
    columns = np.clip(x, 0, width - 1).astype(np.int32)
    return field[rows, columns]


def trace(angle, start, step, count):
    """Paths [N, count, 2] of (y, x) that follow a field of angles, centred on the starts [N, 2].

    `angle` [H, W] is measured from the x axis towards y; `step` is in pixels, a number or [N].
    """
    halves = []
    for sign in (-1.0, 1.0):
        position, points = start, []
        for _ in range(count // 2):
            theta = sample(angle, position[:, 0], position[:, 1])
            move = np.stack([np.sin(theta), np.cos(theta)], axis=-1)
            position = position + sign * np.reshape(step, (-1, 1)) * move
            points.append(position)
        halves.append(points)
    return np.stack([*halves[0][::-1], start, *halves[1]], axis=1)


def ribbons(paths, widths, shape, density=1.5, chunk=3_000_000):
    """Points that fill strokes, later strokes last: `(rows, columns, stroke, along, across)`.

    Args:
      paths: [N, K, 2] pixel positions (y, x) along each stroke.
      widths: [N, K] full width in pixels at each of these.
      shape: (height, width) of the canvas; points outside are dropped.
      density: points per pixel of length, high enough to leave no holes on a bend.
      chunk: roughly how many points to hold at once.

    Yields:
      Flat arrays: pixel rows and columns, stroke numbers, `along` in [0, 1], `across` in [-1, 1].
    """
    height, width = shape
    count = paths.shape[1]
    tangent = np.gradient(paths, axis=1)
    tangent /= np.maximum(np.linalg.norm(tangent, axis=-1, keepdims=True), 1e-6)
    normal = np.stack([tangent[..., 1], -tangent[..., 0]], axis=-1) * (widths[..., None] / 2.0)
    length = np.linalg.norm(np.diff(paths, axis=1), axis=-1).sum(axis=1).max()
    n_along = max(int(length * density), 2)
    n_across = max(int(widths.max() * density), 2)
    along = np.linspace(0.0, 1.0, n_along, dtype=np.float32)
    across = np.linspace(-1.0, 1.0, n_across, dtype=np.float32)
    position = along * (count - 1)
    knot = np.minimum(position.astype(np.int32), count - 2)
    part = (position - knot)[:, None]
    batch = max(chunk // (n_along * n_across), 1)
    for first in range(0, len(paths), batch):
        centre, side = (
            mix(values[first : first + batch, knot], values[first : first + batch, knot + 1], part)
            for values in (paths.astype(np.float32), normal.astype(np.float32))
        )
        points = centre[:, :, None] + side[:, :, None] * across[:, None]
        rows, columns = np.floor(points[..., 0]).ravel(), np.floor(points[..., 1]).ravel()
        inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
        index = np.flatnonzero(inside)
        per_stroke = n_along * n_across
        yield (
            rows[index].astype(np.int32),
            columns[index].astype(np.int32),
            first + index // per_stroke,
            along[index % per_stroke // n_across],
            across[index % n_across],
        )


def scatter(rng, height, width, spacing):
    """Positions [N, 2] in pixels on a jittered lattice of the given spacing, in random order."""
    rows, columns = int(height / spacing) + 2, int(width / spacing) + 2
    lattice = np.stack(np.meshgrid(np.arange(rows), np.arange(columns), indexing="ij"), axis=-1)
    points = (lattice.reshape(-1, 2) + rng.uniform(-0.9, 0.9, (rows * columns, 2))) * spacing
    return rng.permutation(points)


def relief(thickness, strength, direction=(-0.6, -0.7)):
    """Light on a surface [H, W] from `direction` (y, x): about 0 where it lies flat."""
    down, right = np.gradient(thickness)
    slope = strength * (direction[0] * down + direction[1] * right)
    return slope / np.sqrt(1.0 + slope**2 + (strength * (down - right)) ** 2 * 0.1)


def blur(field, sigma):
    """Gaussian blur of `[H, W]` or `[H, W, C]` by `sigma` pixels."""
    sigmas = (sigma, sigma, 0.0)[: field.ndim]
    return ndimage.gaussian_filter(field, sigmas, mode="nearest", truncate=3.0)


def finish(canvas):
    """Halves a canvas [2 H, 2 W, 3] to the picture [H, W, 3] float32 in [0, 1]."""
    height, width = canvas.shape[0] // SUPERSAMPLING, canvas.shape[1] // SUPERSAMPLING
    blocks = canvas.reshape(height, SUPERSAMPLING, width, SUPERSAMPLING, 3)
    return np.clip(blocks.mean(axis=(1, 3)), 0.0, 1.0).astype(np.float32)
