"""The time of a step for points of a sweep, together in one program and one by one."""

import statistics
import time

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.bench_steps import STEPS, make_problem
from nstjax import optimize
from nstjax.networks import pretrained, vgg

POINTS = 16


def measure(sizes, rounds):
    """Rows {"size", "network", "together", "alone", "ratio"}: medians of seconds per step and point."""
    networks = {"mini": pretrained.load("mini").params, "vgg19": vgg.random_params(0)}
    rows = []
    for size in sizes:
        picture = np.random.default_rng(0).uniform(size=(size, size, 3)).astype(np.float32)
        for network, params in networks.items():
            runs = {"together": make_batch(params, picture, POINTS), "alone": make_batch(params, picture, 1)}
            seconds = {name: [] for name in runs}
            for name in list(runs) * (rounds + 1):
                start = time.perf_counter()
                runs[name]()
                seconds[name].append((time.perf_counter() - start) / STEPS)
            row = {name: statistics.median(values[1:]) for name, values in seconds.items()}
            row["together"] /= POINTS
            ratio = row["together"] / row["alone"]
            rows.append({"size": size, "network": network, **row, "ratio": ratio})
            print(
                f"{size:5d} {network:6s} {POINTS} together {row['together']:.4f} s per step and point, "
                f"alone {row['alone']:.4f}: {ratio:.2f}",
                flush=True,
            )
    return rows


def make_batch(params, picture, count):
    """A function, compiled when it is returned, that makes `STEPS` steps of points of different weights."""
    objective, problem = make_problem(params, picture)
    problems = [
        problem._replace(weights=jax.tree.map(lambda w, i=i: w * (1 + i), problem.weights))
        for i in range(count)
    ]
    plan, image = optimize.Plan(), jnp.asarray(picture)
    batch = optimize.make_batch(problems, np.full(count, 0.02, np.float32), [optimize.UNLIMITED] * count)

    def run():
        states = jax.vmap(lambda _: optimize.initial_state(plan, image))(jnp.arange(count))
        arguments = (objective, plan, states, batch)
        return jax.block_until_ready(optimize.run_batch(*arguments, start=0, stop=STEPS, length=STEPS))

    run()
    return run
