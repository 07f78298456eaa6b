"""Time and memory of value and gradient of an objective by its number of terms, through VGG-19."""

import statistics
import time

import jax
import jax.numpy as jnp
import numpy as np

from nstjax import losses
from nstjax.networks import vgg
from nstjax.optimize import Objective, Problem, Reference, Term, make_targets, term_weights

STYLE = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
# In the order in which they join.
TERMS = (
    Term("content", losses.feature(), ("relu4_2",), "content"),
    Term("gram", losses.gram(), STYLE, "style"),
    Term("tv", losses.tv_nine_point(), ("image",), "content"),
    Term("mean_std", losses.mean_std(), STYLE, "style"),
    Term("covariance", losses.covariance(), STYLE, "style"),
    Term("moments", losses.moments_l1(), STYLE, "style"),
    Term("sliced", losses.sliced_wasserstein(), STYLE, "style"),
    Term("histogram", losses.histogram(), STYLE, "style"),
)
COUNTS = (1, 2, 4, 8)


def measure(sizes, rounds):
    """Rows {"size", "terms", "seconds", "bytes", "ratio"}, printed as they come.

    "seconds" are medians, of rounds in turns; "ratio" is to those of one term; "bytes" are the temporaries of
    the compiled program.
    """
    encoder, rows = vgg.make_encoder(vgg.random_params(0), vgg.TORCHVISION), []
    for size in sizes:
        pictures = np.random.default_rng(0).uniform(size=(3, size, size, 3)).astype(np.float32)
        programs = {count: _program(encoder, TERMS[:count], *map(jnp.asarray, pictures)) for count in COUNTS}
        seconds = {count: [] for count in COUNTS}
        for count in COUNTS * (rounds + 1):
            program, arguments = programs[count]
            begun = time.perf_counter()
            jax.block_until_ready(program(*arguments))
            seconds[count].append(time.perf_counter() - begun)
        for count, (_, *values) in seconds.items():
            ratio = statistics.median(a / b for a, b in zip(values, seconds[1][1:], strict=True))
            needed = programs[count][0].memory_analysis().temp_size_in_bytes
            row = {"size": size, "terms": count, "seconds": statistics.median(values), "bytes": needed}
            rows.append(row | {"ratio": ratio})
            print(
                f"{size:5d} {count} terms to {TERMS[count - 1].name:12s} {row['seconds']:8.4f} s "
                f"{ratio:5.2f} x one, {needed / 1e6:6.0f} MB",
                flush=True,
            )
    return rows


def _program(encoder, terms, image, content, style):
    references = {"content": [Reference(content)], "style": [Reference(style)]}
    targets = jax.jit(make_targets, static_argnums=(0, 2))(encoder.apply, encoder.params, terms, references)
    weights = term_weights(terms, {term.name: 1.0 for term in terms})
    objective = Objective(encoder.apply, terms)
    problem = Problem(encoder.params, targets, weights, jax.random.key(0))
    problem = jax.jit(objective.prepare)(problem)
    graded = jax.jit(jax.value_and_grad(objective, has_aux=True))
    return graded.lower(image, problem).compile(), (image, problem)
