"""Leaded glass: a sun with bent rays over mountains and a lake, poppies in front, framed."""

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from tools.paintings import canvas
from tools.paintings.canvas import mix, ramp, smoothstep

SUN = canvas.colours("ffeb9c", "ffd75e", "ffb52e")
SKY = canvas.colours("ffc845", "fb8c24", "ec4f30", "c92c62", "7f2fa6", "3440c4", "1a5ad0", "10379c")
CLOUD = canvas.colours("f2c4ac", "efe0c8", "e2a8bc", "b8a4e0")
PEAK = canvas.colours("2b1f7a", "4a35a8", "7a52c0", "a874cc")
RANGE = canvas.colours("0c3f7a", "125f9c", "1d86a8", "49b0b0")
HILL = canvas.colours("06522f", "0f7a3e", "3f9e3c", "9ac23c", "d8d04a")
LAKE = canvas.colours("0a2a78", "0f55a8", "1287b8", "35bcc0", "a8e6d0")
GLINT = canvas.colours("ff9a3a", "ffc94a", "fff0a8")
LEAF = canvas.colours("04402a", "0a6a34", "2f9440", "86bc3a")
PETAL = canvas.colours("6a0418", "a80a22", "dc1e2a", "f4532e", "ff8a4a")
HEART = canvas.colours("2a0a2e", "5a1a4a", "f0b030")
RUBY = canvas.colours("5a0420", "9c0c2c", "cc2038")
COBALT = canvas.colours("0a1a70", "1434a8", "2a5cd8")

SUN_AT = (0.27, 0.52)
BORDER = 0.052
POPPIES = (
    (0.600, 0.150, 0.085, 1.0),
    (0.745, 0.285, 0.125, 0.2),
    (0.635, 0.870, 0.075, 0.5),
    (0.775, 0.770, 0.115, 2.3),
    (0.865, 0.520, 0.080, 1.7),
)
BLADES = (
    (0.17, 0.66, -0.05, 0.030),
    (0.38, 0.74, 0.08, 0.032),
    (0.10, 0.76, 0.06, 0.030),
    (0.64, 0.72, -0.07, 0.032),
    (0.90, 0.70, -0.05, 0.030),
    (0.80, 0.82, 0.12, 0.030),
)


class _Window:
    """Panes laid so far: numbers of the form and of the pane at each pixel, and its colour."""

    def __init__(self, height, width):
        self.form = np.zeros((height, width), np.int32)
        self.pane = np.zeros((height, width), np.int32)
        self.colour = np.zeros((height, width, 3), np.float32)

    def lay(self, inside, cut, palette, tone):
        """Puts a form on top: `cut` numbers its panes, `tone` in [0, 1] runs along its palette."""
        self.form[inside] = self.form.max() + 1
        cut = np.broadcast_to(cut, inside.shape)[inside].astype(np.int32)
        self.pane[inside] = cut - cut.min(initial=0) + self.pane.max() + 1
        self.colour[inside] = ramp(palette, np.broadcast_to(tone, inside.shape)[inside])


def _shards(rng, y, x, spacing, stretch):
    """Numbers of irregular cells about `spacing` high and `stretch` times as wide."""
    height, width = y.shape
    seeds = canvas.scatter(rng, height, width / stretch, spacing * height) / height
    position = np.stack([y, x / stretch], axis=-1).reshape(-1, 2)
    return cKDTree(seeds).query(position)[1].reshape(y.shape)


def _sky(rng, window, y, x, warp):
    cy, cx = SUN_AT[0], SUN_AT[1] * x[0, -1]
    r = np.hypot(y - cy, x - cx) * (1.0 + 0.02 * warp)
    disc = 0.090
    ring = np.floor(np.log(np.maximum(r, disc) / disc) / 0.36).astype(np.int32)
    turn = np.arctan2(y - cy, x - cx) / (2.0 * np.pi) + 0.07 * np.log(r / disc) + 0.004 * warp
    sectors = np.array([7, 14, 14, *[28] * 7])[ring]
    offset = rng.uniform(-0.12, 0.12, 10)[ring] + 0.5 * (ring % 2)
    sector = np.floor(turn * sectors + offset).astype(np.int32) % sectors
    flare = 0.07 * np.sin(2.0 * np.pi * 7.0 * turn)
    tone = np.clip((r - disc) / 0.50, 0.0, 1.0) ** 0.8 + flare
    window.lay(r >= disc, ring * 64 + sector, SKY, tone)
    petals = np.floor(turn * 7.0).astype(np.int32)
    window.lay(r < disc, np.where(r < 0.55 * disc, 99, petals), SUN, r / disc)
    for level, thick, bend, left, right in (
        (0.130, 0.034, 0.02, -0.1, 0.42),
        (0.385, 0.036, -0.01, 0.62, 1.2),
        (0.430, 0.030, 0.01, -0.2, 0.34),
    ):
        along = (x / x[0, -1] - left) / (right - left)
        body = thick * np.clip(4.0 * along * (1.0 - along), 0.0, 1.0) ** 0.6
        centre = level + bend * np.sin(5.0 * along) + 0.004 * warp
        body = body * (1.0 + 0.35 * np.sin(17.0 * along + 40.0 * level))
        split = y > centre + 0.35 * thick * np.sin(9.0 * along)
        cut = np.floor(along * 3.5 + 0.4 * split) + 40 * split
        window.lay(np.abs(y - centre) < body, cut, CLOUD, 0.5 + (y - centre) / thick * 0.5)


def _land(rng, window, y, x, warp):
    aspect = x[0, -1]
    shards = _shards(rng, y + 0.008 * warp, x, 0.085, 1.25)
    ridges = (
        (PEAK, 0.50, 0.17 * np.abs((1.9 * x / aspect + 0.83) % 1.0 - 0.5) * 2.0),
        (RANGE, 0.545, 0.10 * np.abs((2.7 * x / aspect + 0.25) % 1.0 - 0.5) * 2.0),
        (HILL, 0.558, 0.035 * np.sin(5.2 * x + 1.0) + 0.012 * np.sin(13.0 * x)),
    )
    for palette, level, rise in ridges:
        below = y - level + rise - 0.03 + 0.006 * warp
        tone = 0.72 - 4.0 * below + 0.10 * np.sin(3.0 * warp)
        window.lay(below > 0.0, shards + 999 * (below > 0.055), palette, tone)
    shore = y - 0.605 - 0.008 * np.sin(9.0 * x)
    depth = np.maximum(shore + 0.10, 0.01)
    wave = 8.0 * np.log(depth / 0.10) + 0.30 * np.sin(14.0 * x + 7.0 * depth) + 0.12 * warp
    row = np.floor(wave).astype(np.int32)
    cut = np.floor((x + rng.uniform(0.0, 1.0, 64)[row % 64] * 0.3) / (0.07 + 0.45 * depth))
    tone = 0.95 - 1.9 * depth + 0.16 * np.sin(2.4 * row)
    window.lay(shore > 0.0, row * 64 + cut, LAKE, tone)
    glint = np.abs(x - SUN_AT[1] * aspect) < 0.055 * (1.0 + 0.8 * np.sin(1.9 * row)) + 0.12 * depth
    window.lay((shore > 0.0) & glint & (row % 3 != 1), row, GLINT, 0.9 - 1.5 * depth)


def _flowers(rng, window, y, x, warp):
    aspect = x[0, -1]
    for foot, tip, bend, half in BLADES:
        rise = np.clip((1.0 - y) / (1.0 - tip), 0.0, 1.0)
        across = x - foot * aspect - bend * rise**2
        body = half * (1.0 - rise) ** 0.7 * (y > tip)
        cut = np.floor(rise * 3.0 - 6.0 * across) + 20 * (across > 0.0)
        window.lay(np.abs(across) < body, cut, LEAF, 0.45 + 0.35 * rise + 0.2 * np.sign(across))
    for cy, cx, radius, twist in POPPIES:
        cx = cx * aspect
        rise = np.clip((1.0 - y) / (1.0 - cy), 0.0, 1.0)
        across = x - cx - 0.05 * np.sin(3.0 * twist) * np.sin(np.pi * rise)
        window.lay((np.abs(across) < 0.009) & (y > cy), np.floor(rise * 2.5), LEAF, 0.8)
        for petal in rng.permutation(5):
            theta = twist + petal * 2.0 * np.pi / 5.0
            u = (x - cx) * np.cos(theta) + 1.25 * (y - cy) * np.sin(theta)
            v = 1.25 * (y - cy) * np.cos(theta) - (x - cx) * np.sin(theta)
            u, v = u / radius + 0.02 * warp, v / radius + 0.03 * np.sin(9.0 * u / radius)
            inside = (u > 0.0) & ((u - 0.52) ** 2 / 0.27 + v**2 / 0.36 < 1.0)
            tone = 0.22 + 0.66 * u - 0.14 * np.sin(theta) + 0.15 * np.abs(v)
            window.lay(inside, v > 0.12 * np.sin(5.0 * u), PETAL, tone)
        r = np.hypot(1.25 * (y - cy), x - cx) / radius
        window.lay(r < 0.24, r > 0.12, HEART, 1.2 - 4.0 * r)


def _border(window, y, x):
    aspect = x[0, -1]
    inset = np.minimum(np.minimum(y, 1.0 - y), np.minimum(x, aspect - x))
    upright = np.minimum(x, aspect - x) < np.minimum(y, 1.0 - y)
    walk = np.where(upright, y * 11.0, x / aspect * 9.0)
    block = np.floor(walk).astype(np.int32)
    side = 1 * upright + 2 * (x > aspect / 2.0) * upright + 4 * (y > 0.5) * ~upright
    fillet = (inset < BORDER) & (inset > 0.72 * BORDER)
    for colour, inside in (
        (RUBY, (inset < BORDER) & (block % 2 == 0)),
        (COBALT, (inset < BORDER) & (block % 2 == 1)),
        (SUN, fillet),
    ):
        window.lay(inside, block + 32 * side, colour, 0.45 + 0.4 * np.sin(2.6 * block))
    step = np.abs(walk - block - 0.5) / 0.30 + np.abs(inset - 0.36 * BORDER) / (0.30 * BORDER)
    window.lay((step < 1.0) & (inset < BORDER), block + 32 * side, GLINT, 0.4 + 0.3 * (block % 2))


def _glass(rng, window, pane, height, width):
    """Light through the panes: a tint, a slope, streaks and ripples for each, and bubbles."""
    count = pane.max() + 1
    y, x = np.indices((height, width), np.float32)
    theta = rng.uniform(0.0, np.pi, count).astype(np.float32)[pane]
    u, v = x * np.cos(theta) + y * np.sin(theta), y * np.cos(theta) - x * np.sin(theta)
    shift = rng.integers(0, height, (2, count))[:, pane]
    streaks = canvas.fractal(rng, height, height, (20, 2.5), octaves=5, gain=0.75)
    ripples = canvas.fractal(rng, height, height, (70, 45), octaves=2)
    at = np.abs((np.stack([v, u]) + shift) % (2 * height) - height)
    streak, ripple = canvas.sample(streaks, *at), canvas.sample(ripples, *at)
    size = np.sqrt(np.bincount(pane.ravel(), minlength=count))[pane]
    middle = ndimage.mean(u, pane, np.arange(count)).astype(np.float32)[pane]
    slope = np.clip((u - middle) / size, -1.0, 1.0)
    strength = rng.uniform(0.4, 1.6, count).astype(np.float32)[pane]
    level = rng.normal(0.0, 0.13, count).astype(np.float32)[pane]
    bright = 1.0 + level + 0.26 * slope + 0.17 * strength * streak
    bright = bright + 0.36 * canvas.relief(ripple, 1.0) * (strength > 0.9)
    tint = rng.normal(0.0, 0.05, (count, 3)).astype(np.float32)[pane]
    milk = np.clip(0.09 * strength * (streak - 0.9), 0.0, 0.22)[..., None]
    light = mix(window.colour + tint, canvas.colours("fff4dc"), milk)
    light = np.maximum(light, 0.0) ** (1.0 / np.clip(bright, 0.45, 1.9))[..., None]
    clear = np.ones((height, width), bool)
    clear[rng.integers(0, height, 180), rng.integers(0, width, 180)] = False
    apart, nearest = ndimage.distance_transform_edt(clear, return_indices=True)
    radius = height * rng.uniform(0.001, 0.0035, (height, width))[tuple(nearest)]
    bubble = np.exp(-(((apart - radius) / (0.0009 * height)) ** 2)) - 0.4 * (apart < radius)
    return light * (1.0 + 0.22 * bubble[..., None])


def _leads(rng, window, pane, height, width):
    """Distance to the middle of the nearest lead, in half widths of it: 1 at its edge."""
    swell = 1.0 + 0.16 * canvas.fractal(rng, height, width, 12, octaves=3)
    ratio = np.full((height, width), np.inf, np.float32)
    for number, half in ((pane, 0.0021), (window.form, 0.0032)):
        edge = np.zeros((height, width), bool)
        edge[:-1] |= number[:-1] != number[1:]
        edge[:, :-1] |= number[:, :-1] != number[:, 1:]
        ratio = np.minimum(ratio, ndimage.distance_transform_edt(~edge) / (half * height * swell))
    corner = np.stack([pane[:-1, :-1], pane[1:, :-1], pane[:-1, 1:], pane[1:, 1:]])
    corner = np.sort(corner, axis=0)
    joint = np.zeros((height, width), bool)
    joint[:-1, :-1] = (np.diff(corner, axis=0) != 0).sum(axis=0) >= 2
    return np.minimum(ratio, ndimage.distance_transform_edt(~joint) / (0.0039 * height * swell))


def paint(height, width, seed):
    """Leads and lights a window of jewel-coloured glass.

    Args:
      height, width: size of the picture in pixels.
      seed: integer; the same seed gives the same picture.

    Returns:
      [height, width, 3] float32 sRGB in [0, 1].
    """
    rng = np.random.default_rng(seed)
    height, width = canvas.SUPERSAMPLING * height, canvas.SUPERSAMPLING * width
    y, x = canvas.coordinates(height, width)
    warp = canvas.fractal(rng, height, width, 5, octaves=2)
    window = _Window(height, width)
    _sky(rng, window, y, x, warp)
    _land(rng, window, y, x, warp)
    _flowers(rng, window, y, x, warp)
    _border(window, y, x)
    pane = np.unique(window.pane, return_inverse=True)[1].reshape(height, width)
    ratio = _leads(rng, window, pane, height, width)
    light = _glass(rng, window, pane, height, width)
    away = np.hypot(y - SUN_AT[0], x - SUN_AT[1] * width / height)
    glow = 0.90 + 0.26 * np.exp(-((away / 0.42) ** 2)) + 0.05 * canvas.noise(rng, height, width, 3)
    light = light * (glow * mix(0.5, 1.0, smoothstep(0.8, 2.6, ratio)))[..., None]
    came = np.sqrt(np.clip(1.0 - ratio**2, 0.0, 1.0)) + 0.05 * canvas.noise(rng, height, width, 150)
    shine = canvas.relief(canvas.blur(came, 1.0), 4.0)
    metal = canvas.colours("17181d") * (1.0 + 0.8 * shine[..., None])
    metal = metal + 0.55 * np.maximum(shine - 0.25, 0.0)[..., None]
    surface = canvas.over(light, metal, 1.0 - smoothstep(0.85, 1.1, ratio))
    halo = canvas.blur(np.clip(surface - 0.35, 0.0, 1.0), 0.010 * height)
    return canvas.finish(1.0 - (1.0 - np.clip(surface, 0.0, 1.0)) * (1.0 - 0.40 * halo))
