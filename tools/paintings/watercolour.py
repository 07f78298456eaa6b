"""Watercolour: an autumn lake under misty mountains, in transparent washes on rough paper."""

import numpy as np
from scipy import ndimage

from tools.paintings import canvas
from tools.paintings.canvas import mix, smoothstep

PAPER = canvas.colours("fbf6ea")
COBALT, ULTRAMARINE, VIOLET, INDIGO, TURQUOISE = canvas.colours(
    "5b8fd0", "3f55b0", "7d6aae", "1f2c52", "4fa9b0"
)
ROSE, PEACH, GOLD, ORANGE, RUST, SEPIA = canvas.colours(
    "e2879a", "f5b98a", "f3c653", "ee8330", "b5431f", "4a3226"
)
OLIVE, PINE = canvas.colours("7c7434", "1f4a42")
SHORE = 0.60
# Heights of the two ranges at even steps from left to right.
PEAKS = (0.06, 0.14, 0.24, 0.15, 0.20, 0.30, 0.21, 0.12, 0.17, 0.25, 0.16, 0.08)
FOOTHILLS = (0.20, 0.17, 0.09, 0.05, 0.03, 0.05, 0.03, 0.06, 0.11, 0.17, 0.22)
# Leafy crowns (y, x, radius), and the trunks under them (y, x, length, width).
CROWNS = (
    (0.30, 0.17, 0.17),
    (0.42, 0.33, 0.11),
    (0.20, 0.33, 0.11),
    (0.44, 0.05, 0.12),
    (0.14, 0.09, 0.12),
    (0.33, 0.43, 0.06),
)
TRUNKS = ((0.95, 0.17, 0.36, 0.026), (0.90, 0.31, 0.28, 0.016), (0.91, 0.06, 0.28, 0.017))


class _Page:
    """Paper of a certain roughness and the pigment that lies on it, as absorbance [H, W, 3]."""

    def __init__(self, rng, height, width):
        self.rng = rng
        self.rough = canvas.fractal(rng, height, width, 130, octaves=3, gain=1.0)
        self.absorbance = np.zeros((height, width, 3), np.float32)

    def noise(self, cells, octaves=4, gain=0.5):
        """Fractal noise of the page's size."""
        return canvas.fractal(self.rng, *self.rough.shape, cells, octaves, gain)

    def reserve(self, shape, share):
        """Keeps `shape` [H, W] in [0, 1] nearly white, as masking fluid would."""
        self.absorbance *= (1.0 - share * shape)[..., None]

    def wash(self, shape, pigment, strength=1.0, bloom=0.5, grain=0.10, rim=1.0):
        """Glazes `shape` [H, W] in [0, 1] with a colour [3] or [H, W, 3] that paper shows through.

        Pigment gathers in a dark rim where the shape ends sharply, in the hollows of the paper, and
        along the edges of blooms, where a wetter drop has pushed it away.
        """
        height = len(shape)
        flow = 1.0 + 0.22 * self.noise(3.5) + 0.10 * self.noise(14, 3)
        drop = smoothstep(0.35, 0.50, self.noise(3.0, 6, 0.58) - 0.35)
        front = np.clip(drop - canvas.blur(drop, 0.010 * height), -0.5, 0.5)
        flow = flow * (1.0 - bloom * (0.30 * drop - 0.1) - 0.9 * bloom * np.minimum(front, 0.0))
        edge = 1.1 * np.maximum(shape - canvas.blur(shape, 0.0022 * height), 0.0)
        edge = edge + 0.7 * np.maximum(shape - canvas.blur(shape, 0.012 * height), 0.0)
        density = strength * shape * np.maximum(flow, 0.1) * (1.0 + rim * edge)
        density = density * np.clip(1.0 - grain * self.rough, 0.2, 2.0)
        self.absorbance -= density[..., None] * np.log(np.maximum(pigment, 0.02))


def _sky(page, y, x):
    drift = 0.05 * page.noise((2.5, 1.5), 5, 0.6)
    clouds = page.noise((4.5, 1.8), 6, 0.6) + 1.1 * page.noise((2.2, 1.0), 2)
    open_sky = smoothstep(0.9, -0.3, clouds + 1.2 * (y - 0.25))
    high = smoothstep(0.50, 0.02, y + drift)
    blue = mix(COBALT, ULTRAMARINE, 0.6 * high[..., None] ** 2)
    page.wash(open_sky * high, blue, 0.75, grain=0.13)
    shade = smoothstep(0.2, 1.3, clouds) * smoothstep(0.0, 1.0, page.noise((5, 2), 5) + 0.6)
    page.wash(shade * smoothstep(0.55, 0.2, y), VIOLET, 0.38, bloom=0.8)
    warm = np.exp(-(((y + drift - 0.43) / 0.12) ** 2))
    page.wash(warm, mix(PEACH, ROSE, smoothstep(-1, 1, page.noise(2.5))[..., None]), 0.55)
    sun = np.hypot(y - 0.36, x - 0.92)
    page.wash(np.exp(-((sun / 0.15) ** 2)), GOLD, 0.5, bloom=0.2)
    page.reserve(smoothstep(0.040, 0.036, sun + 0.08 * drift), 0.95)


def _range(page, y, x, level, heights, pigment, strength):
    """A mountain range: sharp crest, foot lost in mist, and a second glaze on its shadow side."""
    rough = 0.016 * page.noise(7, 5, 0.55)[len(y) // 2]
    crest = level - np.interp(x[0], np.linspace(0.0, x[0, -1], len(heights)), heights) + rough
    below = y - crest
    mist = smoothstep(SHORE + 0.01, SHORE - 0.16, y + 0.03 * page.noise(4, 3))
    body = smoothstep(0.0, 0.0015, below) * (0.22 + 0.78 * mist)
    body = body * smoothstep(SHORE + 0.002, SHORE, y)
    page.wash(body, pigment, strength)
    slope = len(y) * np.gradient(ndimage.gaussian_filter1d(crest, 0.012 * len(y)))
    lean = x - 0.55 * below * np.sign(page.noise(6)) + 0.02 * page.noise(9, 4)
    falls = np.interp(lean, x[0], slope) + 0.45 * page.noise((6, 10), 5, 0.6)
    rib = smoothstep(0.10, 0.15, falls - 3.0 * np.maximum(below - 0.12, 0.0))
    page.wash(rib * body * mist, mix(pigment, INDIGO, 0.3), 0.62 * strength, bloom=0.2)
    return crest


def _conifers(page, y, x, places):
    """Coverage of firs `(x, height)` on the shore: stacked ragged boughs on a thin stem."""
    ragged = page.noise(70, 3, 0.7)
    cover = np.zeros(y.shape, np.float32)
    for cx, tall in places:
        rise = (SHORE + 0.004 - y) / tall
        tiers = (rise * 11.0 + 0.35 * ragged + 7.0 * cx) % 1.0
        half = tall * 0.20 * np.clip(1.0 - rise, 0.0, 1.0) ** 0.9 * (0.45 + 0.65 * (1.0 - tiers))
        half = half * (1.0 + 0.28 * ragged) + 0.0016
        inside = (rise > 0.0) & (rise < 1.0)
        cover = np.maximum(cover, inside * smoothstep(0.002, -0.001, np.abs(x - cx) - half))
    return cover


def _foliage(page, y, x, edge):
    """Coverage of the leafy crowns: broken into dabs, with sky left between them."""
    mass = np.full(y.shape, -1.0, np.float32)
    for cy, cx, radius in CROWNS:
        mass = np.maximum(mass, 1.0 - np.hypot((y - cy) * 1.05, x - cx) / radius)
    dabs = 0.55 * page.noise(26, 4, 0.7) + 0.45 * page.noise(9, 3)
    mass = np.minimum(mass, 3.0 * mass + 0.4)
    return smoothstep(edge, edge + 0.10, mass + 0.34 * dabs)


def _limbs(rng, shape):
    """Coverage of the trunks and their forking limbs."""
    height = shape[0]
    cover = np.zeros(shape, np.float32)
    limbs = [(np.array(trunk[:2]), -np.pi / 2, *trunk[2:], 0) for trunk in TRUNKS]
    while limbs:
        start, heading, length, thick, depth = limbs.pop()
        theta = heading + np.cumsum(rng.normal(0.0, 0.12, 6))
        steps = np.stack([np.sin(theta), np.cos(theta)], axis=-1) * length / 6.0
        path = np.concatenate([start[None], start + np.cumsum(steps, axis=0)])
        widths = np.maximum(thick * np.linspace(1.0, 0.6, 7) * height, 1.2)
        for rows, columns, *_ in canvas.ribbons(path[None] * height, widths[None], shape):
            cover[rows, columns] = 1.0
        if depth < 4:
            for turn in rng.uniform(0.25, 0.65, 2) * (-1, 1):
                fork = path[int(rng.integers(4, 7))]
                limbs.append((fork, theta[-1] + turn, length * 0.66, thick * 0.56, depth + 1))
    return cover


def _mirror(page, y, above, sway):
    """The scene above the shore, turned over into the lake and pulled about by ripples."""
    height, width = y.shape
    below = (y > SHORE).reshape(y.shape + (1,) * (above.ndim - 2))
    shift = sway * height * page.noise((34, 3), 3) * smoothstep(SHORE, 1.0, y)
    rows = (SHORE - (y - SHORE) * 1.08) * height
    return np.where(below, canvas.sample(above, rows, np.arange(width) + shift), 0.0)


def _splatter(page, count, pigment, where, strength):
    """Drops flicked from the brush, most of them tiny, dense about the point `where` (y, x)."""
    height, width = page.rough.shape
    cover = np.zeros((height, width), np.float32)
    centres = page.rng.normal(where, (0.16, 0.22), (count, 2)) * height
    radii = 0.0011 * height * (0.6 + page.rng.pareto(2.2, count)).clip(0.6, 5.0)
    for (cy, cx), radius in zip(centres, radii, strict=True):
        top, left = int(cy - radius - 2), int(cx - radius - 2)
        size = int(2 * radius + 5)
        if 0 <= top < height - size and 0 <= left < width - size:
            dy, dx = np.indices((size, size))
            drop = smoothstep(radius + 0.7, radius - 0.7, np.hypot(dy + top - cy, dx + left - cx))
            patch = cover[top : top + size, left : left + size]
            np.maximum(patch, drop, out=patch)
    page.wash(cover, pigment, strength, rim=1.4)


def _bank(page, y, x):
    """The near shore with its grasses."""
    rng, (height, width) = page.rng, y.shape
    edge = 0.875 + 0.05 * np.sin(2.6 * x + 0.4) - 0.08 * smoothstep(0.55, 0.0, x)
    land = smoothstep(0.0, 0.004, y - edge + 0.008 * page.noise(16, 4))
    broken = smoothstep(-1.5, -1.2, page.rough + 14.0 * (y - edge))
    tint = smoothstep(-1.0, 1.0, page.noise(4, 4))[..., None]
    page.reserve(land, 0.85)
    page.wash(land * broken, mix(GOLD, OLIVE, tint), 1.0, bloom=0.9)
    shade = smoothstep(0.1, 0.25, page.noise((14, 4), 5) + 3.0 * (y - edge) - 0.35)
    page.wash(land * shade, mix(RUST, PINE, tint), 0.60, bloom=0.6)
    starts = canvas.scatter(rng, height, width, 0.011 * height)
    clump = canvas.sample(page.noise((6, 7), 3), *starts.T)
    keep = canvas.sample(land, *starts.T) * smoothstep(-0.2, 1.1, clump)
    starts = np.repeat(starts[rng.random(len(starts)) < keep], 3, axis=0)
    n = len(starts)
    lean, bend = rng.normal(-np.pi / 2, 0.30, (n, 1)), rng.normal(0.1, 0.6, (n, 1))
    theta = lean + bend * np.linspace(0.0, 1.0, 6)
    length = 0.085 * height * rng.uniform(0.3, 1.0, (n, 1, 1))
    steps = np.stack([np.sin(theta), np.cos(theta)], axis=-1) * length / 6.0
    paths = starts[:, None] + rng.normal(0, 0.006 * height, (n, 1, 2)) + np.cumsum(steps, axis=1)
    widths = 0.0042 * height * rng.uniform(0.4, 1.0, (n, 1)) * np.linspace(1.0, 0.15, 6)
    blades = np.zeros((2, height, width), np.float32)
    for rows, columns, stroke, *_ in canvas.ribbons(paths, np.maximum(widths, 1.0), y.shape):
        blades[stroke % 2, rows, columns] = 1.0
    page.wash(blades[0], mix(RUST, ORANGE, tint), 0.60, bloom=0.2)
    page.wash(blades[1], mix(SEPIA, PINE, tint), 0.65, bloom=0.2)


def _lake(page, y, x):
    """The lake: firs on its far shore, all that stands above turned over, glints and ripples."""
    rng, height, aspect = page.rng, len(y), x[0, -1]
    near = zip(rng.uniform(0.62, 1.0, 26) * aspect, rng.uniform(0.06, 0.23, 26), strict=True)
    far = zip(rng.uniform(0.20, 0.42, 9) * aspect, rng.uniform(0.03, 0.09, 9), strict=True)
    firs = _conifers(page, y, x, [*near, *far])
    lake = smoothstep(SHORE - 0.001, SHORE + 0.001, y)
    mirrored = _mirror(page, y, page.absorbance, 0.012)
    page.absorbance += 0.62 * canvas.blur(mirrored, 0.004 * height)
    sparkle = page.noise((60, 4), 3, 0.6) + 0.35 * page.rough + 1.2 * (0.72 - y)
    glint = smoothstep(1.55, 1.75, sparkle) * lake
    water = lake * (1.0 - glint)
    page.reserve(glint, 0.8)
    page.wash(water * (0.25 + 0.75 * smoothstep(SHORE, 1.0, y)), TURQUOISE, 0.45)
    ripple = smoothstep(0.55, 0.75, page.noise((44, 4), 4) + 1.6 * (y - 0.85))
    page.wash(water * ripple, mix(ULTRAMARINE, INDIGO, 0.2), 0.42)
    green = mix(PINE, INDIGO, smoothstep(-1.0, 1.0, page.noise(6))[..., None])
    lost = smoothstep(SHORE + 0.02, SHORE - 0.06, y)
    page.wash(firs * (0.55 + 0.45 * lost), green, 0.95, bloom=0.9)
    reflected = canvas.blur(_mirror(page, y, firs, 0.020), 0.003 * height)
    page.wash(water * reflected, green, 0.60, bloom=0.6)


def _trees(page, y, x):
    """Russet trees on the near shore: three glazes of leaves, limbs before the last."""
    fall = np.clip(page.noise(5, 3) * 0.5 + 0.5, 0.0, 1.0)[..., None]
    leaves = _foliage(page, y, x, 0.05)
    page.reserve(leaves, 0.85)
    page.wash(leaves, mix(GOLD, ORANGE, fall), 0.85, bloom=1.0)
    page.wash(_foliage(page, y, x, 0.30), mix(ORANGE, RUST, 0.7 * fall), 0.60, bloom=1.0)
    gaps = smoothstep(-3.6, -2.6, page.rough + 0.8 * page.noise(12, 3))
    page.wash(_limbs(page.rng, y.shape) * gaps, mix(SEPIA, VIOLET, 0.25 * fall), bloom=0.7)
    page.wash(_foliage(page, y, x, 0.52), mix(RUST, SEPIA, 0.4 * fall), 0.70, bloom=0.6)


def paint(height, width, seed):
    """Washes in an autumn lake with firs, russet trees and mountains under a broken sky.

    Args:
      height, width: size of the picture in pixels.
      seed: integer; the same seed gives the same picture.

    Returns:
      [height, width, 3] float32 sRGB in [0, 1].
    """
    rng = np.random.default_rng(seed)
    height, width = canvas.SUPERSAMPLING * height, canvas.SUPERSAMPLING * width
    y, x = canvas.coordinates(height, width)
    page = _Page(rng, height, width)
    _sky(page, y, x)
    _range(page, y, x, 0.56, PEAKS, mix(COBALT, VIOLET, 0.5), 0.62)
    _range(page, y, x, 0.57, FOOTHILLS, mix(TURQUOISE, ULTRAMARINE, 0.6), 0.80)
    _lake(page, y, x)
    _bank(page, y, x)
    _trees(page, y, x)
    _splatter(page, 420, ORANGE, (0.45, 0.30), 0.9)
    _splatter(page, 160, RUST, (0.62, 0.45), 0.9)
    _splatter(page, 160, ULTRAMARINE, (0.25, 1.05), 0.6)

    tooth = canvas.relief(canvas.blur(page.rough, 1.2), 0.55)
    sheet = PAPER * (1.0 + 0.045 * tooth)[..., None]
    return canvas.finish(sheet * np.exp(-page.absorbance))
