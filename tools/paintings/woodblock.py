"""Woodblock print: breaking waves before a red sun, in flat colours, key lines and wood grain."""

import numpy as np
from scipy import ndimage
from scipy.interpolate import CubicSpline

from tools.paintings import canvas
from tools.paintings.canvas import mix, ramp, smoothstep

PAPER, KEY, SNOW = canvas.colours("f1e4c6", "141c33", "faf3e0")
SKY = canvas.colours("1f3d6e", "4f7ba0", "a9c3bf", "efe0bc", "f4cfa0", "eeb08a")
SUN = canvas.colours("b8321f", "cf4527", "e2683a")
WATER = canvas.colours("10254a", "1c3f73", "2f669c", "6fa3bb", "b9d3cc", "efe6cd")
MIST = canvas.colours("f6ead0", "ecd3b0")
LAND = canvas.colours("2b4a5c", "55787d", "9fb3a0")
BARK, NEEDLE = canvas.colours("5a3524", "7a4a30"), canvas.colours("1f4536", "3c6b48", "6c9160")

# A breaking wave one high, as (y, x) with y upwards: its back, and its face, from foot to tip.
BACK = (
    (0.0, -1.75),
    (0.16, -1.05),
    (0.52, -0.52),
    (0.88, -0.12),
    (1.0, 0.28),
    (0.90, 0.60),
    (0.66, 0.72),
)
FACE = (
    (0.0, 0.62),
    (0.10, 0.30),
    (0.30, 0.10),
    (0.52, 0.10),
    (0.70, 0.26),
    (0.76, 0.46),
    (0.66, 0.70),
)
BOUGH = ((0.01, 1.04), (0.075, 0.90), (0.07, 0.76), (0.125, 0.62), (0.115, 0.50), (0.16, 0.42))
STRIPES = np.array([0, 4, 0, 1, 5, 1, 2, 5, 2, 3, 5, 3, 2])


class _Print:
    """Colours laid by the blocks, and numbers of the shapes whose borders the key block draws."""

    def __init__(self, rng, height, width):
        self.rng, self.shape = rng, (height, width)
        self.y, self.x = canvas.coordinates(height, width)
        self.colour = np.broadcast_to(PAPER, (height, width, 3)).copy()
        self.number = np.zeros((height, width), np.int32)

    def block(self, inside, colour, parts=0):
        """Prints `colour` [3] or [H, W, 3] where `inside`, as one shape or as many as `parts`."""
        parts = np.broadcast_to(parts, inside.shape)[inside].astype(np.int32)
        self.number[inside] = parts - parts.min(initial=0) + self.number.max() + 1
        self.colour[inside] = np.broadcast_to(colour, (*inside.shape, 3))[inside]

    def discs(self, centres, radii):
        """Coverage of discs [H, W] bool, and for each pixel the number of the last one there."""
        height, width = self.shape
        last = np.full(self.shape, -1, np.int32)
        discs = np.column_stack([centres, radii]) * height
        for number, (cy, cx, radius) in enumerate(discs):
            top, left = max(int(cy - radius), 0), max(int(cx - radius), 0)
            bottom, right = min(int(cy + radius) + 2, height), min(int(cx + radius) + 2, width)
            if top < bottom and left < right:
                dy, dx = np.ogrid[top - cy : bottom - cy, left - cx : right - cx]
                patch = last[top:bottom, left:right]
                patch[dy[: bottom - top] ** 2 + dx[:, : right - left] ** 2 < radius**2] = number
        return last >= 0, last

    def skin(self, curves, density=1.6):
        """Fills the skin over curves [S, T, 2]: where it is, and `s` and `t` in [0, 1] there."""
        height, width = self.shape
        gaps = (np.linalg.norm(np.diff(curves, axis=axis), axis=-1) for axis in (0, 1))
        spans = [gap.sum(axis=axis).max() * height for axis, gap in enumerate(gaps)]
        s, t = (np.linspace(0.0, 1.0, int(span * density)) for span in spans)
        skin = CubicSpline(np.linspace(0.0, 1.0, curves.shape[1]), curves, axis=1)(t)
        skin = CubicSpline(np.linspace(0.0, 1.0, len(curves)), skin, axis=0)(s) * height
        inside = (skin >= 0.0).all(axis=-1) & (skin[..., 0] < height) & (skin[..., 1] < width)
        at = tuple(skin[inside].astype(np.int32).T)
        where = np.zeros(self.shape, bool)
        fields = np.zeros((2, *self.shape), np.float32)
        where[at] = True
        fields[0][at] = np.broadcast_to(s[:, None], inside.shape)[inside]
        fields[1][at] = np.broadcast_to(t, inside.shape)[inside]
        return where, *fields


def _sky(sheet):
    y, x = sheet.y, sheet.x
    aspect = x[0, -1]
    brushed = 0.02 * canvas.noise(sheet.rng, *sheet.shape, (14, 1.5))
    sheet.block(y > -1.0, ramp(SKY, np.clip(y / 0.62, 0.0, 1.0) ** 0.85 + brushed))
    r = np.hypot(y - 0.30, x - 0.60 * aspect)
    sheet.block(r < 0.150, ramp(SUN, (y - 0.15) / 0.30 + brushed))
    for level, left, right in (
        (0.335, 0.40, 1.2),
        (0.205, -0.2, 0.42),
        (0.375, 0.70, 1.3),
        (0.115, 0.66, 1.2),
    ):
        for lift, inset in ((0.0, 0.0), (0.022, 0.10)):
            middle, half = (left + right) / 2.0 + inset, (right - left) / 2.0 * (1.0 - inset)
            reach = np.maximum(np.abs(x / aspect - middle) - half, 0.0) * aspect
            band = np.hypot(reach, y - level - lift) < 0.0135
            sheet.block(band, ramp(MIST, 0.5 + (y - level - lift) / 0.03))
    cliffs = 0.13 + 0.013 * np.sin(60.0 * x)
    island = 0.60 - cliffs * np.exp(-(((x / aspect - 0.80) / 0.10) ** 2))
    island = island - 0.07 * np.exp(-(((x / aspect - 0.98) / 0.10) ** 2))
    sheet.block(y > island, ramp(LAND, (y - island) / 0.13 + brushed))


def _swell(sheet, level, swing, frequency, phase, tone):
    """A long wave across the sheet with stripes under its ridge and foam along it."""
    y, x, rng = sheet.y, sheet.x, sheet.rng
    ridge = (
        level
        + swing * np.sin(frequency * x + phase)
        - 0.3 * swing * np.abs(np.sin(1.7 * frequency * x + phase))
    )
    below = y - ridge
    ripple = 0.006 * np.sin(31.0 * x + 40.0 * below) + 0.35 * below * np.sin(4.0 * x + phase)
    stripe = np.floor(np.maximum(below + ripple + 0.02, 0.0) * 58.0).astype(np.int32)
    shade = np.array([2, 1, 5, 1, 0, 4, 0, 3, 1])[(stripe + tone) % 9]
    deep = smoothstep(0.0, 0.20, below)[..., None]
    sheet.block(below > 0.0, mix(WATER[shade], WATER[0], 0.45 * deep), stripe)
    along = np.arange(-0.02, x[0, -1] + 0.02, 0.011)
    along = along[np.sin(along * 9.0 + phase) + rng.normal(0.0, 0.25, len(along)) > 0.1]
    top = np.interp(along, x[0], ridge[0])
    centres = np.column_stack([top + rng.uniform(-0.004, 0.012, len(along)), along])
    _foam(sheet, centres, rng.uniform(0.007, 0.017, len(along)))


def _foam(sheet, centres, radii):
    """White scallops with a pale inner shade, in clusters with a line around each."""
    inside, last = sheet.discs(centres, radii)
    sheet.block(inside, SNOW, last // 5)
    shade, _ = sheet.discs(centres + 0.45 * radii[:, None], 0.50 * radii)
    light, _ = sheet.discs(centres + 0.18 * radii[:, None], 0.55 * radii)
    sheet.colour[shade & ~light & inside] = WATER[4]


def _claws(sheet, roots, headings, lengths, curls, breadth):
    """White fingers that hook forward: tapering curved strokes from each root (y, x)."""
    height = sheet.shape[0]
    t = np.linspace(0.0, 1.0, 9)
    theta = headings[:, None] + curls[:, None] * t
    steps = np.stack([np.sin(theta), np.cos(theta)], axis=-1) * (lengths / 9.0)[:, None, None]
    paths = (roots[:, None] + np.cumsum(steps, axis=1)) * height
    widths = breadth * lengths[:, None] * height * (1.0 - t) ** 0.7 + 1.5
    number = np.full(sheet.shape, -1, np.int32)
    for rows, columns, stroke, *_ in canvas.ribbons(paths, widths, sheet.shape, density=2.0):
        number[rows, columns] = stroke
    sheet.block(number >= 0, SNOW, number // 2)


def _breaker(sheet, foot, size, facing):
    """A breaking wave of height `size` with its foot at (y, x), facing right (1) or left (-1)."""
    rng = sheet.rng
    back, face = (np.array(curve) * size * (-1.0, facing) + foot for curve in (BACK, FACE))
    blend = np.linspace(0.0, 1.0, 7)[:, None, None]
    curves = mix(back, face, blend)
    curves[1:-1] += size * rng.normal(0.0, 0.012, curves[1:-1].shape)
    where, s, t = sheet.skin(curves)
    position = np.clip(s + 0.02 * np.sin(14.0 * t), 0.0, 0.9999) ** 0.85 * len(STRIPES)
    stripe = position.astype(np.int32)
    tint = mix(WATER[STRIPES[stripe]], WATER[0], 0.35 * smoothstep(0.5, 0.0, t)[..., None])
    sheet.block(where, tint, stripe)

    spline = CubicSpline(np.linspace(0.0, 1.0, len(back)), back)
    lip = CubicSpline(np.linspace(0.0, 1.0, len(face)), face)
    t = np.linspace(0.56, 0.95, 26) + rng.normal(0.0, 0.006, 26)
    slope = lip(t, 1)
    ahead = np.arctan2(slope[:, 0], slope[:, 1]) + facing * rng.uniform(0.35, 0.9, 26)
    lengths = size * rng.uniform(0.09, 0.20, 26) * smoothstep(0.45, 0.8, t)
    _claws(sheet, lip(t), ahead, lengths, facing * rng.uniform(0.6, 2.2, 26), 0.24)
    t = np.sort(rng.uniform(0.34, 1.0, 110))
    depth = rng.uniform(-0.03, 0.75, 110) * smoothstep(0.36, 0.85, t)
    radii = size * rng.uniform(0.014, 0.042, 110) * (0.5 + 0.7 * smoothstep(0.4, 0.7, t))
    _foam(sheet, mix(spline(t), lip(t), depth[:, None]), radii)
    spray = spline(rng.uniform(0.5, 1.0, 90)) + size * rng.normal(0.0, 0.11, (90, 2)) * (1.0, 1.2)
    spray[:, 0] -= 0.06 * size
    dots, last = sheet.discs(spray, size * 0.008 * (0.6 + rng.pareto(2.5, 90).clip(0.0, 2.0)))
    sheet.block(dots, SNOW, last)


def _birds(sheet):
    """A skein of white birds, each two wings and a body."""
    rng, aspect = sheet.rng, sheet.x[0, -1]
    centres = np.array([(0.262, 0.08), (0.300, 0.16), (0.272, 0.25), (0.335, 0.29), (0.352, 0.09)])
    centres = centres * (1.0, aspect) + rng.normal(0.0, 0.006, (5, 2))
    size = rng.uniform(0.036, 0.052, 5)
    tips = rng.normal(0.0, 0.2, 5)
    _claws(sheet, centres, -2.4 + tips, size, np.full(5, -1.1), 0.24)
    _claws(sheet, centres, -0.9 - tips, size, np.full(5, 1.3), 0.24)
    _claws(sheet, centres - (0.002, 0.012), np.full(5, 0.2), 0.9 * size, np.full(5, -0.4), 0.26)


def _pine(sheet):
    """A bough that reaches in from the upper right with pads of needles."""
    rng, height, aspect = sheet.rng, sheet.shape[0], sheet.x[0, -1]
    t = np.linspace(0.0, 1.0, 40)
    path = CubicSpline(np.linspace(0.0, 1.0, len(BOUGH)), np.array(BOUGH) * (1.0, aspect))(t)
    widths = height * (0.030 * (1.0 - t) + 0.007)
    bough = np.full(sheet.shape, -1.0, np.float32)
    strokes = canvas.ribbons(path[None] * height, widths[None], sheet.shape)
    for rows, columns, *_, across in strokes:
        bough[rows, columns] = 0.5 + 0.5 * across
    sheet.block(bough >= 0.0, ramp(BARK, bough), bough > 0.6)
    for at in np.linspace(0.12, 1.0, 11):
        cy, cx = path[int(at * 39)] + rng.normal(0.0, 0.014, 2) - (0.012, 0.0)
        wide = rng.uniform(0.055, 0.085)
        dy, dx = (sheet.y - cy - 0.012) / (0.62 * wide), (sheet.x - cx) / wide
        r, turn = np.hypot(dy, dx), np.arctan2(dy, dx)
        scallop = 1.0 - 0.09 * np.abs(np.sin(9.0 * turn + 3.0 * at))
        pad = (r < scallop) & (dy < 0.18)
        needles = np.abs((turn * 11.0 + at) % 1.0 - 0.5) < 0.14 / np.maximum(r, 0.15) ** 0.5
        tone = np.where(needles & (r > 0.2), 0.0, 0.95 - 0.5 * r)
        sheet.block(pad, ramp(NEEDLE, tone))


def _ink(rng, sheet):
    """The finished impression: key lines, grain of the planks, baren marks and paper fibres."""
    height, width = sheet.shape
    edge = ndimage.morphological_gradient(sheet.number, size=3) > 0
    swell = 1.0 + 0.35 * canvas.fractal(rng, height, width, 16, octaves=3)
    line = ndimage.distance_transform_edt(~edge) / (0.0009 * height * np.clip(swell, 0.35, 2.0))
    key = smoothstep(1.3, 0.7, line) * (0.90 + 0.06 * canvas.noise(rng, height, width, 200))
    y, x = sheet.y, sheet.x
    knot = 0.35 * np.exp(-(((y - 0.22) / 0.10) ** 2 + ((x - 0.20) / 0.22) ** 2))
    rings = y + knot + 0.035 * canvas.fractal(rng, height, width, (2.5, 0.8), octaves=3)
    grain = np.sin(210.0 * rings + 1.5 * canvas.noise(rng, height, width, (3, 1)))
    grain = 0.6 * grain + 0.7 * canvas.fractal(rng, height, width, (130, 5), octaves=3, gain=0.8)
    baren = canvas.fractal(rng, height, width, 5, octaves=4)
    wear = np.clip(0.07 + 0.050 * grain + 0.030 * baren, 0.0, 0.4)
    slip = (0.0012 * height, -0.0010 * height, 0.0)
    flat = ndimage.shift(sheet.colour, slip, order=1, mode="nearest")
    surface = mix(flat, PAPER, wear[..., None])
    surface = canvas.over(surface, KEY, np.clip(key, 0.0, 1.0))
    fibres = canvas.fractal(rng, height, width, (160, 60), octaves=3, gain=0.9)
    emboss = canvas.relief(canvas.blur(key, 1.5) + 0.05 * fibres, 1.2)
    return surface * (1.0 + 0.07 * emboss + 0.012 * fibres)[..., None]


def paint(height, width, seed):
    """Prints two breaking waves, a red sun behind mist, an island and a pine bough.

    Args:
      height, width: size of the picture in pixels.
      seed: integer; the same seed gives the same picture.

    Returns:
      [height, width, 3] float32 sRGB in [0, 1].
    """
    rng = np.random.default_rng(seed)
    height, width = canvas.SUPERSAMPLING * height, canvas.SUPERSAMPLING * width
    aspect = width / height
    sheet = _Print(rng, height, width)
    _sky(sheet)
    _birds(sheet)
    _swell(sheet, 0.605, 0.010, 9.0, 0.5, 3)
    _swell(sheet, 0.665, 0.022, 6.5, 2.0, 0)
    _breaker(sheet, (0.80, 0.42 * aspect), 0.43, 1.0)
    _swell(sheet, 0.775, 0.030, 5.0, 0.3, 2)
    _breaker(sheet, (0.93, 0.80 * aspect), 0.25, -1.0)
    _swell(sheet, 0.895, 0.035, 5.6, 3.6, 1)
    _pine(sheet)
    return canvas.finish(_ink(rng, sheet))
