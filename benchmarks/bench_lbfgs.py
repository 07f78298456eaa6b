"""What L-BFGS reaches within some evaluations of one objective, by its memory, beside PyTorch's."""

import statistics
import time
from importlib import util

import jax
import jax.numpy as jnp
import numpy as np

from nstjax import config as configs
from nstjax import optimize, presets, runs
from nstjax.runs.stage import initial_image, make_stage

PAIRS = (
    ("example:coffee", "example:brushwork"),
    ("example:chelsea", "example:mosaic"),
    ("example:astronaut", "example:woodblock"),
)
MEMORIES = (10, 25, 50, 100)
EVALUATIONS = 300


def measure(sizes, memories=MEMORIES):
    """Rows {"size", "pair", "program", "total", "clipped", "seconds"}, printed as they come.

    The objective is that of Gatys' code on blocks 1 to 3, from the content. "total" is its value at the end,
    "clipped" that of the picture that is saved, "seconds" those of an evaluation.
    """
    rows = []
    for size in sizes:
        for pair in PAIRS:
            objective, problem, start = _problem(size, pair)
            made = {f"nstjax, memory {m}": _ours(objective, problem, start, m) for m in memories}
            if util.find_spec("torch"):
                made["PyTorch, history 100"] = _torch(objective, problem, start)
            for program, (image, seconds) in made.items():
                total, clipped = (float(objective(x, problem)[0]) for x in (image, jnp.clip(image, 0, 1)))
                pictures = "+".join(name.removeprefix("example:") for name in pair)
                row = {"size": size, "pair": pictures, "program": program, "total": total, "clipped": clipped}
                rows.append(row | {"seconds": seconds})
                print(
                    f"{size:5d} {pictures:22s} {program:22s} {total:12.5g} {clipped:12.5g} {seconds:.4f} s",
                    flush=True,
                )
    return rows


def _problem(size, pair):
    """(objective, its `Problem`, the content [H, W, 3])."""
    config = configs.default_config()
    config.content, config.style = pair
    config.size = size
    config.terms.update(presets.gatys2016_code())
    config.terms.content.taps = ("relu3_2",)
    config.terms.style.update(
        taps=config.terms.style.taps[:3], tap_weights=config.terms.style.tap_weights[:3]
    )
    run = runs.load(config)
    stage = make_stage(run, 0)
    return stage.objective, stage.problem, initial_image(run, run.stages[0])


def _ours(objective, problem, start, memory):
    """(image, median of seconds of an evaluation)."""
    method = optimize.make_method("lbfgs", optimizer_args=(("memory_size", memory),))
    plan = optimize.Plan(method, log_every=EVALUATIONS)
    batch = optimize.make_batch([problem], [method.learning_rate], [EVALUATIONS])
    states = jax.tree.map(lambda x: x[None], optimize.initial_state(plan, start))
    seconds, length = [], 20
    for first in range(0, EVALUATIONS, length):
        before, begun = int(states.evaluations[0]), time.perf_counter()
        states, _ = jax.block_until_ready(
            optimize.run_batch(
                objective, plan, states, batch, start=first, stop=first + length, length=length
            )
        )
        made = int(states.evaluations[0]) - before
        seconds += [(time.perf_counter() - begun) / made] if made else []
    return states.image[0], statistics.median(seconds)


def _torch(objective, problem, start):
    """The same of PyTorch's L-BFGS as neural-style-pt calls it, in grey levels; the objective is ours."""
    import torch

    valued = jax.jit(jax.value_and_grad(lambda image: objective(image, problem)[0]))
    levels = torch.tensor(255 * np.asarray(start), requires_grad=True)
    method = torch.optim.LBFGS(
        [levels], max_iter=EVALUATIONS, max_eval=EVALUATIONS, tolerance_change=-1, tolerance_grad=-1
    )
    jax.block_until_ready(valued(start))

    def picture():
        return jnp.asarray(levels.detach().numpy()) / 255

    def evaluate():
        value, gradient = valued(picture())
        levels.grad = torch.tensor(np.asarray(gradient) / 255)
        return torch.tensor(float(value))

    begun = time.perf_counter()
    method.step(evaluate)
    seconds = (time.perf_counter() - begun) / EVALUATIONS
    return picture(), seconds
