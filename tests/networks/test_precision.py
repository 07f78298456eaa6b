"""Features in bfloat16: near those in float32, and seen by losses in float32; runs in a precision."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nstjax import losses, runs
from nstjax.config import default_config, term
from nstjax.errors import UserError
from nstjax.networks import vgg
from nstjax.optimize import Objective, Problem, Reference, Term, make_targets, term_weights
from nstjax.runs import batch

SLIM = vgg.random_params(0, vgg.SLIM_WIDTHS)
TERMS = (Term("style", losses.gram(), ("relu1_1", "relu3_1"), "style"),)


def graded(dtype, monkeypatch):
    encoder = vgg.make_encoder(SLIM, vgg.CAFFE, conv="auto", dtype=dtype)
    image, style = np.random.default_rng(0).uniform(size=(2, 40, 50, 3)).astype(np.float32)
    targets = make_targets(encoder.apply, encoder.params, TERMS, {"style": [Reference(jnp.asarray(style))]})
    problem = Problem(encoder.params, targets, term_weights(TERMS, {"style": 1.0}), jax.random.key(0))
    objective = Objective(encoder.apply, TERMS)
    monkeypatch.setattr(vgg, "_MANY", 0)
    assert bool(objective.prepare(problem).params["turned"]) == (dtype == "float32")
    features = encoder.apply(encoder.params, image, ("relu3_1", "image"))
    assert features["relu3_1"].dtype == dtype and features["image"].dtype == np.float32
    return jax.jit(jax.value_and_grad(lambda image: objective(image, problem)[0]))(jnp.asarray(image))


def test_an_objective_is_that_of_float32_to_a_few_bits(monkeypatch):
    (value, gradient), (exact, exact_gradient) = (graded(d, monkeypatch) for d in ("bfloat16", "float32"))
    assert value.dtype == gradient.dtype == np.float32
    assert 1e-6 < abs(value / exact - 1) < 0.02
    assert np.linalg.norm(gradient - exact_gradient) < 0.1 * np.linalg.norm(exact_gradient)


def config(**values):
    made = default_config()
    made.update(weights="random-tiny", size=24, steps=2, style="example:mosaic", **values)
    made.terms.style = term("gram", "relu1_1")
    return made


@pytest.mark.parametrize(
    ("precision", "expected"),
    [
        ("bfloat16", "bfloat16"),
        *(
            pytest.param(*pair, marks=pytest.mark.slow)
            for pair in (("", None), ("highest", "float32"), ("high", "tensorfloat32"))
        ),
    ],
)
def test_a_run_has_the_precision_of_its_config(precision, expected, tmp_path, monkeypatch):
    seen, make = [], batch.make_stage

    def watched(*arguments):
        seen.append(jax.config.jax_default_matmul_precision)
        return make(*arguments)

    monkeypatch.setattr(batch, "make_stage", watched)
    loaded = runs.load(config(precision=precision))
    assert loaded.measuring_encoder().apply.network.dtype == "float32"
    runs.run(config(precision=precision), tmp_path / "run")
    assert seen == [expected]


def test_a_config_from_before_a_key_has_its_default():
    before = config()
    with before.unlocked():
        for key in ("precision", "conv", "tile"):
            del before[key]
    assert runs.load(before).config == runs.load(config()).config
    with before.unlocked():
        before.presicion = "high"
    with pytest.raises(UserError, match="key 'presicion' is unknown; did you mean 'precision'"):
        runs.load(before)


def test_a_precision_that_is_not_known_is_named():
    with pytest.raises(UserError, match="precision 'hihg' is unknown; did you mean 'high'"):
        runs.load(config(precision="hihg"))
    with pytest.raises(ValueError, match="dtype 'float16' is unknown; did you mean 'bfloat16'"):
        vgg.make_encoder(SLIM, vgg.CAFFE, dtype="float16")
    with pytest.raises(ValueError, match="conv 'winograd' is for features in float32; got bfloat16"):
        vgg.make_encoder(SLIM, vgg.CAFFE, conv="winograd", dtype="bfloat16")
    with pytest.raises(UserError, match="conv=winograd is for features in float32; got precision=bfloat16"):
        runs.load(config(conv="winograd", precision="bfloat16"))
