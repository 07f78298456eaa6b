"""Time to the same picture: until the objective is where PyTorch's L-BFGS is after 300 evaluations."""

import functools
import math
import time

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.bench_lbfgs import EVALUATIONS, PAIRS
from configs import gatys2016
from nstjax import files, images, optimize, runs
from nstjax.runs.stage import initial_image, make_stage

_AT_MOST = 900  # steps of the last stage
_LENGTH = 10  # steps of a compiled call

# {name: (optimizer of configs/gatys2016.py, its arguments, (share of the size, steps) of each stage)}
WAYS = {
    "lbfgs": ("lbfgs", {}, ()),
    "falloff 0.75": ("lbfgs", {"falloff": 0.75}, ()),
    "falloff 1": ("lbfgs", {"falloff": 1.0}, ()),
    "falloff 1.5": ("lbfgs", {"falloff": 1.5}, ()),
    "adam": ("adam", {}, ()),
    "two sizes": ("lbfgs", {}, ((2, 200), (1, _AT_MOST))),
    "two sizes falloff 0.75": ("lbfgs", {"falloff": 0.75}, ((2, 100), (1, _AT_MOST))),
    "three sizes": ("lbfgs", {}, ((4, 200), (2, 100), (1, _AT_MOST))),
}
BY_DEFAULT = ("lbfgs", "falloff 0.75", "adam", "two sizes", "three sizes")


def measure(sizes, programs, out):
    """Rows {"size", "pair", "program", "seconds", "ratio", "evaluations", "total", "saved", "compiling"}.

    Printed as they come. "seconds" are those of steps until "total" is at most PyTorch's last one; "ratio" is
    their quotient with PyTorch's, None where a program does not get there; "saved" is the objective of the
    picture clipped to [0, 1], which is written to `out`.
    """
    rows = []
    for size in sizes:
        for pair in PAIRS:
            for row, picture in _of_pair(size, pair, programs or BY_DEFAULT):
                name = f"{row['pair']}_{row['program']}_{size}.png".replace(" ", "_")
                files.write(out / name, images.encode_png(picture))
                rows.append(row)
                print(
                    f"{size:5d} {row['pair']:22s} {row['program']:23s} {row['seconds']:7.1f} s "
                    f"{row['ratio'] or math.nan:6.2f} x PyTorch {row['evaluations']:5d} evaluations, "
                    f"total {row['total']:.4g}, saved {row['saved']:.4g}; {row['compiling']:.1f} s compiling",
                    flush=True,
                )
    return rows


def _of_pair(size, pair, programs):
    """(row, picture) of each program."""
    from benchmarks import peers, peers_lbfgs

    run = _load(size, pair, "lbfgs")
    stage = make_stage(run, 0)
    valued = jax.jit(lambda image: stage.objective(image, stage.problem)[0])
    style = images.resize(run.styles[0].pixels, *images.fit_size(*run.styles[0].pixels.shape[:2], size))
    content = images.resize(run.content.pixels, *stage.shape)
    weights = {term.name: dict(zip(term.taps, _weights(run, term), strict=True)) for term in stage.spec.terms}
    layout = peers.LAYOUTS["PyTorch channels last"]
    picture, totals, seconds = peers_lbfgs.run(
        run.network.params, content, style, weights, EVALUATIONS, layout
    )
    np.testing.assert_allclose(valued(content), totals[0], rtol=1e-3, err_msg="of one picture")
    head = {"size": size, "pair": "+".join(name.removeprefix("example:") for name in pair)}

    def row(program, image, **found):
        saved = float(valued(jnp.clip(image, 0, 1)))
        ratio = found["seconds"] / seconds if found["total"] <= totals[-1] else None
        return head | {"program": program, "saved": saved, "ratio": ratio} | found, image

    yield row("PyTorch", picture, seconds=seconds, compiling=0.0, evaluations=len(totals), total=totals[-1])
    for program in programs:
        found, image = _until(_load(size, pair, program), totals[-1])
        yield row(program, image, **found)


def _load(size, pair, program):
    """The run of a way, with steps enough."""
    optimizer, arguments, stages = WAYS[program]
    config = gatys2016.get_config(f"variant=code,optimizer={optimizer}")
    config.content, config.style = pair
    with config.unlocked():
        config.optimizer_args.update(arguments)
    config.size, config.steps = size, _AT_MOST
    config.stages = tuple({"size": size // share, "steps": steps} for share, steps in stages)
    return runs.load(config)


def _weights(run, term):
    given = run.config["terms"][term.name]
    return given["tap_weights"] or [given["weight"]] * len(term.taps)


def _until(run, target):
    """(row, picture): the run until the total of its last stage is at most `target`."""
    compiling = seconds = 0.0
    evaluations, state, before = 0, None, None
    for index, spec in enumerate(run.stages):
        stage = make_stage(run, index)
        state = (
            optimize.initial_state(spec.plan, initial_image(run, spec))
            if state is None
            else optimize.next_scale(before, spec.plan, state, stage.shape)
        )
        before = spec.plan
        advance = functools.partial(
            optimize.run_chunk,
            stage.objective,
            spec.plan,
            problem=stage.problem,
            learning_rate=spec.learning_rate,
            length=_LENGTH,
        )
        begun = time.perf_counter()
        state, _ = jax.block_until_ready(advance(state, stop=0))
        compiling += time.perf_counter() - begun
        for stop in range(_LENGTH, spec.config.steps + 1, _LENGTH):
            begun = time.perf_counter()
            state, rows = jax.block_until_ready(advance(state, stop=stop))
            taken, totals = time.perf_counter() - begun, np.asarray(rows["total"])
            there = np.flatnonzero(totals <= target) if index == len(run.stages) - 1 else []
            if len(there):
                seconds += taken * int(there[0]) / _LENGTH
                evaluations += int(rows["evaluations"][there[0]])
                found = {"seconds": seconds, "compiling": compiling, "evaluations": evaluations}
                return found | {"total": float(totals[there[0]])}, state.image
            seconds += taken
        evaluations += int(state.evaluations)
    found = {"seconds": seconds, "compiling": compiling, "evaluations": evaluations}
    return found | {"total": float(totals[-1])}, state.image
