"""Three steps on a picture whose rows 1, 2 and 8 devices divide: what they find and compute, as JSON."""

import json
import re
import sys

import jax
import numpy as np

from nstjax import losses, optimize
from nstjax.networks import vgg
from nstjax.optimize import Objective, Plan, Problem, Reference, Term, make_targets, term_weights

TERMS = (
    Term("content", losses.feature(), ("relu4_1",), "content"),
    Term("style", losses.gram(), ("relu1_1", "relu2_1", "relu3_1", "relu4_1"), "style"),
    Term("histogram", losses.histogram(), ("relu2_1",), "style"),
    Term("tv", losses.tv_nine_point(), ("image",), "content"),
)
WEIGHTS = term_weights(TERMS, {"content": 1.0, "style": 1e-3, "histogram": 1e-2, "tv": 10.0})
SHAPES = ((149, 62, 3), (149, 62, 3), (50, 60, 3))


def main(optimizer, padding):
    """{devices: {"total": [3], "image": nested lists, "heights": of the outputs of convolutions}}."""
    random, found = np.random.default_rng(0), {}
    image, content, style = (random.uniform(size=shape).astype(np.float32) for shape in SHAPES)
    references = {"content": [Reference(content)], "style": [Reference(style)]}
    method, params = optimize.make_method(optimizer), vgg.random_params(0, vgg.SLIM_WIDTHS)
    for devices in (1, 2, 8):
        encoder = vgg.make_encoder(params, vgg.CAFFE, padding=padding, row_devices=devices)
        whole = vgg.make_encoder(params, vgg.CAFFE, padding=padding).apply
        targets = jax.jit(make_targets, static_argnums=(0, 2))(whole, encoder.params, TERMS, references)
        problem = Problem(encoder.params, targets, WEIGHTS, jax.random.key(0))
        plan = Plan(method, row_devices=devices)
        run = optimize.run_chunk.lower(
            Objective(encoder.apply, TERMS),
            plan,
            optimize.initial_state(plan, image),
            problem,
            method.learning_rate,
            stop=3,
            length=3,
        ).compile()
        state, rows = run(optimize.initial_state(plan, image), problem, method.learning_rate, stop=3)
        heights = re.findall(r"f32\[1,(\d+),\d+,\d+\]\S* convolution", run.as_text())
        found[devices] = {
            "total": rows["total"].tolist(),
            "image": state.image.tolist(),
            "heights": sorted({*map(int, heights)}),
        }
    return found


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))
