"""Gradient control inside an objective, and calibrated weights."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from problems import TERMS, WEIGHTS, compute_norms, evaluate, evaluate_gradient, small_problem

from nstjax import losses
from nstjax.config import default_config, term
from nstjax.errors import UserError
from nstjax.ops.gradients import Control
from nstjax.optimize.objective import Term, term_gradient_norms
from nstjax.runs import experiment, run


def test_a_controlled_term_keeps_its_value_and_is_measured_uncontrolled():
    objective, image, problem = small_problem()
    limited = tuple(
        Term(t.name, t.loss, t.taps, t.reference, None, Control(limit=1e-3 if t.name == "style" else 0.0))
        for t in TERMS
    )
    other, _, _ = small_problem(terms=limited)
    plain, report = evaluate(objective, image, *problem)
    total, same = evaluate(other, image, *problem)
    assert plain == total and report == same
    assert compute_norms(other, image, *problem) == compute_norms(objective, image, *problem)
    gradients = [np.asarray(evaluate_gradient(o, image, *problem)[1]) for o in (objective, other)]
    assert np.abs(gradients[0] - gradients[1]).max() > 1e-4
    batch = jax.vmap(lambda w: jax.grad(lambda x: other(x, *problem[:2], w, problem[3])[0])(image))
    weights = jax.tree.map(lambda w: jnp.stack([w, 2 * w]), problem[2])
    np.testing.assert_allclose(batch(weights)[0], gradients[1], rtol=1e-4, atol=1e-7)  # float32


def test_a_limit_on_the_picture_bounds_the_whole_gradient_of_a_term():
    for limit in (0.5, 1e3):
        terms = (Term("tv", losses.tv_anisotropic(), ("image",), "content", None, Control(limit=limit)),)
        objective, image, problem = small_problem(terms=terms, weights={"tv": 3.0})
        _, gradient = evaluate_gradient(objective, image, *problem)
        raw = 3 * compute_norms(objective, image, *problem)["tv/image"]
        assert 0.5 < raw < 1e3
        np.testing.assert_allclose(jnp.linalg.norm(gradient), min(limit, raw), rtol=1e-5)


def test_norms_of_terms_are_those_of_their_sums():
    objective, image, problem = small_problem()
    norms = jax.jit(term_gradient_norms, static_argnums=0)(objective, image, *problem)
    for name in WEIGHTS:
        alone = {n: w if n == name else 0.0 for n, w in WEIGHTS.items()}
        _, _, (params, targets, numbers, key) = small_problem(weights=alone)
        _, gradient = evaluate_gradient(objective, image, params, targets, numbers, key)
        np.testing.assert_allclose(norms[name], jnp.linalg.norm(gradient), rtol=1e-4)


def small_config(**changes):
    config = default_config()
    config.update(size=32, weights="random-tiny", steps=2, **changes)
    config.terms.content = term("feature", "relu2_2", reference="content", weight=2.0)
    config.terms.style = term("gram", ("relu1_1", "relu2_1"), weight=3.0, tap_weights=(0.25, 1.0))
    return config


def test_calibrated_weights_are_gradient_norms():
    at = {}
    for per in ("taps", "terms"):
        config = small_config(calibrate=per)
        loaded = experiment.load(config)
        stage = experiment.make_stage(loaded, 0)
        noise = 0.1 * jax.random.normal(jax.random.key(0), (*stage.shape, 3))
        picture = experiment.initial_image(loaded, config) + noise
        norms = experiment.CALIBRATIONS[per](stage.objective, picture, *stage.problem)
        weights = stage.problem[2]
        at[per] = weights
        if per == "taps":
            for name, norm in norms.items():
                term_name, tap = name.split("/")
                expected = {"content/relu2_2": 2, "style/relu1_1": 0.75, "style/relu2_1": 3}[name]
                np.testing.assert_allclose(weights[term_name][tap] * norm, expected, rtol=1e-4)
        else:  # weighted norms
            np.testing.assert_allclose(norms["content"], 2, rtol=1e-4)
            np.testing.assert_allclose(norms["style"], 3, rtol=1e-4)
    profile = at["terms"]["style"]
    np.testing.assert_allclose(profile["relu2_1"], 4 * profile["relu1_1"], rtol=1e-5)


def test_what_cannot_be_controlled_or_calibrated_is_said():
    def refused(config, message):
        with pytest.raises(UserError, match=message):
            experiment.make_stage(experiment.load(config), 0)

    refused(small_config(calibrate="tap"), "calibrate 'tap' is unknown; did you mean 'taps'")
    config = small_config(calibrate="taps")
    config.terms.nothing = term("value_range", "image", low=-9.0, high=9.0)
    refused(config, "calibrate: the gradient of nothing/image at the noisy picture has norm 0.0; expected")
    config = small_config()
    config.terms.style.normalise = "L2"
    refused(config, "terms.style.normalise 'L2' is unknown; did you mean 'l2'")
    config.terms.style.normalise, config.terms.style.limit = "", -1.0
    refused(config, "terms.style.limit must be at least 0; got -1")
    config.terms.style.limit, config.optimizer = 1.0, "lbfgs"
    refused(config, "terms.style controls its gradient, .* expected another optimizer, such as adam")


def test_a_calibrated_run_leaves_its_weights_and_shares_of_the_total(tmp_path):
    run.stylize(small_config(calibrate="taps"), tmp_path)
    weights = json.loads((tmp_path / "weights.json").read_text())
    last = json.loads((tmp_path / "metrics.jsonl").read_text().splitlines()[-1])
    parts = {name: weight * last[name] for name, weight in weights.items()}
    np.testing.assert_allclose(sum(parts.values()), last["total"], rtol=1e-5)
    page = (tmp_path / "report.html").read_text()
    for part in parts.values():
        assert f">{part / last['total']:.1%}</td>" in page
