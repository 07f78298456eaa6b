"""L-BFGS: its direction, its steps in the box, what it remembers."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from problems import evaluate_gradient, minimise, picture, picture_problem

from nstjax import losses, optimize
from nstjax.optimize import Plan, Term, make_method
from nstjax.optimize.lbfgs import default_memory, scale_by_lbfgs


@pytest.mark.parametrize("project", [True, False])
def test_lbfgs_goes_further_than_adam_on_the_same_evaluations(project):
    plan = Plan(make_method("lbfgs", project=project), log_every=1)
    state, rows = minimise(plan, 25, rate=1.0)
    assert np.all(np.diff(rows["total"]) <= 1e-7)
    evaluations = int(state.evaluations)
    _, by_adam = minimise(Plan(), evaluations, rate=0.02)
    assert rows["total"][-1] < by_adam["total"][-1]
    assert (state.image.min() >= 0 and state.image.max() <= 1) or not project


@pytest.mark.parametrize("project", [True, False])
def test_lbfgs_reuses_the_evaluation_of_its_line_search(project):
    """The value and gradient it carries are those of the image it carries, projection included."""
    plan = Plan(make_method("lbfgs", project=project))
    state, _ = minimise(plan, 6, rate=1.0, scale=1e3)
    objective, _, problem = picture_problem(scale=1e3)
    (value, _), gradient = evaluate_gradient(objective, state.image, problem)
    factor, inner = state.optimizer
    carried = [optax.tree.get(inner[-1], name) / factor for name in ("value", "grad")]
    np.testing.assert_allclose(carried[0], value, rtol=1e-5)
    np.testing.assert_allclose(carried[1], gradient, rtol=1e-3, atol=1e-3 * np.abs(gradient).max())


@pytest.mark.parametrize("exponent", [-90, -40, 40, 80])
def test_lbfgs_makes_the_same_picture_in_any_unit(exponent):
    """Totals from 1e-28 to 1e23 here; without a scale the extreme ones stay where they start."""
    plan = Plan(make_method("lbfgs"))
    usual, rows = minimise(plan, 6, rate=1.0, scale=1.0)
    state, others = minimise(plan, 6, rate=1.0, scale=2.0**exponent)
    assert np.array_equal(state.image, usual.image) and rows["total"][-1] < 0.9 * rows["total"][0]
    np.testing.assert_array_equal(others["total"], rows["total"] * 2.0**exponent)


def test_lbfgs_finds_the_minimum_in_the_box_and_pixels_leave_bounds():
    """A quadratic whose free minimum lies outside: the answer is its projection, reached from a corner."""
    goal = jnp.linspace(-0.5, 1.5, 60).reshape(5, 4, 3)

    def target(x, *, where=None):
        return goal

    loss = losses.Loss(target, lambda x, t, **_: jnp.sum(jnp.arange(1, 61).reshape(x.shape) * (x - t) ** 2))
    terms = (Term("bowl", loss, ("image",), "content"),)
    objective, _, problem = picture_problem(terms=terms, weights={"bowl": 1.0}, shape=(5, 4))
    plan = Plan(make_method("lbfgs"))
    for start in (0.0, 1.0):
        state = optimize.initial_state(plan, jnp.full((5, 4, 3), start))
        state, _ = optimize.run_chunk(objective, plan, state, problem, 1.0, stop=60, length=60)
        np.testing.assert_allclose(state.image, jnp.clip(goal, 0, 1), atol=1e-3)
        assert state.evaluations <= 65  # a step whose direction does not descend takes 20


def test_a_step_of_lbfgs_has_a_greatest_length():
    """Down a slope without end; out of a flat picture the search would go as far."""
    push = losses.Loss(lambda x, *, where=None: x, lambda x, t, **_: -jnp.sum(x))
    terms = (Term("push", push, ("image",), "content"),)
    objective, image, problem = picture_problem(terms=terms, weights={"push": 1.0})
    plan = Plan(make_method("lbfgs", project=False))
    state = optimize.initial_state(plan, jnp.array(image))
    state, _ = optimize.run_chunk(objective, plan, state, problem, 1.0, stop=1, length=1)
    np.testing.assert_allclose(state.image - image, 0.15, rtol=1e-5)


def test_the_direction_of_lbfgs_is_that_of_optax():
    """On a quadratic, whose pairs all have curvature; more steps than pairs."""
    ours, theirs = scale_by_lbfgs(4), optax.scale_by_lbfgs(4)
    x = jax.random.normal(jax.random.key(0), (2, 5, 3))
    curvatures = jnp.linspace(1, 9, x.size).reshape(x.shape)
    states = [ours.init(x), theirs.init(x)]
    for _ in range(9):
        (here, states[0]), (there, states[1]) = (
            method.update(curvatures * x, state, x)
            for method, state in zip((ours, theirs), states, strict=True)
        )
        np.testing.assert_allclose(here, there, rtol=1e-4, atol=1e-5)
        x = x - 0.5 * here


def bowl(curvature, goal):
    """(objective, problem) of half the square of a difference from a goal, its spectrum times curvatures."""

    def energy(x, goal, **_):
        return 0.5 * jnp.vdot(
            x - goal, jnp.fft.ifft2(curvature * jnp.fft.fft2(x - goal, axes=(0, 1)), axes=(0, 1)).real
        )

    loss = losses.Loss(lambda x, *, where=None: goal, energy)
    terms = (Term("bowl", loss, ("image",), "content"),)
    objective, _, problem = picture_problem(terms=terms, weights={"bowl": 1.0}, shape=goal.shape[:2])
    return objective, problem


@pytest.mark.parametrize("project", [True, False])
def test_lbfgs_with_a_falloff_needs_fewer_steps_where_high_frequencies_curve_more(project):
    shape = (24, 31)
    frequency = np.hypot(*np.meshgrid(*map(np.fft.fftfreq, shape), indexing="ij"))[..., None]
    objective, problem = bowl(np.maximum(frequency, 1 / 31) ** 2, picture(0, shape))
    left = {}
    for falloff in (0.0, 2.0):
        plan = Plan(make_method("lbfgs", optimizer_args=(("falloff", falloff),), project=project))
        state = optimize.initial_state(plan, picture(1, shape))
        state, rows = optimize.run_chunk(objective, plan, state, problem, 1.0, stop=6, length=6)
        left[falloff] = rows["total"][-1] / rows["total"][0]
    assert left[2.0] < 1e-4 < 1e-3 < left[0.0]


def test_a_falloff_that_cannot_be_is_refused():
    for given in (-1.0, 5.0, float("nan")):
        method = make_method("lbfgs", optimizer_args=(("falloff", given),))
        with pytest.raises(ValueError, match="falloff must be from 0 to 4; got"):
            method.init(jnp.zeros((2, 2, 3)))


def test_lbfgs_keeps_no_pair_without_curvature():
    method, x = scale_by_lbfgs(3), jnp.full((2, 2, 3), 0.5)
    state = method.init(x)
    for gradient in (1.0, 2.0, 1.5):  # it rises where the picture stays, then along a step of curvature
        direction, state = method.update(gradient * jnp.ones_like(x), state, x)
        assert jnp.isfinite(direction).all()
        x = x - 0.1 * (gradient == 2.0)
    assert state.kept == 1 and state.seen == 3


@pytest.mark.parametrize(
    "size, pairs", [(16 * 16 * 3, 100), (512 * 384 * 3, 100), (1024 * 768 * 3, 28), (4096**2 * 3, 10)]
)
def test_lbfgs_remembers_what_fits_into_its_memory(size, pairs):
    assert default_memory(size) == pairs
    image = jax.ShapeDtypeStruct((size // 3, 1, 3), jnp.float32)
    of = {
        given: jax.eval_shape(make_method("lbfgs", optimizer_args=given).init, image)
        for given in ((), (("memory_size", 7),))
    }
    remembered = [
        {x.shape[0] for x in jax.tree.leaves(state) if x.shape[1:] == (size,)} for state in of.values()
    ]
    assert remembered == [{pairs}, {7}]


def test_a_step_does_not_copy_what_lbfgs_remembers():
    objective, image, problem = picture_problem()
    plan = Plan(make_method("lbfgs", optimizer_args=(("memory_size", 7),)))
    state = optimize.initial_state(plan, image)
    program = optimize.run_chunk.lower(objective, plan, state, problem, 1.0, stop=3, length=3).compile()
    memory = f"7,{image.size}"
    assert f"f32[{memory}]" in program.as_text()
    assert not re.search(rf"f32\[{memory}\]\S* copy\(", program.as_text())
