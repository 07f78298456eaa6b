"""A picture optimised in one call."""

import jax.numpy as jnp
import numpy as np
import pytest
from problems import PICTURE_TERMS, PICTURE_WEIGHTS, picture, picture_problem

from nstjax import losses, optimize
from nstjax.errors import NotFiniteError
from nstjax.networks.vgg import Encoder
from nstjax.optimize import Plan, Reference, Term, make_method

NETWORK = Encoder(
    lambda params, image, taps: {tap: image * params for tap in taps}, jnp.float32(1), ("mine",)
)
REFERENCES = {"content": picture(1), "style": picture(2)}


@pytest.mark.parametrize("method, rate", [("adam", 0.02), ("lbfgs", 1.0)])
def test_it_is_the_loop(method, rate):
    seen = []
    made = optimize.minimize(
        NETWORK,
        PICTURE_TERMS,
        REFERENCES,
        PICTURE_WEIGHTS,
        init=picture(0),
        steps=7,
        method=method,
        log_every=3,
        callback=lambda *of: seen.append(of),
    )
    objective, image, problem = picture_problem()
    plan = Plan(make_method(method), log_every=3)
    state = optimize.initial_state(plan, image)
    state, rows = optimize.run_chunk(objective, plan, state, problem, rate, stop=7, length=7)
    np.testing.assert_allclose(made.image, state.image, atol=1e-5)
    assert made.history.keys() == rows.keys()
    for name, values in rows.items():
        np.testing.assert_allclose(made.history[name], values, rtol=1e-4, atol=1e-6)
    assert [step for step, *_ in seen] == [3, 6, 7]
    np.testing.assert_array_equal(seen[-1][1], made.image)
    assert seen[-1][2] == made.history["total"][-1]


def test_it_starts_from_the_content_reads_the_encoder_and_blends_styles():
    terms = (Term("style", losses.gram(), ("mine",), "style"),)
    styles = [Reference(picture(2), 3.0), picture(3)]
    references = {"content": np.asarray(picture(1)), "style": styles}
    made = optimize.minimize(NETWORK, terms, references, {"style": 1.0}, steps=1)
    gram = losses.gram()
    target = 0.75 * gram.target(picture(2)) + 0.25 * gram.target(picture(3))
    np.testing.assert_allclose(made.history["style/mine"], [gram.score(picture(1), target)], rtol=1e-5)
    assert made.image.shape == (13, 10, 3)
    nothing = optimize.minimize(NETWORK, terms, references, {"style": 1.0}, steps=0)
    np.testing.assert_array_equal(nothing.image, picture(1))
    assert nothing.history == {}


def test_mistakes_are_named():
    style = (Term("style", losses.gram(), ("image",), "style"),)
    for options, message in (
        ({"references": {"style": picture(2)}}, "init is not given and there is no content to start from"),
        ({"references": {"content": picture(1)}}, "no picture is given for the reference 'style'"),
        ({"weights": {}}, "term 'style' has no weight"),
        ({"method": "adm"}, "optimizer 'adm' is unknown; did you mean 'adam'"),
    ):
        given = {"references": REFERENCES, "weights": {"style": 1.0}} | options
        with pytest.raises(ValueError, match=message):
            optimize.minimize(NETWORK, style, **given)
    with pytest.raises(NotFiniteError, match="stopped at step 0: term 'style/image' is nan"):
        optimize.minimize(NETWORK, style, REFERENCES, {"style": 1.0}, init=jnp.full((4, 4, 3), jnp.nan))
