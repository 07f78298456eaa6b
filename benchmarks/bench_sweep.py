"""What a step of the points of a sweep costs, in one batch and one by one."""

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
            runs = {"together": _batch(params, picture, POINTS), "alone": _batch(params, picture, 1)}
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


def _batch(params, picture, count):
    """A function, compiled when it is returned, that makes `STEPS` steps of points of different weights."""
    objective, problem = make_problem(params, picture)
    problems = [
        problem._replace(weights=jax.tree.map(lambda w, i=i: w * (1 + i), problem.weights))
        for i in range(count)
    ]
    plan, image = optimize.Plan(), jnp.asarray(picture)
    batch = optimize.make_batch(problems, [0.02] * count, [optimize.UNLIMITED] * count)

    def run():
        states = jax.vmap(lambda _: optimize.initial_state(plan, image))(jnp.arange(count))
        steps = optimize.run_batch(objective, plan, states, batch, start=0, stop=STEPS, length=STEPS)
        return jax.block_until_ready(steps)

    run()
    return run
