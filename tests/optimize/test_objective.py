"""The objective: its gradient, its report, its targets."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from problems import (
    CONTENT,
    STYLE,
    TERMS,
    WEIGHTS,
    compute_norms,
    evaluate,
    evaluate_gradient,
    picture,
    small_problem,
)

from nstjax import losses
from nstjax.networks import vgg
from nstjax.optimize import WHOLE, Objective, Problem, Reference, Term, extract, make_targets, term_weights


def test_gradient_of_the_whole_objective_is_that_of_finite_differences():
    with jax.enable_x64(True):
        objective, image, problem = small_problem(dtype=jnp.float64)
        _, gradient = evaluate_gradient(objective, image, problem)
        f = jax.jit(lambda x: objective(x, problem)[0])
        rng = np.random.default_rng(5)
        for _ in range(5):
            direction = rng.normal(size=image.shape)
            numeric = (f(image + 1e-6 * direction) - f(image - 1e-6 * direction)) / 2e-6
            # Step 1e-6 in float64 leaves a relative error of about 1e-8; a ReLU may flip on the way.
            np.testing.assert_allclose(jnp.vdot(gradient, direction), numeric, rtol=1e-5)
        pixels = [(0, 0, 0), (12, 9, 2), (6, 5, 1), (3, 0, 0)]
        for pixel in pixels:
            step = jnp.zeros_like(image).at[pixel].set(1e-6)
            np.testing.assert_allclose(
                gradient[pixel], (f(image + step) - f(image - step)) / 2e-6, rtol=1e-4, atol=1e-8
            )


def test_total_is_the_weighted_sum_of_a_raw_report():
    objective, image, problem = small_problem()
    total, report = evaluate(objective, image, problem)
    assert set(report) == {
        "content/relu2_2",
        "style/relu1_1",
        "style/conv2_1",
        "style/pool2",
        "tv/image",
    }
    weights = {"content/relu2_2": 1.0, "style/relu1_1": 0.5, "style/conv2_1": 0.2, "style/pool2": 0.1}
    expected = sum(w * report[k] for k, w in weights.items()) + 3.0 * report["tv/image"]
    np.testing.assert_allclose(total, expected, rtol=1e-6)
    rescaled, same_report = evaluate(objective, image, small_problem(scale=10.0)[2])
    np.testing.assert_allclose(rescaled, 10 * total, rtol=1e-5)
    np.testing.assert_allclose(same_report["style/pool2"], report["style/pool2"], rtol=1e-6)


def test_every_term_is_zero_at_its_own_reference():
    objective, _, problem = small_problem()
    report = evaluate(objective, picture(1), problem)[1]
    np.testing.assert_allclose(report["content/relu2_2"], 0, atol=1e-10)
    report = evaluate(objective, picture(2), problem)[1]
    assert all(report[f"style/{tap}"] < 1e-10 for tap in ("relu1_1", "conv2_1", "pool2"))


def test_a_detached_term_is_caught_by_its_gradient_norm():
    detached = losses.Loss(STYLE.target, lambda x, t, **kw: STYLE.score(jax.lax.stop_gradient(x), t, **kw))
    broken = (Term("style", detached, ("relu1_1",), "style"), Term("good", STYLE, ("relu1_1",), "style"))
    objective, image, problem = small_problem(terms=broken, weights={"style": 1.0, "good": 1.0})
    report = evaluate(objective, image, problem)[1]
    norms = compute_norms(objective, image, problem)
    assert report["style/relu1_1"] == report["good/relu1_1"] > 0
    assert norms["style/relu1_1"] == 0 and norms["good/relu1_1"] > 1e-4
    objective, image, problem = small_problem()
    assert all(norm > 0 for norm in compute_norms(objective, image, problem).values())


@pytest.mark.slow
def test_gradient_norms_are_those_of_each_term_alone():
    objective, image, problem = small_problem()
    norms = compute_norms(objective, image, problem)
    for name, norm in norms.items():
        gradient = jax.grad(lambda x, name=name: objective(x, problem)[1][name])(image)
        np.testing.assert_allclose(norm, jnp.linalg.norm(gradient), rtol=1e-5)


def test_several_styles_are_blended_by_their_targets():
    encoder = vgg.make_encoder(vgg.random_params(0, vgg.TINY_WIDTHS), vgg.TORCHVISION)
    terms = (Term("style", STYLE, ("relu1_1",), "style"),)
    one, two = picture(0), picture(1, (9, 16))

    def targets(*pairs):
        references = {"style": [Reference(*pair) for pair in pairs]}
        made = make_targets(encoder.apply, encoder.params, terms, references)
        return made["style"]["relu1_1"][WHOLE].target

    blended = targets((one, 3.0), (two, 1.0))
    expected = 0.75 * targets((one, 1.0)) + 0.25 * targets((two, 1.0))
    np.testing.assert_allclose(blended, expected, rtol=1e-5)


def test_two_terms_may_share_taps_and_references():
    terms = (*TERMS, Term("more", CONTENT, ("relu1_1", "image"), "style"))
    objective, image, problem = small_problem(terms=terms, weights={**WEIGHTS, "more": 2.0})
    report = evaluate(objective, image, problem)[1]
    np.testing.assert_allclose(report["more/image"], jnp.mean((image - picture(2)) ** 2), rtol=1e-5)


def test_an_encoder_of_somebody_else_needs_only_the_signature():
    def apply(params, image, taps):
        return {tap: params[tap] * image.mean(-1, keepdims=True) for tap in taps}

    terms = (
        Term("style", STYLE, ("mine",), "style"),
        Term("tv", losses.tv_anisotropic(), ("image",), "style"),
    )
    params = {"mine": 2.0}
    targets = make_targets(apply, params, terms, {"style": [Reference(picture(0))]})
    weights = term_weights(terms, {"style": 1.0, "tv": 0.0})
    total, _ = Objective(apply, terms)(picture(0), Problem(params, targets, weights, jax.random.key(0)))
    assert total == 0


def test_a_composite_tap_is_features_side_by_side_at_the_size_of_the_first():
    encoder = vgg.make_encoder(vgg.random_params(0, vgg.TINY_WIDTHS), vgg.TORCHVISION)
    image, taps = picture(0, (16, 12)), ("relu2_1+image+relu1_1", "relu1_1", "image+relu3_1")
    features = extract(encoder.apply, encoder.params, image, taps)
    assert list(features) == list(taps)
    column = features["relu2_1+image+relu1_1"]
    assert column.shape == (8, 6, 6 + 3 + 4)
    alone = encoder.apply(encoder.params, image, ("relu2_1", "relu3_1"))
    np.testing.assert_array_equal(column[..., :6], alone["relu2_1"])
    smaller = jax.image.resize(features["relu1_1"], (8, 6, 4), "linear")
    np.testing.assert_allclose(column[..., 9:], smaller, rtol=1e-5)
    assert features["image+relu3_1"].shape == (16, 12, 3 + 8)
    terms = (Term("both", STYLE, taps[:1], "style"),)
    objective, image, problem = small_problem(terms=terms, weights={"both": 1.0})
    assert compute_norms(objective, image, problem)["both/" + taps[0]] > 0


def test_mistakes_are_named():
    encoder = vgg.make_encoder(vgg.random_params(0, vgg.TINY_WIDTHS), vgg.TORCHVISION)
    with pytest.raises(ValueError, match="no picture is given for the reference 'content'"):
        make_targets(encoder.apply, encoder.params, TERMS, {"style": [Reference(picture(0))]})
    with pytest.raises(ValueError, match="term 'style' has 3 taps and 2 weights"):
        term_weights(TERMS, {**WEIGHTS, "style": (1.0, 2.0)})
    with pytest.raises(ValueError, match="term 'tv' has no weight; got weights of content, style"):
        term_weights(TERMS, {"content": 1.0, "style": 1.0})
