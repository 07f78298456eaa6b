"""Pen and ink: an oak, a round tower and rolling hills, in lines that wrap around each form."""

from typing import NamedTuple

import numpy as np

from tools.paintings import canvas
from tools.paintings.canvas import mix, smoothstep

PAPER, SHADE, INK = canvas.colours("f3e7cc", "e3d0a8", "1d1613")
LIGHT = np.array([-0.52, 0.50, 0.69])  # towards the sun: y, x, and out of the paper
SUN_AT = (0.30, 0.57)
SPACING = 0.0072
# Layers of lines: turn from the form's direction, tone where they begin and where they are full.
LAYERS = ((0.0, 0.10, 0.75), (0.95, 0.42, 1.0), (-0.75, 0.64, 1.1), (0.45, 0.82, 1.1))
# Hills from far to near: level, swing, frequency and phase of the ridge, direction, size of bushes.
HILLS = (
    (0.575, 0.030, 4.1, 0.3, 0.25, 0.014),
    (0.625, 0.045, 3.3, 2.4, -0.2, 0.022),
    (0.710, 0.060, 2.5, 4.6, 0.3, 0.0),
)


class Form(NamedTuple):
    """A thing to draw: where it is, its relief, how dark it is, and which way its lines lie.

    `inside` [H, W] bool; `relief` [H, W] towards the eye, in picture heights; `tone` [H, W], 0 for
    paper and 1 for black; `direction` in radians from the x axis; `wrap` bends lines over the
    relief; `spacing` is relative to SPACING; `outline` is the weight of the line around it.
    """

    inside: np.ndarray
    relief: np.ndarray
    tone: np.ndarray
    direction: float
    wrap: float = 1.0
    spacing: float = 1.0
    outline: float = 1.0


def _lit(relief, ambient=0.1):
    """Tone of a relief under LIGHT: 0 where it faces the sun."""
    down, right = np.gradient(relief * relief.shape[0])
    facing = (-down * LIGHT[0] - right * LIGHT[1] + LIGHT[2]) / np.sqrt(1.0 + down**2 + right**2)
    return 1.0 - np.clip(ambient + (1.0 - ambient) * 1.15 * facing, 0.0, 1.0)


def _balls(y, x, balls):
    """Relief of a heap of balls `(y, x, radius)`, and where it is above the ground."""
    relief = np.zeros(y.shape, np.float32)
    for cy, cx, radius in balls:
        square = radius**2 - (y - cy) ** 2 - (x - cx) ** 2
        relief = np.maximum(relief, np.sqrt(np.maximum(square, 0.0)))
    return relief, relief > 0.0


def _sky(rng, y, x, grain):
    aspect = x[0, -1]
    r = np.hypot(y - SUN_AT[0], x - SUN_AT[1] * aspect)
    tone = 0.55 * smoothstep(0.05, 0.70, r) + 0.35 * smoothstep(0.35, 0.0, y) + 0.09 * grain
    yield Form(r > 0.055, 0.5 * r + 0.010 * grain, tone, 0.06, spacing=1.05)
    for cy, cx, size, count in ((0.20, 0.86, 0.15, 20), (0.12, 0.40, 0.09, 16)):
        spread = rng.uniform(-1.0, 1.0, count)
        lift = np.sqrt(1.0 - spread**2) * rng.uniform(0.0, 0.62, count)
        radii = size * rng.uniform(0.22, 0.50, count) * (1.1 - 0.6 * np.abs(spread))
        balls = np.column_stack([cy - size * lift, cx * aspect + 1.5 * size * spread, radii])
        relief, inside = _balls(y + 0.004 * grain, x, balls)
        inside &= y < cy + 0.10 * size + 0.006 * grain
        tone = 0.85 * _lit(relief, 0.28) + 0.30 * smoothstep(cy - 0.3 * size, cy + 0.15 * size, y)
        yield Form(inside, relief, np.minimum(tone, 0.72), 0.5, wrap=1.2, spacing=0.9)


def _mountains(rng, y, x, grain):
    peaks = 0.13 * np.abs((2.1 * x / x[0, -1] + 0.68) % 1.0 - 0.5) + 0.015 * np.abs(grain)
    below = y - 0.555 + peaks
    relief = 0.035 * np.abs(canvas.fractal(rng, *y.shape, (2.0, 7.0), octaves=4))
    tone = 0.15 + 0.55 * _lit(relief, 0.25) + 0.22 * smoothstep(0.09, 0.0, below)
    return Form(below > 0.0, relief, tone, 1.05, wrap=0.5, spacing=0.8)


def _hill(rng, y, x, grain, hill):
    level, swing, frequency, phase, direction, bush = hill
    ridge = level + swing * (np.sin(frequency * x + phase) + 0.3 * np.sin(9.1 * x + phase))
    below = y - ridge
    relief = 1.5 * swing * np.sqrt(np.maximum(below, 0.0) * 4.0)
    relief = relief + 0.020 * canvas.fractal(rng, *y.shape, (7.0, 3.5), octaves=3)
    tone = 0.06 + 0.85 * _lit(relief, 0.25) + 0.42 * np.exp(-below / 0.03) * (0.6 + 0.3 * grain)
    yield Form(below > 0.0, relief, tone, direction, wrap=0.8)
    if bush > 0.0:
        places = np.sort(rng.integers(0, y.shape[1], 26))
        places = places[np.sin(places / y.shape[1] * 19.0 + phase) > -0.1]
        radii = bush * rng.uniform(0.5, 1.5, len(places))
        balls = np.column_stack([ridge[0, places] - 0.4 * bush, x[0, places], radii])
        rough = 0.25 * bush * canvas.fractal(rng, *y.shape, 45, octaves=2)
        relief, inside = _balls(y + rough, x + rough, balls)
        yield Form(inside, relief, 0.30 + 0.9 * _lit(relief), 0.9, spacing=0.8)


def _lane(y, x, grain):
    bend = np.maximum(y - 0.66, 0.0) / 0.34
    course = (0.735 - 0.10 * bend + 0.075 * np.sin(5.5 * bend)) * x[0, -1]
    across = (x - course) / (0.016 + 0.105 * bend)
    ruts = np.exp(-(((np.abs(across) - 0.5) / 0.16) ** 2))
    tone = 0.02 + 0.34 * ruts + 0.10 * grain + 0.30 * smoothstep(-0.6, -1.0, across)
    inside = (np.abs(across) < 1.0 + 0.10 * grain) & (y > 0.668)
    relief = 0.02 * (ruts + np.abs(across))
    return Form(inside, relief, tone, 0.15, spacing=0.9, outline=0.7)


def _tower(y, x, grain):
    aspect = x[0, -1]
    across = (x - 0.735 * aspect) / (0.060 + 0.018 * smoothstep(0.40, 0.66, y))
    rounded = 0.060 * np.sqrt(np.maximum(1.0 - across**2, 0.0))
    tone = 0.12 + 0.88 * smoothstep(0.55, -0.95, across + 0.10 * grain)
    wall = (np.abs(across) < 1.0) & (y > 0.335) & (y < 0.672 - 0.02 * across)
    course = (y - 0.12 * rounded) / 0.0185
    joint = np.abs(course % 1.0 - 0.5) > 0.44
    along = np.arcsin(np.clip(across, -1.0, 1.0)) * 4.0 + 0.5 * (np.floor(course) % 2)
    joint |= np.abs(along % 1.0 - 0.5) > 0.46
    tone = np.where(joint & (grain > -0.9), tone + 0.28, tone - 0.05)
    for wy, wx in ((0.41, 0.18), (0.50, -0.12), (0.59, 0.22)):
        window = np.hypot((across - wx) / 0.16, np.maximum(np.abs(y - wy) - 0.012, 0.0) / 0.010) < 1
        tone = np.where(window, 1.3, tone)
    yield Form(wall, rounded, tone, 0.0, wrap=0.6, spacing=0.75, outline=1.5)
    cap = (np.abs(across) < 1.22) & (np.abs(y - 0.325 - 0.1 * rounded) < 0.016)
    yield Form(cap, rounded, tone + 0.1, np.pi / 2, spacing=0.7, outline=1.5)
    rise = (y - 0.185) / (0.312 - 0.185 + 0.1 * rounded)
    slope = (x - 0.735 * aspect) / np.maximum(0.082 * rise, 1e-3)
    roof = (np.abs(slope) < 1.0) & (rise > 0.0) & (rise < 1.0)
    tiles = np.abs(rise * 7.0 % 1.0 - 0.5) > 0.4
    tone = 0.30 + 0.75 * smoothstep(0.45, -0.8, slope) + 0.25 * tiles
    yield Form(roof, 0.35 * np.arctan(slope), tone, 0.0, wrap=-0.4, spacing=0.7, outline=1.5)


def _branches(rng, aspect):
    """Limbs of the oak from the trunk outwards, in heights: paths [N, 9, 2] and widths [N, 9]."""
    paths, widths = [], []
    limbs = [((1.0, 0.20 * aspect), -1.55, 0.34, 0.098, 0)]
    while limbs:
        (y, x), heading, length, thick, depth = limbs.pop(0)
        bend = np.cumsum(rng.normal(0.0, 0.13 + 0.03 * depth, 8))
        steps = length / 8 * np.stack([np.sin(heading + bend), np.cos(heading + bend)], axis=-1)
        path = np.cumsum(np.vstack([(y, x), steps]), axis=0)
        taper = np.linspace(1.0, 0.62, 9)
        taper[:3] += np.array([0.7, 0.3, 0.1]) * (depth == 0)
        paths.append(path)
        widths.append(thick * taper)
        if depth < 4:
            for turn in np.linspace(-0.75, 0.75, 3 if depth < 2 else 2):
                start = path[-1 - int(rng.integers(0, 2))]
                angle = heading + bend[-1] * 0.4 + turn + rng.normal(0.0, 0.16)
                angle, shorter = mix(angle, -np.pi / 2, 0.22), length * rng.uniform(0.58, 0.78)
                limbs.append((start, angle, shorter, thick * 0.52, depth + 1))
    return np.array(paths), np.array(widths)


def _oak(rng, y, x, grain):
    height, width = y.shape
    paths, widths = _branches(rng, x[0, -1])
    wood = np.zeros((height, width), np.float32)
    for path, thick in zip(paths[::-1, None], widths[::-1, None], strict=True):
        breadth = np.maximum(thick * height, 2.5)
        for rows, columns, *_, across in canvas.ribbons(path * height, breadth, wood.shape):
            wood[rows, columns] = 0.5 * thick.mean() * np.sqrt(1.0 - 0.97 * across**2)
    tips = paths[13:, -1]
    chosen = tips[rng.random(len(tips)) < 0.9]
    radii = rng.uniform(0.040, 0.078, len(chosen))
    balls = np.column_stack([chosen + rng.normal(0.0, 0.02, chosen.shape), radii])
    ragged = 0.009 * canvas.fractal(rng, height, width, 30, octaves=3)
    leaves, inside = _balls(y + ragged, x - ragged[::-1], balls[np.argsort(balls[:, 2])])
    centre = chosen.mean(axis=0)
    mass = (y - centre[0]) * 0.9 - (x - centre[1]) * 0.9
    bark = 0.30 + 0.75 * _lit(wood, 0.15) + 0.12 * grain
    yield Form(wood > 0.0, wood + 0.004 * grain, bark, -1.45, wrap=0.5, spacing=0.7, outline=1.6)
    hollow = canvas.fractal(rng, height, width, 11, octaves=3) > 1.15
    tone = 0.20 + 0.75 * _lit(leaves, 0.2) + 0.9 * np.clip(mass + 0.03, -0.15, 0.25) + 0.12 * grain
    yield Form(inside & ~hollow, leaves, tone, 0.7, wrap=1.3, spacing=0.85, outline=0.0)


def _hatch(ink, form, seen, grid, wobble, pressure):
    """Draws the layers of lines of one form where it is seen, in place.

    `wobble` [H, W] is the unsteadiness of the hand; a line presses as one row of `pressure` says.
    """
    y, x = grid
    height = y.shape[0]
    for turn, start, full in LAYERS:
        theta = form.direction + turn
        across = np.cos(theta) * y - np.sin(theta) * x
        wrap = form.wrap * np.exp(-abs(turn))
        phase = (across + wrap * form.relief) / (SPACING * form.spacing) + 0.22 * wobble
        line = np.floor(phase)
        down, right = np.gradient(phase)
        apart = 1.0 / np.maximum(np.hypot(down, right), 1e-4)
        distance = np.abs(phase - line - 0.5) * apart
        along = np.where(np.abs(down) > np.abs(right), x, y)
        hand = canvas.sample(pressure, line * 37 % 512, (along * 1000.0 + line * 331.0) % 2048)
        weight = (form.tone - start) / (full - start) + 0.07 * hand
        room = np.minimum(apart, SPACING * form.spacing * height * 1.5)
        half = 0.5 * room * (0.16 + 0.52 * np.clip(weight, 0.0, 1.0)) * (1.0 + 0.16 * hand)
        half = half * smoothstep(0.0, 0.10, weight)
        cover = smoothstep(0.8, -0.8, distance - half) * (half > 0.35)
        ink[seen] = np.maximum(ink[seen], cover[seen])


def _marks(ink, starts, heading, length, breadth, curl):
    """Draws short tapering curved strokes, in place; lengths are in pixels."""
    t = np.linspace(0.0, 1.0, 7)
    theta = heading[:, None] + curl[:, None] * (t - 0.3)
    steps = np.stack([np.sin(theta), np.cos(theta)], axis=-1) * (length / 7.0)[:, None, None]
    paths = starts[:, None] + np.cumsum(steps, axis=1)
    widths = breadth[:, None] * (0.25 + 0.75 * np.sin(np.pi * np.linspace(0.15, 1.0, 7)))
    for rows, columns, *_ in canvas.ribbons(paths, widths, ink.shape, density=1.8):
        ink[rows, columns] = 1.0


def _foliage(rng, ink, form, seen):
    height, width = ink.shape
    starts = canvas.scatter(rng, height, width, 0.0062 * height)
    tone = canvas.sample(np.where(seen, form.tone, -1.0), *starts.T)
    rim = 1.0 - np.abs(2.0 * canvas.blur(seen.astype(np.float32), 0.004 * height) - 1.0)
    keep = np.where(tone > -1.0, 0.10 + 0.5 * tone, 0.0) + 0.8 * canvas.sample(rim, *starts.T)
    starts = starts[rng.random(len(starts)) < keep]
    n = len(starts)
    heading = rng.choice([-2.4, -0.6, 0.5, 2.6], n) + rng.normal(0.0, 0.5, n)
    length = 0.014 * height * rng.uniform(0.6, 1.3, n)
    breadth = 0.0021 * height * rng.uniform(0.7, 1.5, n)
    _marks(ink, starts, heading, length, breadth, rng.choice([-3.4, 3.4], n))


def _birds(rng, ink):
    height, width = ink.shape
    flock = rng.normal((0.20 * height, 0.60 * width), (0.05 * height, 0.05 * width), (9, 2))
    size = 0.016 * height * rng.uniform(0.6, 1.2, 9)
    breadth = np.full(9, 0.0030 * height)
    for heading, curl in ((-0.7, 1.5), (np.pi + 0.7, -1.5)):
        _marks(ink, flock, heading + rng.normal(0.0, 0.2, 9), size, breadth, np.full(9, curl))


def _grass(rng, ink):
    height, width = ink.shape
    starts = canvas.scatter(rng, height, width, 0.013 * height)
    clump = canvas.fractal(rng, height, width, (10, 5), octaves=3)
    near = (starts[:, 0] / height - 0.78) / 0.22
    keep = 0.5 * np.clip(near, 0.0, 1.0) * smoothstep(-0.2, 0.9, canvas.sample(clump, *starts.T))
    starts = np.repeat(starts[rng.random(len(starts)) < keep], 5, axis=0)
    n = len(starts)
    starts = starts + rng.normal(0.0, 0.006 * height, (n, 2))
    near = np.clip((starts[:, 0] / height - 0.70) / 0.30, 0.2, 1.0)
    length = 0.062 * height * near * rng.uniform(0.4, 1.2, n)
    breadth = 0.0029 * height * near
    heading = -np.pi / 2 + rng.normal(0.0, 0.28, n)
    _marks(ink, starts, heading, length, breadth, rng.normal(0.4, 0.9, n))


def paint(height, width, seed):
    """Draws an oak, a tower and hills under a low sun in hatched ink on warm paper.

    Args:
      height, width: size of the picture in pixels.
      seed: integer; the same seed gives the same picture.

    Returns:
      [height, width, 3] float32 sRGB in [0, 1].
    """
    rng = np.random.default_rng(seed)
    height, width = canvas.SUPERSAMPLING * height, canvas.SUPERSAMPLING * width
    y, x = canvas.coordinates(height, width)
    grain = canvas.fractal(rng, height, width, 9, octaves=3)
    wobble = canvas.fractal(rng, height, width, 7, octaves=4, gain=0.6)
    far, middle, near = (_hill(rng, y, x, grain, hill) for hill in HILLS)
    forms = [*_sky(rng, y, x, grain), _mountains(rng, y, x, grain), *far, *middle]
    forms += [*_tower(y, x, grain), *near, _lane(y, x, grain), *_oak(rng, y, x, grain)]
    owner = np.zeros((height, width), np.int32)
    for number, form in enumerate(forms):
        owner[form.inside] = number
    pressure = canvas.fractal(rng, 512, 2048, (100, 14), octaves=3, gain=0.6)
    ink = np.zeros((height, width), np.float32)
    for number, form in enumerate(forms):
        seen = (owner == number) & form.inside
        _hatch(ink, form, seen, (y, x), wobble, pressure)
        edge = np.abs(canvas.blur(seen.astype(np.float32), 2.0) - 0.5)
        thick = 0.0009 * height * form.outline * np.clip(1.0 + 0.5 * wobble, 0.0, 2.0)
        line = smoothstep(thick + 0.7, thick - 0.7, edge * 5.0) * (edge < 0.47) * (thick > 0.0)
        ink = np.maximum(ink, line)
    _birds(rng, ink)
    _grass(rng, ink)
    _foliage(rng, ink, forms[-1], owner == len(forms) - 1)
    fibre = canvas.fractal(rng, height, width, 30, octaves=5, gain=1.0)
    page = canvas.over(np.broadcast_to(PAPER, (height, width, 3)), SHADE, 0.30 + 0.10 * fibre)
    bite = canvas.noise(rng, height, width, height / 4.0)
    flow = np.clip(ink * (0.93 + 0.05 * bite + 0.03 * wobble), 0.0, 1.0)
    return canvas.finish(canvas.over(page, mix(INK, SHADE, 0.04), flow))
