"""Time and memory of a step by the size of the picture, from small ones to those that go in windows."""

import math
import multiprocessing
import resource
import time

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import bench_steps
from nstjax import optimize
from nstjax.networks import vgg

STEPS, TILE, FROM = 3, 512, 2048  # pixels of a side from which on pictures go in windows


def measure(sizes):
    """Rows {"size", "tile", "seconds", "bytes"}, printed as they come.

    A step of Adam on content, Gram losses and total variation through full-width VGG-19 to relu5_1, three
    after one another. "bytes" is the most memory of a process of its own, everything included. Beside
    each row, the exponents of pixels with which both grew from the one before.
    """
    rows = []
    for size in sizes:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            rows.append(pool.apply(_row, (size, TILE if size >= FROM else 0)))
        row, before = rows[-1], rows[-2:-1]
        grown = [
            f"{math.log(row[key] / old[key]) / math.log((size / old['size']) ** 2):.2f}"
            for old in before
            for key in ("seconds", "bytes")
        ]
        told = (
            f"{size:5d} tile {row['tile']:4d} {row['seconds']:9.3f} s per step {row['bytes'] / 1e9:7.2f} GB"
        )
        print(told, "exponents", *grown, flush=True) if grown else print(told, flush=True)
    return rows


def _row(size, tile):
    picture = np.random.default_rng(0).uniform(size=(size, size, 3)).astype(np.float32)
    objective, problem = bench_steps.make_problem(vgg.random_params(0), picture, tile=tile)
    plan = optimize.Plan(optimize.make_method("adam"))

    def run(stop):
        state = optimize.initial_state(plan, jnp.asarray(picture))
        chunk = optimize.run_chunk(objective, plan, state, problem, 0.02, stop=stop, length=STEPS)
        return jax.block_until_ready(chunk[0].image)

    run(0)  # compiles
    begun = time.perf_counter()
    run(STEPS)
    seconds = (time.perf_counter() - begun) / STEPS
    unit = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {"size": size, "tile": tile, "seconds": seconds, "bytes": unit}
