"""Gradient control inside an objective, and calibrated weights."""

import jax
import jax.numpy as jnp
import numpy as np
from problems import TERMS, compute_norms, evaluate, evaluate_gradient, small_problem

from nstjax import losses
from nstjax.ops.gradients import Control
from nstjax.optimize import Term


def test_a_controlled_term_keeps_its_value_and_is_measured_uncontrolled():
    objective, image, problem = small_problem()
    limited = tuple(
        Term(t.name, t.loss, t.taps, t.reference, None, Control(limit=1e-3 if t.name == "style" else 0.0))
        for t in TERMS
    )
    other, _, _ = small_problem(terms=limited)
    plain, report = evaluate(objective, image, problem)
    total, same = evaluate(other, image, problem)
    assert plain == total and report == same
    assert compute_norms(other, image, problem) == compute_norms(objective, image, problem)
    gradients = [np.asarray(evaluate_gradient(o, image, problem)[1]) for o in (objective, other)]
    assert np.abs(gradients[0] - gradients[1]).max() > 1e-4
    batch = jax.jit(jax.vmap(lambda w: jax.grad(lambda x: other(x, problem._replace(weights=w))[0])(image)))
    weights = jax.tree.map(lambda w: jnp.stack([w, 2 * w]), problem[2])
    np.testing.assert_allclose(batch(weights)[0], gradients[1], rtol=1e-4, atol=1e-7)  # float32


def test_a_limit_on_the_picture_bounds_the_whole_gradient_of_a_term():
    for limit in (0.5, 1e3):
        terms = (Term("tv", losses.tv_anisotropic(), ("image",), "content", None, Control(limit=limit)),)
        objective, image, problem = small_problem(terms=terms, weights={"tv": 3.0})
        _, gradient = evaluate_gradient(objective, image, problem)
        raw = 3 * compute_norms(objective, image, problem)["tv/image"]
        assert 0.5 < raw < 1e3
        np.testing.assert_allclose(jnp.linalg.norm(gradient), min(limit, raw), rtol=1e-5)
