"""VGG-19 by Winograd's algorithm: features, gradients, where it is used, and how often kernels are made."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nstjax import losses, optimize
from nstjax.networks import vgg
from nstjax.optimize import Objective, Plan, Problem, Reference, Term, make_targets, term_weights

SLIM = vgg.random_params(0, vgg.SLIM_WIDTHS)
WIDE = {name: jax.eval_shape(lambda each=each: each) for name, each in vgg.random_params(0).items()}


def picture(h, w, seed=0):
    return np.random.default_rng(seed).uniform(size=(h, w, 3)).astype(np.float32)


@pytest.mark.parametrize(
    "padding", ["zero", *(pytest.param(name, marks=pytest.mark.slow) for name in ("reflect", "replicate"))]
)
def test_features_and_gradients_agree_with_the_direct_ones(padding):
    encoder = vgg.make_encoder(SLIM, vgg.TORCHVISION, padding=padding, conv="winograd")
    terms = (Term("style", losses.gram(), ("relu1_1", "relu3_1", "relu5_1"), "style"),)
    references = {"style": [Reference(picture(64, 64, 1))]}
    targets = jax.jit(make_targets, static_argnums=(0, 2))(encoder.apply, encoder.params, terms, references)
    problem = Problem(encoder.params, targets, term_weights(terms, {"style": 1.0}), jax.random.key(0))
    objective, image = Objective(encoder.apply, terms), picture(67, 50)
    made = objective.prepare(problem)
    assert made.params["turned"].keys() == SLIM.keys()

    features = jax.jit(lambda params: encoder.apply(params, image, encoder.taps))
    for tap, direct in features(problem.params).items():
        fast = features(made.params)[tap]
        assert np.abs(fast - direct).max() < 2e-5 * np.abs(direct).max(), tap
    gradient = jax.jit(jax.grad(objective, has_aux=True))
    fast, direct = (gradient(image, each)[0] for each in (made, problem))
    assert np.linalg.norm(fast - direct) < 1e-4 * np.linalg.norm(direct)


@pytest.mark.parametrize(
    ("conv", "expected"),
    [
        ("direct", ()),
        ("winograd", vgg.CONVS),
        ("auto", tuple(name for name in vgg.CONVS if name[4] in "345")),
    ],
)
def test_wide_layers_use_it_by_themselves_on_a_cpu(conv, expected, monkeypatch):
    encoder = vgg.make_encoder(WIDE, vgg.CAFFE, conv=conv)
    made = jax.eval_shape(encoder.apply.prepare, encoder.params)
    assert tuple(made["turned"]) == expected
    assert {each["kernel"].forward.shape[0] for each in made["turned"].values()} <= {36}
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    elsewhere = jax.eval_shape(encoder.apply.prepare, encoder.params)["turned"]
    assert tuple(elsewhere) == (() if conv == "auto" else expected)


def test_kernels_are_made_outside_the_loop():
    encoder = vgg.make_encoder(SLIM, vgg.CAFFE, conv="winograd")
    terms = (Term("content", losses.feature(), ("relu5_1",), "content"),)
    image = jnp.asarray(picture(16, 16))
    targets = make_targets(encoder.apply, encoder.params, terms, {"content": [Reference(image)]})
    problem = Problem(encoder.params, targets, term_weights(terms, {"content": 1.0}), jax.random.key(0))
    objective, plan = Objective(encoder.apply, terms), Plan()
    traced = jax.make_jaxpr(
        lambda state: optimize.run_chunk(objective, plan, state, problem, 0.1, stop=3, length=3)
    )(optimize.initial_state(plan, image))
    assert list(_turns(traced.jaxpr, looped=False)) == [False] * 2 * len(vgg.CONVS)


def _turns(jaxpr, looped):
    """For each transform of a kernel, a product of [36, 9] with it, whether it is inside of a scan."""
    for equation in jaxpr.eqns:
        if equation.primitive.name == "dot_general" and equation.invars[0].aval.shape == (36, 9):
            yield looped
        for value in equation.params.values():
            for part in value if isinstance(value, (tuple, list)) else [value]:
                part = getattr(part, "jaxpr", part)
                if hasattr(part, "eqns"):
                    yield from _turns(part, looped or equation.primitive.name == "scan")
