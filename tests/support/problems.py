"""A small whole problem: tiny encoder, content + style + total variation."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from nstjax import losses, optimize
from nstjax.networks import vgg
from nstjax.optimize import (
    Objective,
    Problem,
    Reference,
    Term,
    make_targets,
    tap_gradient_norms,
    term_weights,
)

CONTENT, STYLE, SMOOTH = losses.feature(), losses.gram(), losses.tv_nine_point()
TERMS = (
    Term("content", CONTENT, ("relu2_2",), "content"),
    Term("style", STYLE, ("relu1_1", "conv2_1", "pool2"), "style"),
    Term("tv", SMOOTH, ("image",), "content"),
)
WEIGHTS = {"content": 1.0, "style": (0.5, 0.2, 0.1), "tv": 3.0}
# The same of the picture itself, without a network: quick to compile.
PICTURE_TERMS = tuple(dataclasses.replace(term, taps=("image",)) for term in TERMS)
PICTURE_WEIGHTS = {"content": 0.2, "style": 2.0, "tv": 0.01}


compute_targets = jax.jit(make_targets, static_argnames=("apply", "terms"))
evaluate = jax.jit(lambda objective, image, problem: objective(image, problem), static_argnums=0)
evaluate_gradient = jax.jit(
    lambda objective, *arguments: jax.value_and_grad(objective, has_aux=True)(*arguments), static_argnums=0
)
compute_norms = jax.jit(tap_gradient_norms, static_argnums=0)


def picture(seed, shape=(13, 10)):
    return jnp.asarray(np.random.default_rng(seed).uniform(0.2, 0.8, size=(*shape, 3)), jnp.float32)


def small_problem(*, seed=0, scale=1.0, shape=(13, 10), dtype=jnp.float32, terms=TERMS, weights=None):
    """(objective, image, problem) in a dtype."""
    params = vgg.random_params(seed, vgg.TINY_WIDTHS)
    encoder = vgg.make_encoder(params, vgg.TORCHVISION, pooling="average")
    cast = jax.tree.map(lambda x: jnp.asarray(x, dtype), encoder.params)
    image, content, style = (picture(i, shape).astype(dtype) for i in (seed, seed + 1, seed + 2))
    references = {"content": [Reference(content)], "style": [Reference(style)]}
    targets = compute_targets(encoder.apply, cast, terms, references)
    numbers = jax.tree.map(lambda w: scale * w, term_weights(terms, weights or WEIGHTS))
    problem = Problem(cast, targets, numbers, jax.random.key(seed))
    return Objective(encoder.apply, terms), image, problem


def picture_problem(*, terms=PICTURE_TERMS, weights=None, **options):
    """`small_problem` of terms on the picture itself."""
    return small_problem(terms=terms, weights=weights or PICTURE_WEIGHTS, **options)


def minimise(plan, steps, rate=0.05, length=None, **kwargs):
    objective, image, problem = picture_problem(**kwargs)
    state = optimize.initial_state(plan, image)
    return optimize.run_chunk(objective, plan, state, problem, rate, stop=steps, length=length or steps)
