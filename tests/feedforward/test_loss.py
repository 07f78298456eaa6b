"""The loss of a network beside the shared objective written out, its gradient, strengths and styles."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nstjax import losses, networks, transforms
from nstjax.feedforward.loss import Batch, Perceptual, make_constants
from nstjax.networks.transformer import Condition, Transformer
from nstjax.optimize import Objective, Problem, Reference, Term, make_targets, term_weights

ENCODER = networks.make_encoder(networks.load("random-tiny"))
NETWORK = Transformer(widths=(4, 4, 6), blocks=1, styles=2, strengths=1, output="sigmoid")
TERMS = (
    Term("content", losses.feature(), ("relu2_1",), "content"),
    Term("style", losses.gram(), ("relu1_1", "relu2_1"), "style"),
    Term("tv", losses.tv_nine_point(), ("image",), "content"),
)
WEIGHTS = {"content": 1.0, "style": (3.0, 5.0), "tv": 0.1}


def pictures(count, seed=0):
    made = np.random.default_rng(seed).uniform(size=(count, 16, 16, 3))
    return jnp.asarray(made, jnp.float32)


STYLES = tuple(pictures(2, seed=1))


def batch(strengths=(0.0, 1.5, -1.0)):
    count = len(strengths)
    columns = jnp.asarray(strengths, jnp.float32)[:, None]
    return Batch(pictures(count), jnp.arange(count) % 2, columns, jnp.arange(count, dtype=jnp.uint32))


def params():
    made = jax.jit(NETWORK.init)(jax.random.key(0), pictures(1)[0], Condition(jnp.ones(2), jnp.zeros(1)))[
        "params"
    ]
    return jax.tree.map(lambda x: x + 0.1, made)


def make(terms=TERMS, weights=WEIGHTS, conditioned=("style",)):
    per_style = [
        term_weights(terms, weights),
        term_weights(terms, {k: np.multiply(2, w).tolist() for k, w in weights.items()}),
    ]
    constants = make_constants(ENCODER, terms, STYLES, per_style)
    return Perceptual(NETWORK, Objective(ENCODER.apply, terms), conditioned), constants


def written_out(params, given, terms=TERMS, weights=WEIGHTS):
    """The objectives of the outputs of a batch, one after the other."""
    values = []
    for image, style, (strength,), seed in zip(*given, strict=True):
        condition = Condition(jax.nn.one_hot(style, 2), jnp.asarray([strength]))
        output = NETWORK.apply({"params": params}, image, condition)
        references = {"content": [Reference(image)], "style": [Reference(STYLES[int(style)])]}
        targets = make_targets(ENCODER.apply, ENCODER.params, terms, references)
        doubled = {name: np.multiply(weight, 1 + int(style)) for name, weight in weights.items()}
        doubled["style"] = doubled["style"] * 2.0**strength
        problem = Problem(
            ENCODER.params,
            targets,
            term_weights(terms, {k: np.asarray(w).tolist() for k, w in doubled.items()}),
            jax.random.key(seed),
        )
        values.append(Objective(ENCODER.apply, terms)(output, problem)[0])
    return jnp.stack(values)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["plain", "transformed", "random"])
def test_the_gradient_is_that_of_the_logarithms_of_the_objectives_of_outputs(kind):
    terms = {
        "plain": TERMS,
        "transformed": (*TERMS, Term("moved", losses.feature(), ("relu1_1",), "content", transforms.adain())),
        "random": (*TERMS, Term("moved", losses.sliced_wasserstein(), ("relu1_1",), "style")),
    }[kind]
    weights = WEIGHTS if kind == "plain" else {**WEIGHTS, "moved": 2.0}
    perceptual, constants = make(terms, weights)
    (value, report), gradient = jax.jit(jax.value_and_grad(perceptual, argnums=1, has_aux=True))(
        constants, params(), batch()
    )
    given = jax.tree.map(np.asarray, batch())

    def logarithm(params):
        values = written_out(params, given, terms, weights)
        return jnp.mean(jnp.log(values)), jnp.mean(values)

    (_, wanted), slope = jax.jit(jax.value_and_grad(logarithm, has_aux=True))(params())
    np.testing.assert_allclose(value, wanted, rtol=1e-5)
    largest = max(float(jnp.max(jnp.abs(x))) for x in jax.tree.leaves(slope))
    for found, right in zip(jax.tree.leaves(gradient), jax.tree.leaves(slope), strict=True):
        np.testing.assert_allclose(found, right, rtol=1e-3, atol=1e-5 * largest)
    assert set(report) == {f"{term.name}/{tap}" for term in terms for tap in term.taps}


def test_without_strengths_the_gradient_is_that_of_the_mean():
    network = dataclasses.replace(NETWORK, strengths=0)
    perceptual = dataclasses.replace(make(conditioned=())[0], network=network)
    one = jax.jit(network.init)(jax.random.key(0), pictures(1)[0], Condition(jnp.ones(2), jnp.zeros(0)))
    given = make()[1], one["params"], batch()._replace(strengths=jnp.zeros((3, 0)))
    graded = jax.jit(jax.value_and_grad(perceptual, argnums=1, has_aux=True))
    singles = [jax.tree.map(lambda x, i=i: x[i : i + 1], given[2]) for i in range(3)]
    alone = [(value, slope) for (value, _), slope in (graded(*given[:2], each) for each in singles)]
    (value, _), slope = graded(*given)
    wanted = jax.tree.map(lambda *each: sum(each) / 3, *alone)
    np.testing.assert_allclose(value, wanted[0], rtol=1e-5)
    largest = max(float(jnp.max(jnp.abs(x))) for x in jax.tree.leaves(slope))
    for found, right in zip(jax.tree.leaves(slope), jax.tree.leaves(wanted[1]), strict=True):
        np.testing.assert_allclose(found, right, rtol=1e-3, atol=1e-5 * largest)


def test_neither_reports_nor_the_gradient_depend_on_a_factor_of_all_weights():
    perceptual, constants = make()
    doubled = constants._replace(weights=jax.tree.map(lambda w: 2 * w, constants.weights))
    graded = jax.jit(jax.value_and_grad(perceptual, argnums=1, has_aux=True))
    found = [graded(each, params(), batch()) for each in (constants, doubled)]
    ((value, report), slope), ((twice, again), same) = found
    for one, other in zip(jax.tree.leaves(slope), jax.tree.leaves(same), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-5 * float(jnp.max(jnp.abs(one))))
    np.testing.assert_allclose(twice, 2 * value, rtol=1e-5)
    for name, number in report.items():
        np.testing.assert_allclose(again[name], number, rtol=1e-5)


def test_equal_losses_are_one_program():
    assert make()[0] == make()[0] and hash(make()[0]) == hash(make()[0])
    assert make()[0] != make(conditioned=("content",))[0]
