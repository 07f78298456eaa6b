"""Roman floor: two fish around a sun, in rows of tesserae that follow every outline."""

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree
from skimage.measure import find_contours

from tools.paintings import canvas
from tools.paintings.canvas import mix, ramp, smoothstep

GOLD = canvas.colours("6b4410", "a8741c", "d9a63a", "f4d272", "fff0b8")
FLAME = canvas.colours("8e1b16", "c23a1e", "e2702a", "f2a93b")
SEA = canvas.colours("e6efdf", "a9d6cb", "5fb0ae", "2d8296", "1c5b80", "123a63", "0d2748")
BLUE_FISH = canvas.colours("10254f", "1d4f86", "3f8fae", "a9cfc9", "f1ead2", "e9b65c")
RED_FISH = canvas.colours("4f1016", "96231f", "cf4a2a", "ec8f3e", "f6cf78", "fbeecb")
FIN = canvas.colours("5a1f3a", "a43a4a", "de8460", "f5c98a")
SHELL = canvas.colours("7a3b2e", "b86a4c", "e0a882", "f5dfc4")
CREAM, STONE, RED, NIGHT = canvas.colours("f2e6cb", "1a1c24", "a3271f", "14284c")
GROUT = canvas.colours("3d352d", "6e6252")

TILE, LEAST_TILE = 0.0108, 7.0  # side of a tile: of the picture's height, and pixels of the canvas
ORBIT = 0.292


class _Design:
    """The cartoon under the tiles: number of the region, colour, tile size and shine per pixel."""

    def __init__(self, height, width):
        self.region = np.zeros((height, width), np.int32)
        self.colour = np.zeros((height, width, 3), np.float32)
        self.tile = max(TILE, LEAST_TILE / height)
        self.size = np.full((height, width), self.tile, np.float32)
        self.gold = np.zeros((height, width), bool)

    def lay(self, inside, colour, size=1.0, gold=False, parts=0):
        """Puts a region on top with tiles `size` times as large; `parts` [H, W] splits it."""
        parts = np.broadcast_to(parts, inside.shape)[inside].astype(np.int32)
        self.region[inside] = parts - parts.min(initial=0) + self.region.max() + 1
        self.colour[inside] = np.broadcast_to(colour, (*inside.shape, 3))[inside]
        self.size[inside] = self.tile * size
        self.gold[inside] = np.broadcast_to(gold, inside.shape)[inside]


def _frame(design, y, x):
    half_x = x.max()
    edge = np.minimum(0.5 - np.abs(y), half_x - np.abs(x))
    upright = half_x - np.abs(x) < 0.5 - np.abs(y)
    walk = np.where(upright, y, x)
    for sy, sx, palette in ((-1, -1, SHELL), (-1, 1, FIN), (1, -1, SHELL), (1, 1, FIN)):
        cy, cx = sy * 0.422, sx * (half_x - 0.078)
        r = np.hypot(y - cy, x - cx)
        rib = np.abs((np.arctan2(y - cy, x - cx) * 12.0 / (2.0 * np.pi)) % 1.0 - 0.5) * 2.0
        tone = np.where(rib > 0.62, 0.08, 0.98 - 4.0 * np.maximum(0.085 - r, 0.0))
        corner = (y * sy > 0.0) & (x * sx > 0.0) & (np.hypot(y, x) > 0.46)
        design.lay(corner, NIGHT)
        design.lay(corner & (r < 0.098 + 0.014 * (1.0 - rib**2)), ramp(palette, tone))
    wave = 0.032 + 0.013 * np.sin(walk * 2.0 * np.pi * 11.0)
    design.lay(edge < 0.072, CREAM, 0.9)
    design.lay(edge < 0.062, RED, 0.9)
    design.lay(edge < wave + 0.006, CREAM, 0.85)
    design.lay(edge < wave - 0.006, ramp(SEA, np.full(y.shape, 0.72)), 0.9)
    step = (walk * 11.0 + 0.25) % 1.0 - 0.5
    dot = np.hypot(step / 11.0, edge - 0.047) < 0.0115
    design.lay(dot, GOLD[3], 0.85, gold=True)
    design.lay(edge < 0.009, STONE)


def _sea(design, y, x, grain):
    r, theta = np.hypot(y, x), np.arctan2(y, x)
    arms = r + 0.020 * np.sin(9.0 * theta + 26.0 * r) + 0.010 * np.sin(4.0 * theta - 30.0 * r)
    band = np.floor((arms - 0.10) / 0.043)
    within = (arms - 0.10) / 0.043 - band
    tone = (r - 0.10) / 0.36 + 0.10 * (band % 2) + 0.10 * within - 0.05 + 0.03 * grain
    colour = ramp(SEA, tone)
    colour = np.where((within < 0.22)[..., None], mix(colour, CREAM, 0.75), colour)
    design.lay(r < 0.455, colour, parts=band)
    design.lay((r > 0.452) & (r < 0.480), GOLD[2], 0.95, gold=True)
    design.lay((r > 0.440) & (r < 0.4525), STONE)
    design.lay((r > 0.4795) & (r < 0.490), RED)


def _sun(design, y, x):
    r, theta = np.hypot(y, x), np.arctan2(y, x)
    design.lay(r < 0.172, ramp(SEA, 0.80 + 0.5 * (r - 0.1)))
    for count, shift, reach, foot, palette in (
        (12, 0.5, 0.145, 0.9, FLAME),
        (12, 0.0, 0.165, 0.8, GOLD),
    ):
        bend = theta + 0.033 * np.sin((r - 0.06) * 45.0) / np.maximum(r, 0.05)
        turn = np.abs((bend * count / (2.0 * np.pi) + shift) % 1.0 - 0.5) * 2.0
        rise = np.clip((r - 0.055) / (reach - 0.055), 0.0, 1.0)
        ray = (turn < foot * (1.0 - rise)) & (rise < 1.0)
        tone = 1.0 - 0.75 * rise - 0.25 * turn
        design.lay(ray, ramp(palette, tone), 0.8, gold=palette is GOLD)
    design.lay(r < 0.080, RED, 0.8)
    design.lay(r < 0.070, ramp(GOLD, 1.0 - r * 4.5), 0.85, gold=True)
    design.lay(r < 0.034, ramp(FLAME, 1.0 - r * 14.0), 0.8)


def _fish(design, y, x, heading, palette, grain):
    """A fish bent along the orbit: `u` runs from mouth to tail, `v` from belly to back."""
    r = np.hypot(y, x)
    turn = (np.arctan2(y, x) - heading + np.pi) % (2.0 * np.pi) - np.pi
    u = turn / 2.55 + 0.5
    p = np.clip(u / 0.86, 0.0, 1.0)
    lift = r - ORBIT - 0.018 * np.sin(7.5 * u)
    half = 0.072 * 2.32 * np.sqrt(p) * (1.0 - p) ** 0.72 + 0.012
    v = lift / half
    tail = (u - 0.80) / 0.20
    spread = 0.012 + 0.085 * np.clip(tail, 0.0, 1.0) ** 0.8
    notch = tail < 0.62 + 0.40 * np.abs(lift) / 0.09
    rays = 0.5 + 0.5 * np.sin(np.arctan2(lift, (u - 0.74) * 0.7) * 22.0)
    fins = [(tail > 0.0) & notch & (np.abs(lift) < spread)]
    over = np.abs(lift) - half
    for side, start, length, reach in (
        (1, 0.25, 0.42, 0.060),
        (-1, 0.31, 0.16, 0.050),
        (-1, 0.56, 0.14, 0.042),
    ):
        q = np.clip((u - start - 0.7 * np.maximum(over, 0.0)) / length, 0.0, 1.0)
        comb = reach * np.sin(np.pi * q**0.7) * (0.82 + 0.18 * np.cos(q * length * 130.0))
        fins.append((side * lift > 0.0) & (over < comb) & (over > -0.01) & (q > 0.0) & (q < 1.0))
    streak = 0.5 + 0.5 * np.sin(u * 125.0 - over * 60.0)
    for fin in fins:
        outline = ndimage.binary_dilation(fin, iterations=max(int(0.009 * len(y)), 1))
        design.lay(outline & (np.abs(v) > 0.9), STONE)
    design.lay(fins[0], ramp(palette[::-1], 0.25 + 0.65 * rays + 0.05 * grain), 0.85)
    for fin in fins[1:]:
        design.lay(fin, ramp(FIN, 0.25 + 0.65 * streak + 0.05 * grain), 0.85)
    body = (np.abs(v) < 1.0) & (u > 0.004) & (u < 0.87)
    design.lay((np.abs(lift) < half + 0.010) & (u > -0.008) & (u < 0.87), STONE, 0.9)
    a, b = u * 16.0, lift / 0.043
    column = np.floor(a)
    b = b + 0.5 * (column % 2)
    arc = np.hypot(a - column - 0.15, 1.10 * (b - np.floor(b) - 0.5))
    scale = smoothstep(0.90, 0.45, arc)
    tone = 0.50 - 0.34 * v + 0.46 * (scale - 0.6) + 0.03 * grain
    design.lay(body, ramp(palette, tone), 0.82)
    gill = u + 0.045 * v**2
    head = body & (gill < 0.205)
    design.lay(head & (gill > 0.188), palette[0], 0.8)
    tone = 0.46 - 0.45 * v + 0.10 * np.sin(u * 90.0) * (v < 0.0)
    design.lay(head & (gill <= 0.188), ramp(palette, tone), 0.78)
    design.lay(head & (np.abs(v + 0.22 - 3.0 * u) < 0.10) & (u < 0.075), STONE, 0.8)
    eye = np.hypot((u - 0.105) * 2.55 * ORBIT, lift - 0.020)
    for radius, colour in ((0.0265, STONE), (0.0205, CREAM), (0.0105, STONE)):
        design.lay(eye < radius, colour, 0.72)


def _rows(rng, design):
    """Centres [N, 2] of tiles in rows along the outlines of the regions, and distance to these."""
    region = design.region
    height = region.shape[0]
    edge = np.zeros(region.shape, bool)
    edge[:-1] |= region[:-1] != region[1:]
    edge[:, :-1] |= region[:, :-1] != region[:, 1:]
    inset = ndimage.distance_transform_edt(~edge).astype(np.float32)
    inset = np.where(edge, 0.0, canvas.blur(inset, 0.0012 * height))
    row = inset / (design.size * height)
    points = []
    for line in find_contours(np.cos(np.pi * row), 0.0):
        length = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))])
        step = canvas.sample(design.size, *line[len(line) // 2]) * height
        stops = np.arange(rng.uniform(0.2, 0.8) * step, length[-1], 1.03 * step)
        stops = stops + rng.normal(0.0, 0.05 * step, len(stops))
        points.append(np.column_stack([np.interp(stops, length, axis) for axis in line.T]))
    return np.concatenate(points), inset


def _thin(points, reach):
    """Drops each point that lies within its `reach` of a kept earlier one."""
    kept = np.ones(len(points), bool)
    neighbours = cKDTree(points).query_ball_point(points, reach)
    for number, near in enumerate(neighbours):
        if kept[number]:
            kept[[other for other in near if other > number]] = False
    return points[kept]


def _fill(points, size):
    """Adds tiles wherever a hole of more than about half a tile is left."""
    reach = int(0.8 * size.max() * len(size)) | 1
    for _ in range(2):
        free = np.ones(size.shape, bool)
        free[points[:, 0].astype(int), points[:, 1].astype(int)] = False
        hole = ndimage.distance_transform_edt(free) / (size * size.shape[0])
        peak = (hole > 0.84) & (hole == ndimage.maximum_filter(hole, reach))
        points = np.concatenate([points, np.argwhere(peak) + 0.5])
    return points


def _cells(points, theta, size, shape, block=4, candidates=7):
    """Number of the tile at each pixel: the nearest one in a square metric turned by `theta`."""
    rows, columns = -(-shape[0] // block), -(-shape[1] // block)
    grid = np.stack(np.indices((rows, columns)), axis=-1).reshape(-1, 2) * block + block / 2.0
    near = cKDTree(points).query(grid, candidates)[1].reshape(rows, columns, candidates)
    y, x = np.indices(shape, np.float32) + 0.5
    best = np.full(shape, np.inf, np.float32)
    owner = np.zeros(shape, np.int32)
    table = np.column_stack([points, np.cos(theta) / size, np.sin(theta) / size]).astype(np.float32)
    for candidate in range(candidates):
        number = np.repeat(np.repeat(near[..., candidate], block, axis=0), block, axis=1)
        number = number[: shape[0], : shape[1]]
        cy, cx, cos, sin = np.moveaxis(table[number], -1, 0)
        dy, dx = y - cy, x - cx
        u, v = np.abs(dx * cos + dy * sin), np.abs(dy * cos - dx * sin)
        far = np.maximum(u, v) + 0.15 * (u + v)
        closer = far < best
        best, owner = np.where(closer, far, best), np.where(closer, number, owner)
    return owner


def _set_tiles(rng, design):
    """Number of the tile at each pixel, and the centres [N, 2] of the tiles."""
    shape = design.region.shape
    points, inset = _rows(rng, design)
    size = design.size * shape[0]
    points = _fill(_thin(points, 0.66 * canvas.sample(size, *points.T)), design.size)
    down, right = np.gradient(canvas.blur(inset, 0.0025 * shape[0]))
    for _ in range(2):
        theta = np.arctan2(canvas.sample(down, *points.T), canvas.sample(right, *points.T))
        theta = theta + rng.normal(0.0, 0.05, len(points))
        owner = _cells(points, theta, canvas.sample(size, *points.T), shape)
        area = np.bincount(owner.ravel(), minlength=len(points))[:, None]
        sums = [np.bincount(owner.ravel(), axis.ravel(), len(points)) for axis in np.indices(shape)]
        middle = np.column_stack(sums) / np.maximum(area, 1) + 0.5
        points = np.where(area > 0, mix(points, middle, 0.6), points)
    return owner, points


def paint(height, width, seed):
    """Lays two fish, a sun and the sea in stone, glass and gold tesserae.

    Args:
      height, width: size of the picture in pixels.
      seed: integer; the same seed gives the same picture.

    Returns:
      [height, width, 3] float32 sRGB in [0, 1].
    """
    rng = np.random.default_rng(seed)
    height, width = canvas.SUPERSAMPLING * height, canvas.SUPERSAMPLING * width
    y, x = canvas.coordinates(height, width)
    y, x = y - 0.5, x - 0.5 * width / height
    grain = canvas.fractal(rng, height, width, 8, octaves=3)
    design = _Design(height, width)
    _frame(design, y, x)
    _sea(design, y, x, grain)
    _sun(design, y, x)
    heading = rng.uniform(-0.4, 0.4)
    _fish(design, y, x, heading, BLUE_FISH, grain)
    _fish(design, y, x, heading + np.pi, RED_FISH, grain)
    owner, points = _set_tiles(rng, design)
    count = len(points)

    tilt = rng.normal(0.0, 1.0, count)
    gold = canvas.sample(design.gold, *points.T)
    colour = canvas.sample(design.colour, *points.T)
    glint = ramp(GOLD, 0.55 + 0.22 * tilt + 0.5 * (rng.random(count) < 0.10))
    colour = np.where(gold[:, None], mix(colour, glint, 0.75), colour)
    colour = mix(colour.mean(axis=1, keepdims=True), colour, 1.12) * 1.12
    colour = colour * (1.0 + 0.085 * tilt[:, None]) + rng.normal(0.0, 0.022, (count, 3))
    stone = canvas.fractal(rng, height, width, 130, octaves=3, gain=0.8)
    face = colour.astype(np.float32)[owner] * (1.0 + 0.045 * stone)[..., None]

    edge = ndimage.morphological_gradient(owner, size=3) > 0
    inset = canvas.blur(ndimage.distance_transform_edt(~edge), 1.2) / (design.tile * height)
    gap = 0.030 + 0.030 * rng.random(count).astype(np.float32)[owner] + 0.012 * stone
    body = smoothstep(gap - 0.03, gap + 0.06, inset)
    lean = rng.normal(0.0, 0.16, (2, count)).astype(np.float32)[:, owner]
    rows, columns = np.indices((height, width), np.float32)
    centre = points.astype(np.float32)[owner]
    slope = lean[0] * (rows - centre[..., 0]) + lean[1] * (columns - centre[..., 1])
    thickness = body * (0.22 * design.tile * height + slope) + 0.10 * stone
    light = canvas.relief(canvas.blur(thickness, 0.8), 0.8)[..., None]
    bed = ramp(GROUT, 0.4 + 0.25 * stone)
    surface = canvas.over(bed, face, smoothstep(0.2, 0.8, body))
    surface = surface * (1.0 + 0.38 * light) + 0.10 * np.maximum(light, 0.0) ** 2
    return canvas.finish(surface)
