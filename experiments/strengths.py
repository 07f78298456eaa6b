"""Measures what the strength of a style does in a network that takes it.

    python -m experiments.strengths --workdir=runs/paintings --photographs=a.jpg,b.jpg --out=runs/strengths

For each strength, the terms of the objective are taken of the network's output, with the weights of strength
1, as means over the photographs, cropped to squares, and the styles. --alone=0.1:runs/weak,10:runs/strong
names trainings of the same styles at one of the strengths alone: the table then has the objective at that
strength as a multiple of theirs. Writes strengths.json and prints a table.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags

from experiments import command
from nstjax import files, images, runs
from nstjax.errors import UserError, check_choice
from nstjax.feedforward.apply import stylize
from nstjax.feedforward.loss import Batch
from nstjax.images import read_aloud
from nstjax.networks import stylizers
from nstjax.runs.network import make_loss

_WORKDIR = command.define_path("workdir", "The folder of a training with one strength.")
_PHOTOGRAPHS = flags.DEFINE_list("photographs", None, "Pictures that the network was not trained on.")
_SIZE = flags.DEFINE_integer("size", 256, "Side of the squares in pixels.", lower_bound=16)
_STRENGTHS = flags.DEFINE_list("strengths", ["0.1", "0.2", "0.5", "1", "2", "5", "10"], "Factors.")
_ALONE = flags.DEFINE_list("alone", [], "STRENGTH:FOLDER of trainings at one strength.")
_OUT = command.define_path("out", "Folder for strengths.json.")


def main(_):
    folder = _WORKDIR.value
    run = runs.load(files.read_json(folder / "config.json"))
    trained = stylizers.load(folder / "network.safetensors")
    if len(trained.strengths) != 1:
        raise UserError(f"workdir {folder}: the network takes {len(trained.strengths)} strengths; expected 1")
    (term,) = trained.strengths
    perceptual, constants = make_loss(run)
    factors = [_number(text) for text in _STRENGTHS.value]
    alone = _alone(trained)
    squares = [
        images.resize_to_cover(read_aloud(name).pixels, _SIZE.value, _SIZE.value)
        for name in _PHOTOGRAPHS.value
    ]
    files.make_folder(_OUT.value)
    score = jax.jit(perceptual.objective)

    def measured(network, factor, told):
        """{"total", term: [photographs, styles]} of a network; terms with the weights of strength 1."""
        found = []
        for i, square in enumerate(squares):
            for style, name in enumerate(trained.styles):
                given = [
                    Batch(jnp.asarray(square), jnp.int32(style), jnp.full(1, log2), jnp.uint32(i))
                    for log2 in (math.log2(factor), 0.0)
                ]
                at, at_one = (perceptual.problem(constants, each) for each in given)
                painted = stylize(network, square, network.condition(name, told))
                total, report = score(painted, at)
                found.append({"total": float(total), **_terms(report, at_one.weights)})
        return {key: np.array([row[key] for row in found]) for key in found[0]}

    rows = []
    for factor in factors:
        own = measured(trained, factor, {term: factor})
        row = {"strength": factor} | {key: float(values.mean()) for key, values in own.items()}
        if factor in alone:
            other = measured(alone[factor], factor, {})
            row["of alone"] = float(np.mean(own["total"] / other["total"]))
        rows.append(row)
        files.write_json(_OUT.value / "strengths.json", {"rows": rows})
    return _table(rows)


def _number(text):
    try:
        return float(text)
    except ValueError:
        raise UserError(f"strengths: expected factors; got {text!r}") from None


def _alone(trained):
    """{strength: `Stylizer`} of the trainings at one strength."""
    found = {}
    for text in _ALONE.value:
        factor, colon, folder = text.partition(":")
        if not colon:
            raise UserError(f"alone: expected STRENGTH:FOLDER; got {text!r}")
        network = stylizers.load(files.user_path(folder) / "network.safetensors")
        for style in trained.styles:
            check_choice(f"alone {folder}: style", style, network.styles)
        found[_number(factor)] = network
    return found


def _terms(report, weights):
    """{term: weighted value} of a report {"term/tap": value}."""
    return {
        name: sum(float(weight * report[f"{name}/{tap}"]) for tap, weight in taps.items())
        for name, taps in weights.items()
    }


def _table(rows):
    keys = list(dict.fromkeys(key for row in rows for key in row))
    lines = ["| " + " | ".join(keys) + " |", "|---" * len(keys) + "|"]
    for row in rows:
        lines.append("| " + " | ".join(f"{row[key]:.3g}" if key in row else "" for key in keys) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    command.run(main, required=["workdir", "photographs", "out"])
