"""Measures how many steps of optimisation a trained network is worth.

    python -m experiments.equals --workdir=runs/paintings --photographs=a.jpg,b.jpg --out=runs/equals

Of each photograph, the objective that the network was trained with is taken of the network's output, and of
a picture that is optimised from the photograph, until it is as low. Photographs are cropped to squares; the
styles of the network take turns. Writes equals.json and prints a table: medians with the least and the
largest, and how often as long the steps take as the network.
"""

import time

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags

from experiments import command
from nstjax import files, images, optimize, runs
from nstjax.errors import UserError
from nstjax.feedforward.apply import stylize
from nstjax.feedforward.loss import Batch
from nstjax.images import read_aloud
from nstjax.networks import stylizers
from nstjax.runs.network import make_loss

_WORKDIR = command.define_path("workdir", "The folder of a training.")
_NETWORK = command.define_path("network", "Another of its networks, such as that of a validation.")
_PHOTOGRAPHS = flags.DEFINE_list("photographs", None, "Pictures that the network was not trained on.")
_SIZES = flags.DEFINE_list("sizes", ["256", "512"], "Sides of the squares in pixels.")
_METHODS = flags.DEFINE_list("methods", ["adam", "lbfgs"], "Methods of optimisation, with their usual rates.")
_MOST = flags.DEFINE_integer("most", 300, "Evaluations to give up after.", lower_bound=1)
_OUT = command.define_path("out", "Folder for equals.json.")


def main(_):
    folder = _WORKDIR.value
    run = runs.load(files.read_json(folder / "config.json"))
    trained = stylizers.load(_NETWORK.value or folder / "network.safetensors")
    perceptual, constants = make_loss(run)
    photographs = [read_aloud(name).pixels for name in _PHOTOGRAPHS.value]
    files.make_folder(_OUT.value)
    rows = []
    for size in map(_whole, _SIZES.value):
        for i, pixels in enumerate(photographs):
            square = jnp.asarray(images.resize_to_cover(pixels, size, size))
            style, none = i % len(run.styles), jnp.zeros(len(trained.strengths))
            problem = perceptual.problem(constants, Batch(square, jnp.int32(style), none, jnp.uint32(i)))
            condition = trained.condition(run.style_names[perceptual.first + style])
            painted, seconds = _timed(lambda s=square, c=condition: stylize(trained, s, c))
            aim = float(perceptual.objective(painted, problem)[0])
            start = float(perceptual.objective(square, problem)[0])
            row = {"size": size, "photograph": i, "style": style, "start": start, "network": aim}
            row["network seconds"] = seconds
            for method in _METHODS.value:
                row |= _reached(perceptual.objective, problem, square, method, aim)
            rows.append(row)
            print(row, flush=True)
            files.write_json(_OUT.value / "equals.json", {"rows": rows})
    return _table(rows)


def _whole(text):
    try:
        return int(text)
    except ValueError:
        raise UserError(f"sizes: expected numbers of pixels; got {text!r}") from None


def _timed(call):
    """(result, seconds) of a call that was made once before."""
    jax.block_until_ready(call())
    begun = time.perf_counter()
    return jax.block_until_ready(call()), time.perf_counter() - begun


def _reached(objective, problem, start, method, aim):
    """{"METHOD": evaluations until the total is at most `aim`, or None, "METHOD seconds": of one}."""
    made, length = optimize.make_method(method), 10
    plan = optimize.Plan(made, log_every=length)

    def chunk(state, stop):
        made_in = optimize.run_chunk(
            objective, plan, state, problem, made.learning_rate, stop=stop, length=length
        )
        return jax.block_until_ready(made_in)

    chunk(optimize.initial_state(plan, start), 0)  # compiles
    state, begun = optimize.initial_state(plan, start), time.perf_counter()
    while int(state.step) < _MOST.value:
        state, history = chunk(state, int(state.step) + length)
        low = np.flatnonzero(np.asarray(history["total"]) <= aim)
        if len(low):
            break
    each = (time.perf_counter() - begun) / int(state.evaluations)
    found = int(history["evaluations"][low[0]]) if len(low) else None
    return {method: found, f"{method} seconds": each}


def _table(rows):
    lines = [
        "| pixels | method | evaluations (least to largest) | time, of the network's |",
        "|---|---|---|---|",
    ]
    for size in dict.fromkeys(row["size"] for row in rows):
        for method in _METHODS.value:
            those = [row for row in rows if row["size"] == size]
            counts = [row[method] if row[method] is not None else np.inf for row in those]
            ratios = [
                count * row[f"{method} seconds"] / row["network seconds"]
                for count, row in zip(counts, those, strict=True)
            ]
            spread = f"{np.median(counts):g} ({min(counts):g} to {max(counts):g})"
            lines.append(f"| {size} | {method} | {spread} | {np.median(ratios):.0f} x |")
    return "\n".join(lines)


if __name__ == "__main__":
    command.run(main, required=["workdir", "photographs", "out"])
