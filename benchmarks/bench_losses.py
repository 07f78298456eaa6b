"""The time of every loss, and how it grows: value and gradient at relu3_1, beside the network up to there."""

import math
import statistics
import time

import jax
import jax.numpy as jnp
import numpy as np

from nstjax import losses
from nstjax.networks import vgg

TAP = "relu3_1"
# Required arguments of losses, and the losses that are measured on the picture instead of features.
ARGUMENTS = {"cross_gram": {"split": 128}}
PICTURE = ("colour_histogram", "laplacian", "palette", "value_range")


def measure(sizes, rounds):
    """[{"size", "loss", "seconds", "ratio", "bytes"}], the pass of VGG-19 up to the tap first.

    Seconds are medians over rounds, in turns; a ratio is to the pass. Bytes are the temporaries of the
    compiled program. After the first size, rows have the "exponents" of pixels with which both grew.
    """
    rows = []
    for size in sizes:
        rows += _at(size, rounds, {row["loss"]: row for row in rows})
    return rows


def _at(size, rounds, before):
    encoder = vgg.make_encoder(vgg.random_params(0), vgg.TORCHVISION)
    pictures = [
        jnp.asarray(np.random.default_rng(seed).uniform(size=(size, size, 3)), jnp.float32) for seed in (0, 1)
    ]
    forward = jax.jit(lambda params, x: encoder.apply(params, x, (TAP,))[TAP])
    features = [forward(encoder.params, x) for x in pictures]
    programs = {f"(VGG-19 to {TAP})": _compiled(forward, encoder.params, pictures[0])}
    for name in losses.__all__:
        if name != "Loss":
            loss = getattr(losses, name)(**ARGUMENTS.get(name, {}))
            x, style = pictures if name.startswith("tv_") or name in PICTURE else features
            target = jax.jit(loss.target)(style)
            step = jax.value_and_grad(lambda x, t, key, loss=loss: loss.score(x, t, key=key))
            programs[name] = _compiled(jax.jit(step), x, target, jax.random.key(0))
    seconds = {name: [] for name in programs}
    for name in list(programs) * rounds:
        program, arguments = programs[name]
        start = time.perf_counter()
        jax.block_until_ready(program(*arguments))
        seconds[name].append(time.perf_counter() - start)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    unit = next(iter(medians.values()))
    rows = []
    for name, median in medians.items():
        needed = programs[name][0].memory_analysis().temp_size_in_bytes
        row = {"size": size, "loss": name, "seconds": median, "ratio": median / unit, "bytes": needed}
        told = f"{size:5d} {name:24s} {median:8.4f} s {median / unit:6.2f} x {needed / 1e6:8.0f} MB"
        if name in before:
            grown = math.log((size / before[name]["size"]) ** 2)
            row["exponents"] = [
                math.log(max(row[key], 1e-9) / max(before[name][key], 1e-9)) / grown
                for key in ("seconds", "bytes")
            ]
            told += " exponents {:.2f} {:.2f}".format(*row["exponents"])
        rows.append(row)
        print(told, flush=True)
    return rows


def _compiled(function, *arguments):
    program = function.lower(*arguments).compile()
    jax.block_until_ready(program(*arguments))
    return program, arguments
