"""The time of a pass through the residual network, beside PyTorch, in one run; their outputs are compared."""

import statistics
import time
from importlib import util

import jax
import jax.numpy as jnp
import numpy as np

from nstjax.networks.transformer import PRESETS, Condition

WIDTHS = ((32, 64, 128), (16, 32, 64))


def measure(sizes, rounds):
    """Rows {"widths", "size", "program", "seconds", "ratio", "difference"}, printed as they come.

    `seconds` is a median over rounds, `ratio` its share of ours, `difference` the largest from our output.
    """
    sizes, rows, plain = list(sizes), [], Condition(jnp.ones(1), jnp.zeros(0))
    for widths in WIDTHS:
        network = PRESETS["pytorch_examples"].clone(widths=widths)
        made = network.init(jax.random.key(0), jnp.zeros((8, 8, 3)), plain)
        leaves, structure = jax.tree.flatten(made)
        keys = jax.random.split(jax.random.key(1), len(leaves))
        moved = [x + 0.05 * jax.random.normal(key, x.shape) for x, key in zip(leaves, keys, strict=True)]
        made = jax.tree.unflatten(structure, moved)
        painted = jax.jit(lambda made, picture, network=network: network.apply(made, picture, plain))
        runs = {"nstjax": lambda picture, made=made, painted=painted: np.asarray(painted(made, picture))}
        if util.find_spec("torch"):
            from benchmarks import peers_networks as peers

            for name, layout in peers.LAYOUTS.items():
                runs[name] = peers.make_network(made["params"], network.blocks, layout)
        for size in sizes:
            picture = np.random.default_rng(0).uniform(size=(size, size, 3)).astype(np.float32)
            outputs = {name: run(picture) for name, run in runs.items()}
            seconds = {name: [] for name in runs}
            for name in list(runs) * rounds:
                start = time.perf_counter()
                runs[name](picture)
                seconds[name].append(time.perf_counter() - start)
            for name, values in seconds.items():
                median = statistics.median(values)
                row = {"widths": widths, "size": size, "program": name, "seconds": median}
                row["ratio"] = median / statistics.median(seconds["nstjax"])
                row["difference"] = float(np.abs(outputs[name] - outputs["nstjax"]).max())
                rows.append(row)
                print(
                    f"{widths!s:15s} {size:5d} {name:24s} {median:8.4f} s {row['ratio']:6.2f} x nstjax"
                    f"  difference {row['difference']:.1e}",
                    flush=True,
                )
    return rows
