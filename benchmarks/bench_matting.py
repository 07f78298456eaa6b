"""The matting-Laplacian term beside a pass through VGG-19, and the memory that it takes."""

import statistics
import time

import jax
import numpy as np

from nstjax import losses, networks

SHAPES = ((125, 175), (250, 350), (500, 700), (1000, 1400))


def measure(rounds):
    """Rows {"shape", "seconds", "vgg seconds", "share", "bytes per pixel"}, printed as they come.

    "seconds" are those of the term's value and gradient, "vgg seconds" those of features at relu4_1. The two
    run in turns; "share" is the median of their ratios.
    """
    encoder = networks.make_encoder(networks.load("random"))
    loss, rows = losses.matting(), []
    for shape in SHAPES:
        x, guide = np.random.default_rng(0).uniform(size=(2, *shape, 3)).astype(np.float32)
        target = jax.jit(loss.target)(guide)
        term = jax.jit(jax.value_and_grad(loss.score)).lower(x, target).compile()
        encode = jax.jit(encoder.apply, static_argnums=2).lower(encoder.params, x, ("relu4_1",)).compile()
        pairs = [(_seconds(term, x, target), _seconds(encode, encoder.params, x)) for _ in range(rounds + 1)]
        own, passes = (statistics.median(each) for each in zip(*pairs[1:], strict=True))
        share = statistics.median(a / b for a, b in pairs[1:])
        memory = term.memory_analysis().temp_size_in_bytes / (shape[0] * shape[1])
        rows.append({"shape": shape, "seconds": own, "vgg seconds": passes, "share": share})
        rows[-1]["bytes per pixel"] = memory
        print(
            f"{shape[1]:5d} x {shape[0]:<5d} {own:.4f} s  {share:6.1%} of a pass  {memory:.0f} bytes a pixel"
        )
    return rows


def _seconds(call, *arguments):
    begun = time.perf_counter()
    jax.block_until_ready(call(*arguments))
    return time.perf_counter() - begun
