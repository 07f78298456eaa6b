"""A small sweep, and what it leaves."""

import json

import numpy as np
from PIL import Image

from nstjax import sweeps
from nstjax.config import default_config, term
from nstjax.sweeps import Design, Options

QUIET = Options(measure=False)
FEW = ("gram", "sliced_wasserstein")  # of the losses that measure


def config(**values):
    made = default_config()
    made.update(size=16, weights="random-tiny", steps=6, steps_per_call=3, checkpoint_every=3, init="noise")
    made.terms.content = term("feature", "relu2_2", reference="content")
    made.terms.style = term("gram", ("relu1_1", "relu2_1"), weight=3.0)
    made.update(values)
    made.lock()
    return made


def weights_by_seeds(weights=(1.0, 30.0)):
    points = sweeps.product(sweeps.factor("terms.style.weight", weights), sweeps.factor("seed", (0, 1)))
    return Design(points, baseline={"terms.style.weight": str(weights[0])}, repeats=("seed",))


def pixels(folder):
    return np.asarray(Image.open(folder / "image.png")).astype(int)


def rows_of(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def content_of(workdir):
    """The bytes of the files of every point, but for what holds seconds."""
    files = (p for p in workdir.glob("points/*/*") if p.name in ("image.png", "config.json", "weights.json"))
    return {str(path.relative_to(workdir)): path.read_bytes() for path in files}
