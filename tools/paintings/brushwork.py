"""Oil on canvas: a windy night above fields, in thick strokes that follow the air and the land."""

import numpy as np

from tools.paintings import canvas
from tools.paintings.canvas import mix, ramp, smoothstep

SKY = canvas.colours("0a1c3f", "0e3560", "12588a", "1f86a3", "4fb3b0", "a3d6bd", "f0dfae")
GLOW = canvas.colours("fffbe0", "ffec9a", "ffc94d", "fb9a3c", "ec6f3f", "c8646a", "6f79a0")
PEAKS = canvas.colours("1a2156", "2b3a80", "4a4f9e", "8a68a8", "e08f86")
MEADOW = canvas.colours("0c3338", "175a4c", "3c8450", "8fae4a", "dcca58")
FIELDS = canvas.colours("2a1450", "56308a", "8f55b0", "c77fb0", "e8913a", "f4b941", "fbe28a")
RIVER = canvas.colours("10335f", "1f6c98", "58aebb", "f6b65a", "ffe9a6")
TREE = canvas.colours("060c1e", "0a2030", "103c2e", "28552f", "66702c", "b5602a")

# Layers from broad to fine: stroke width, length over width, lattice spacing over width, spread of
# tint, and the least share of strokes kept where the motif has no detail.
LAYERS = (
    (0.050, 4.0, 0.95, 0.035, 1.0),
    (0.028, 5.5, 1.05, 0.050, 0.75),
    (0.015, 7.0, 1.10, 0.065, 0.35),
    (0.008, 7.0, 1.20, 0.080, 0.10),
)
MOON = (0.365, 0.43)
STARS = ((0.07, 0.10, 0.06), (0.085, 0.52, 0.045), (0.34, 0.055, 0.05), (0.40, 0.70, 0.055))
VORTICES = (
    ((0.20, 0.74), 0.16, 1.5),
    ((0.17, 0.23), 0.10, -1.5),
    ((0.45, 0.83), 0.08, -1.2),
    ((0.05, 0.88), 0.07, 1.0),
    ((0.45, 0.17), 0.09, 1.3),
)
CYPRESSES = ((0.925, 1.03, 0.17, 0.070), (0.835, 0.98, 0.40, 0.046), (0.055, 0.93, 0.47, 0.040))


def _sky(rng, y, x):
    """Colours and stream function of the sky: wind rolled up by vortices, moon and stars."""
    shape, aspect = y.shape, x[0, -1]
    stream = 0.55 * y + 0.03 * canvas.fractal(rng, *shape, 2.2, octaves=2)
    stream = stream + 0.035 * np.sin(5.0 * x + 2.0 * y)
    for (vy, vx), radius, turn in VORTICES:
        r2 = (y - vy) ** 2 + (x - vx * aspect) ** 2
        stream = stream + turn * radius * np.exp(-r2 / radius**2)
    stripes = 0.30 * np.sin(34.0 * stream) + 0.17 * np.sin(83.0 * stream + 1.0)
    tone = 0.22 + 0.95 * stripes + 0.55 * smoothstep(0.0, 0.62, y)
    colour = ramp(SKY, tone + 0.05 * canvas.noise(rng, *shape, 14))
    ragged = 0.5 * canvas.fractal(rng, *shape, 5, octaves=3)
    for ly, lx, halo in (*STARS, (*MOON, 0.30)):
        disc = 0.24 * halo if (ly, lx) == MOON else 0.2 * halo
        r = np.hypot(y - ly, x - lx * aspect)
        reach = np.clip((r - disc) / (halo - disc), 0.0, 1.0)
        rings = 0.13 * np.sin(reach * 2.0 * np.pi * 3.5 + ragged) * (r > disc)
        glow = ramp(GLOW, 0.15 * (r > disc) + 0.95 * reach**0.8 + rings)
        near = 1.0 - smoothstep(0.45, 1.0, reach * (1.0 + 0.25 * ragged) + 0.6 * stripes * reach)
        colour = canvas.over(colour, glow, near)
        stream = mix(stream, 2.0 * r, 1.0 - smoothstep(0.5, 1.1, r / halo))
    return colour, stream


def _lands(rng, y, x, grain):
    """Peaks, meadow and ploughed fields: yields `(inside, colours, angles)` from far to near."""
    aspect = x[0, -1]
    phase = rng.uniform(0.0, 2.0 * np.pi, 6)
    crest = np.abs((3.1 * x + phase[0] / 6.0) % 1.0 - 0.5) * 0.16
    crest = crest + 0.05 * np.abs((7.7 * x + phase[1]) % 1.0 - 0.5)
    waves = [np.sin(f * x + p) / f for f, p in zip((3.1, 6.3, 11.7), phase[2:5], strict=True)]
    for level, swing, palette in ((0.585, -1.0, PEAKS), (0.635, 0.075, MEADOW)):
        ridge = level + (crest - 0.05 if swing < 0.0 else swing * sum(waves))
        below = y - ridge
        slope = np.arctan(np.gradient(ridge, axis=1) / np.gradient(x, axis=1))
        folds = np.sin(75.0 * below + 9.0 * x + 1.2 * grain)
        tone = 0.36 + 0.24 * folds - 0.25 * np.sign(swing) * np.sin(slope) + 0.08 * grain
        tone = tone + 0.4 * np.exp(-below / 0.012)
        yield (
            below > 0.0,
            ramp(palette, tone),
            slope + 0.25 * np.sin(9.0 * x + phase[5]) * below / 0.1,
        )
    horizon = 0.70 + 0.06 * (waves[0] + waves[1])
    depth = y - 0.60
    bearing = np.arctan2(depth, x - MOON[1] * aspect + 0.25 * depth)
    rows = np.sin(46.0 * bearing + 0.5 * grain)
    clods = np.sin(26.0 * np.log(np.maximum(depth, 0.02)) + 3.0 * grain)
    tone = 0.52 + 0.38 * rows + 0.09 * clods + 0.06 * grain
    yield y > horizon, ramp(FIELDS, tone), bearing + 0.20 * clods * (rows > 0.0)
    course = (MOON[1] + 0.02) * aspect + (0.10 * np.sin(13.0 * depth) + 0.35 * depth) * depth * 2.2
    offset = (x - course) / np.maximum(0.24 * depth, 1e-3)
    shine = np.sin(95.0 * np.sqrt(np.maximum(depth, 0.0)) + 2.0 * grain)
    tone = 0.30 + 0.26 * shine + 0.50 * np.exp(-((offset / 0.45) ** 2)) - 0.1 * np.abs(offset)
    yield (np.abs(offset) < 1.0) & (y > horizon - 0.035), ramp(RIVER, tone), 0.15 * shine


def _cypress(y, x, grain, tree):
    """A flame-like tree: `(inside, colours, angles)`."""
    centre, base, top, half = tree
    rise = (base - y) / (base - top)
    lean = centre * x[0, -1] + 0.024 * np.sin(6.0 * rise + 30.0 * half) * rise
    flicker = 1.0 + 0.20 * np.sin(27.0 * rise + 2.0 * grain) + 0.10 * grain
    edge = 1.6 * half * np.clip(rise, 0, 1) ** 0.35 * np.clip(1.0 - rise, 0, 1) ** 0.65 * flicker
    offset = (x - lean) / np.maximum(edge, 1e-4)
    licks = np.sin(15.0 * rise + 4.0 * offset)
    tone = 0.36 + 0.26 * licks - 0.26 * np.sign(centre - MOON[1]) * offset + 0.10 * grain
    angle = -np.pi / 2 + 0.40 * licks + 0.65 * offset * (0.35 - rise)
    return (np.abs(offset) < 1.0) & (rise < 1.0), ramp(TREE, tone), angle


def _scene(rng, height, width):
    """Colours [H, W, 3] and stroke directions [H, W] of the motif."""
    y, x = canvas.coordinates(height, width)
    colour, stream = _sky(rng, y, x)
    down, right = np.gradient(stream)
    angle = np.arctan2(-right, down)
    grain = canvas.fractal(rng, height, width, 9, octaves=2)
    forms = [*_lands(rng, y, x, grain), *(_cypress(y, x, grain, tree) for tree in CYPRESSES)]
    for inside, form_colour, form_angle in forms:
        colour = np.where(inside[..., None], form_colour, colour)
        angle = np.where(inside, form_angle, angle)
    return colour.astype(np.float32), angle.astype(np.float32)


def _lay(rng, canvas_state, scene, angle, layer, detail):
    """Lays one layer of strokes over the paint and its thickness, in place."""
    paint, thickness = canvas_state
    height, width = thickness.shape
    breadth, stretch, spacing, spread, least = layer
    breadth = max(breadth * height, 3.0)
    starts = canvas.scatter(rng, height, width, spacing * breadth)
    keep = np.maximum(least, canvas.sample(detail, starts[:, 0], starts[:, 1]))
    starts = starts[rng.random(len(starts)) < keep]
    n, knots = len(starts), 11
    steps = breadth * stretch * rng.uniform(0.55, 1.25, n) / knots
    paths = canvas.trace(angle, starts, steps, knots)
    taper = np.sin(np.pi * np.linspace(0.09, 0.93, paths.shape[1])) ** 0.45
    widths = breadth * rng.uniform(0.6, 1.2, (n, 1)) * taper
    base = canvas.sample(scene, starts[:, 0], starts[:, 1])
    tint = rng.standard_normal((n, 1)) + 0.6 * rng.standard_normal((n, 3))
    base = base + (spread * tint).astype(np.float32)
    second = canvas.sample(scene, *(starts + breadth * rng.uniform(-1.5, 1.5, (n, 2))).T)
    bristles = rng.standard_normal((n, 24)).astype(np.float32)
    bristles = (bristles + np.roll(bristles, 1, axis=1)) / np.sqrt(2.0)
    for rows, columns, stroke, along, across in canvas.ribbons(paths, widths, thickness.shape):
        hair = bristles[stroke, ((across + 1.0) * 11.99).astype(np.int32)]
        edge = np.square(across)
        wet = hair + 1.9 - 2.6 * along * along * along - 1.2 * edge * edge * edge
        kept = wet > 0.0
        rows, columns, stroke = rows[kept], columns[kept], stroke[kept]
        hair, along, edge = hair[kept], along[kept], edge[kept]
        blend = np.clip(0.30 + 0.28 * hair, 0.0, 1.0)[:, None]
        paint[rows, columns] = mix(base[stroke], second[stroke], blend) + 0.022 * hair[:, None]
        body = 0.55 + 0.25 * hair + 0.5 * edge * edge - 0.3 * along
        thickness[rows, columns] = 0.35 * thickness[rows, columns] + body * breadth**0.5


def paint(height, width, seed):
    """Paints a night of wind, moon and cypresses over ploughed fields in layered oil strokes.

    Args:
      height, width: size of the picture in pixels.
      seed: integer; the same seed gives the same picture.

    Returns:
      [height, width, 3] float32 sRGB in [0, 1].
    """
    rng = np.random.default_rng(seed)
    height, width = canvas.SUPERSAMPLING * height, canvas.SUPERSAMPLING * width
    scene, angle = _scene(rng, height, width)
    detail = np.abs(canvas.blur(scene, 0.004 * height) - canvas.blur(scene, 0.016 * height))
    detail = np.clip(detail.sum(axis=-1) * 6.0, 0.0, 1.0)
    surface = mix(scene, canvas.colours("6b4630"), 0.25)
    thickness = np.zeros((height, width), np.float32)
    for layer in LAYERS:
        _lay(rng, (surface, thickness), scene, angle, layer, detail)
    light = canvas.relief(canvas.blur(thickness, 0.8), 0.6)[..., None]
    surface = surface * (1.0 + 0.40 * light) + 0.16 * np.maximum(light, 0.0) ** 2
    return canvas.finish(surface)
