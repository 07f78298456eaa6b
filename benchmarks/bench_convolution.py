"""The 3 x 3 convolutions of VGG-19 by both algorithms, as they run inside a compiled loop."""

import math
import statistics
import time

import jax
import numpy as np
from jax import lax

from nstjax.networks import vgg
from nstjax.ops import winograd
from nstjax.ops.convolution import convolve

ALGORITHMS = ("direct", "winograd")
REPEATS = 4


def measure(sizes, rounds):
    """Rows {"size", "channels", "features", "seconds", "ratio", "error"}, printed as they come.

    A layer and the cotangent of its input, of a picture of size x size pixels, are run four times in a loop;
    "seconds" has those of one time by algorithm, medians of rounds in turns. "ratio" is the median of
    direct / winograd, "error" the largest difference as a share of the largest output.
    """
    rows = []
    for size in sizes:
        for block, width in enumerate(vgg.WIDTHS):
            for channels in dict.fromkeys((vgg.WIDTHS[max(block - 1, 0)], width)):
                rows.append(_row(size >> block, channels, width, rounds) | {"size": size})
                print(_told(rows[-1]), flush=True)
    return rows


def _row(side, channels, features, rounds):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(side, side, channels)).astype(np.float32)
    kernel = rng.normal(size=(3, 3, channels, features)).astype(np.float32) / math.sqrt(9 * channels)
    turned = dict(zip(ALGORITHMS, (None, winograd.turn(kernel)), strict=True))
    made = {name: np.asarray(convolve(x, kernel, 1, turned[name])) for name in ALGORITHMS}
    error = float(np.abs(made["winograd"] - made["direct"]).max() / np.abs(made["direct"]).max())
    times = {name: [] for name in ALGORITHMS}
    for name in ALGORITHMS * (rounds + 1):
        times[name].append(_seconds(_repeated, x, kernel, turned[name]) / REPEATS)
    direct, fast = (times[name][1:] for name in ALGORITHMS)
    return {
        "channels": channels,
        "features": features,
        "side": side,
        "seconds": {name: statistics.median(values[1:]) for name, values in times.items()},
        "ratio": statistics.median(a / b for a, b in zip(direct, fast, strict=True)),
        "error": error,
    }


@jax.jit
def _repeated(x, kernel, turned):
    def step(x, _):
        y, back = jax.vjp(lambda x: convolve(x, kernel, 1, turned), x)
        return back(y)[0], None

    return lax.scan(step, x, length=REPEATS)[0]


def _seconds(call, *arguments):
    begun = time.perf_counter()
    jax.block_until_ready(call(*arguments))
    return time.perf_counter() - begun


def _told(row):
    direct, fast = (1e3 * row["seconds"][name] for name in ALGORITHMS)
    layer = f"{row['side']:5d} x {row['side']:<5d} {row['channels']:4d} -> {row['features']:<4d}"
    return (
        f"{layer} direct {direct:8.2f} ms  winograd {fast:8.2f} ms  {row['ratio']:5.2f} x  {row['error']:.1e}"
    )
