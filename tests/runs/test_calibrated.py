"""Calibrated and controlled terms of a config."""

import json

import jax
import numpy as np
import pytest

from nstjax import runs
from nstjax.config import default_config, term
from nstjax.errors import UserError
from nstjax.optimize.calibrate import CALIBRATIONS
from nstjax.runs.stage import initial_image, make_stage


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
        loaded = runs.load(config)
        stage = make_stage(loaded, 0)
        noise = 0.1 * jax.random.normal(jax.random.key(0), (*stage.shape, 3))
        picture = initial_image(loaded, loaded.stages[0]) + noise
        norms = CALIBRATIONS[per](stage.objective, picture, stage.problem)
        weights = stage.problem.weights
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
            make_stage(runs.load(config), 0)

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
    runs.run(small_config(calibrate="taps"), tmp_path)
    weights = json.loads((tmp_path / "weights.json").read_text())
    last = json.loads((tmp_path / "metrics.jsonl").read_text().splitlines()[-1])
    parts = {name: weight * last[name] for name, weight in weights.items()}
    np.testing.assert_allclose(sum(parts.values()), last["total"], rtol=1e-5)
    page = (tmp_path / "report.html").read_text()
    for part in parts.values():
        assert f">{part / last['total']:.1%}</td>" in page
