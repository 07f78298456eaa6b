"""An accelerator in a few minutes: is it right, how fast is it, how near to what the device can do."""

import functools
import tempfile
import time
from importlib import util
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import bench_start, bench_steps, bench_sweep
from nstjax import files, optimize, runs
from nstjax.networks import vgg
from nstjax.validate import PRECISIONS

KINDS = tuple(name for name in PRECISIONS if name)
POINTS = (1, 4, 16)


def measure(sizes, budget):
    """Rows {"what", ...}, printed as they come; what does not begin within `budget` seconds is "left out".

    - "right": the largest differences of features and of the gradient from those of the CPU, both in float32;
    - "product": FLOP/s of matrix products of 4096 x 4096 numbers, the peak that steps are compared with;
    - "step": seconds of a step of Adam through VGG-19 to relu5_1 by size and precision, the bytes that its
      program takes, and the share of the peak that its convolutions reach;
    - "PyTorch": the same step there, eager and compiled;
    - "sweep": seconds per step and point of points that run together;
    - "training": crops a second that a network learns from, on a CPU small ones and a small network;
    - "start": seconds from the start of a command to its picture after one step, with an empty and with a
      warm cache of compiled programs.
    """
    params, sizes, begun, rows = vgg.random_params(0), list(sizes), time.perf_counter(), []
    peaks: dict[str, float] = {}
    torch = bool(util.find_spec("torch"))
    parts = [
        ("right", _right, (params, min(sizes))),
        *(("product", _product, (precision, peaks)) for precision in KINDS),
        *(("step", _step, (params, size, precision, peaks)) for size in sizes for precision in KINDS),
        *(("sweep", _sweep, (params, min(sizes), count)) for count in POINTS),
        ("training", _training, ()),
        ("start", _start, (min(sizes),)),
        *(
            ("PyTorch", _torch, (params, size, precision, compiled))
            for size in sizes
            for precision in KINDS
            for compiled in (False, True)
            if torch
        ),
    ]
    for what, part, arguments in parts:
        late = time.perf_counter() - begun > budget
        rows.append({"what": what} | ({"left out": True} if late else part(*arguments)))
        print(*(f"{key} {_told(value)}" for key, value in rows[-1].items()), sep="  ", flush=True)
    return rows


def _told(value):
    return f"{value:.4g}" if isinstance(value, float) else value


def _picture(size):
    return np.random.default_rng(0).uniform(size=(size, size, 3)).astype(np.float32)


def _right(params, size):
    """Features and the gradient on this device and on the CPU, in float32."""
    objective, problem = bench_steps.make_problem(params, _picture(size), conv="direct")
    image, taps = jnp.asarray(_picture(size))[::-1, ::-1], bench_steps.STYLE

    def run(image, problem):
        features = objective.apply(problem.params, image, taps)
        return features, jax.grad(lambda image: objective(image, problem)[0])(image)

    with jax.default_matmul_precision("float32"):
        here = jax.jit(run)(image, problem)
        cpu = jax.devices("cpu")[0]
        with jax.default_device(cpu):
            there = jax.jit(run)(*jax.device_put((image, problem), cpu))
    features, gradient = jax.tree.map(_difference, here, there)
    return {"size": size, "gradient": gradient} | features


def _difference(here, there):
    here, there = np.asarray(here), np.asarray(there)
    return float(np.abs(here - there).max() / np.abs(there).max())


def _product(precision, peaks, side=4096, repeats=8):
    """FLOP/s of matrix products one after another."""
    dtype = jnp.bfloat16 if precision == "bfloat16" else jnp.float32
    x = jax.random.normal(jax.random.key(0), (side, side), dtype) / side**0.5

    def run(x):
        return jax.lax.fori_loop(0, repeats, lambda _, y: (y @ x).astype(dtype), x)

    with jax.default_matmul_precision(PRECISIONS[precision]):
        seconds = _seconds(jax.jit(run), x)
    peaks[precision] = 2 * side**3 * repeats / seconds
    return {"precision": precision, "FLOP/s": peaks[precision]}


def _step(params, size, precision, peaks):
    dtype = "bfloat16" if precision == "bfloat16" else "float32"
    objective, problem = bench_steps.make_problem(params, _picture(size), dtype=dtype)
    plan, length = optimize.Plan(), bench_steps.STEPS
    state = optimize.initial_state(plan, jnp.asarray(_picture(size)))
    call = functools.partial(optimize.run_chunk, objective, plan, problem=problem, length=length)
    with jax.default_matmul_precision(PRECISIONS[precision]):
        compiled = optimize.run_chunk.lower(
            objective, plan, state, problem, 0.02, stop=length, length=length
        ).compile()
        memory = compiled.memory_analysis()

        def run():
            fresh = optimize.initial_state(plan, jnp.asarray(_picture(size)))
            return call(state=fresh, learning_rate=0.02, stop=length)

        seconds = _seconds(run) / length
    share = flops(size) / seconds / peaks[precision]
    found = {"size": size, "precision": precision, "seconds": seconds, "share of peak": share}
    return found | {"bytes": memory.temp_size_in_bytes + memory.argument_size_in_bytes}


def flops(size):
    """Of the convolutions of a step through VGG-19 to relu5_1: forwards, and back to the picture."""
    total, channels = 0, 3
    for conv in vgg.CONVS[: vgg.CONVS.index("conv5_1") + 1]:
        width = vgg.WIDTHS[int(conv[4]) - 1]
        total += 2 * 2 * 9 * channels * width * (size >> (int(conv[4]) - 1)) ** 2
        channels = width
    return total


def _torch(params, size, precision, compiled):
    from benchmarks import peers

    run = peers.make_steps(
        *(params, _picture(size), bench_steps.STYLE, bench_steps.CONTENT, bench_steps.STEPS),
        peers.LAYOUTS["PyTorch channels last"],
        precision=precision,
        compiled=compiled,
    )
    seconds = _seconds(run) / bench_steps.STEPS
    return {"size": size, "precision": precision, "compiled": compiled, "seconds": seconds}


def _sweep(params, size, count):
    run = bench_sweep.make_batch(params, _picture(size), count)
    return {"size": size, "points": count, "seconds": _seconds(run) / bench_steps.STEPS / count}


def _training(steps=20):
    """A network of the config `johnson2016`, through random weights, on the example pictures."""
    from configs import johnson2016

    config = johnson2016.get_config("smoke" if jax.default_backend() == "cpu" else None)
    config.update(
        weights="random", steps=steps, log_every=steps // 2, validate_every=steps, calibrate="terms"
    )
    with tempfile.TemporaryDirectory() as folder:
        runs.run(config, Path(folder) / "run")
        lines = [
            each for each in files.read_json_lines(Path(folder) / "run" / "metrics.jsonl") if "loss" in each
        ]
    first, last = (line["seconds"] for line in (lines[0], lines[-1]))
    return {"crop": config.crop, "crops a second": config.batch * (steps - steps // 2) / (last - first)}


def _start(size):
    return {"size": size} | bench_start.started("stylize", size)


def _seconds(run, *arguments):
    """Of a call, the median of three after one to compile."""
    jax.block_until_ready(run(*arguments))
    times = []
    for _ in range(3):
        begun = time.perf_counter()
        jax.block_until_ready(run(*arguments))
        times.append(time.perf_counter() - begun)
    return sorted(times)[1]
