"""The loop: what its optimisers do, what it compiles, how it stops."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from problems import PICTURE_TERMS, evaluate, evaluate_gradient, picture, picture_problem

from nstjax import losses, optimize
from nstjax.optimize import Plan, Term, make_method
from nstjax.optimize.lbfgs import default_memory, scale_by_lbfgs


def minimise(plan, steps, rate=0.05, length=None, **kwargs):
    objective, image, problem = picture_problem(**kwargs)
    state = optimize.initial_state(plan, image)
    return optimize.run_chunk(objective, plan, state, problem, rate, stop=steps, length=length or steps)


def test_adam_is_the_plain_loop():
    objective, image, problem = picture_problem()
    adam = optax.adam(0.05)
    optimizer = adam.init(image)
    totals = []
    for _ in range(5):
        (total, _), gradient = evaluate_gradient(objective, image, problem)
        updates, optimizer = adam.update(gradient, optimizer)
        image = jnp.clip(optax.apply_updates(image, updates), 0, 1)
        totals.append(total)
    state, rows = minimise(Plan(), 5)
    np.testing.assert_allclose(state.image, image, rtol=1e-4, atol=1e-5)  # float32, five steps
    np.testing.assert_allclose(rows["total"], totals, rtol=1e-4)
    assert state.step == 5 and state.evaluations == 5


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


def test_logged_rows_hold_the_terms_and_gradient_norms():
    plan = Plan(make_method("lbfgs"), log_every=3, log_gradients=True)
    _, rows = minimise(plan, 7, rate=1.0)
    logged = np.isfinite(rows["style/image"])
    assert logged.tolist() == [True, False, False, True, False, False, True]
    assert np.isfinite(rows["gradient/style/image"]).tolist() == logged.tolist()
    objective, image, problem = picture_problem()
    np.testing.assert_allclose(rows["style/image"][0], objective(image, problem)[1]["style/image"], rtol=1e-5)


@pytest.mark.parametrize("name", [n for n in optimize.OPTIMIZERS if n not in ("lars", "dpsgd", "noisy_sgd")])
def test_every_optimiser_of_optax_runs_by_name(name):
    state, rows = minimise(Plan(make_method(name)), 3, rate=1e-3)
    assert state.step == 3 and np.isfinite(rows["total"]).all() and not state.failed


def test_schedule_scales_the_learning_rate():
    arguments = (("decay_steps", 2), ("init_value", 1.0))
    plan = Plan(make_method("sgd", schedule="cosine_decay_schedule", schedule_args=arguments))
    still, _ = minimise(plan, 6, rate=0.01)
    moving, _ = minimise(plan, 2, rate=0.01)
    np.testing.assert_array_equal(still.image, moving.image)


def test_result_is_the_average_of_the_iterates():
    objective, image, problem = picture_problem()
    plan, images = Plan(ema=0.5), []
    state = optimize.initial_state(plan, image)
    for step in range(1, 4):
        state, _ = optimize.run_chunk(objective, plan, state, problem, 0.05, stop=step, length=1)
        images.append(np.asarray(state.image))
    expected = (images[0] + 2 * images[1] + 4 * images[2]) / 7
    np.testing.assert_allclose(optimize.result(plan, state), expected, rtol=1e-5)
    np.testing.assert_array_equal(optimize.result(Plan(), state), state.image)
    untouched = optimize.initial_state(plan, image)
    np.testing.assert_array_equal(optimize.result(plan, untouched), image)


@pytest.mark.parametrize("plan", [Plan(), Plan(make_method("lbfgs"))], ids=["adam", "lbfgs"])
def test_chunks_do_not_change_the_result(plan):
    whole, _ = minimise(plan, 8, length=8)
    objective, image, problem = picture_problem()
    state = optimize.initial_state(plan, image)
    for stop in (3, 4, 8):
        state, _ = optimize.run_chunk(objective, plan, state, problem, 0.05, stop=stop, length=8)
    np.testing.assert_array_equal(state.image, whole.image)


@pytest.mark.parametrize("plan", [Plan(), Plan(make_method("lbfgs"))], ids=["adam", "lbfgs"])
def test_numbers_and_pictures_do_not_recompile(plan, compilations):
    jax.clear_caches()  # an equal program may have been compiled by another test
    problems = [picture_problem(seed=seed, scale=1.0 + seed) for seed in range(4)]
    states = [optimize.initial_state(plan, image) for _, image, _ in problems]
    with compilations() as seen:
        for i, ((objective, _, problem), state) in enumerate(zip(problems, states, strict=True)):
            optimize.run_chunk(objective, plan, state, problem, 0.01 * (i + 1), stop=2 + i, length=6)
    assert len(seen) == 1
    objective, image, problem = picture_problem(shape=(8, 8))
    with compilations() as seen:
        state = optimize.initial_state(plan, image)
        optimize.run_chunk(objective, plan, state, problem, 0.01, stop=2, length=6)
    assert len(seen) >= 1


def poisoned(where):
    """A loss that is not finite once the image has moved by `where` from 0.5."""

    def score(x, target, **_):
        moved = jnp.mean(jnp.abs(x - 0.5))
        return jnp.where(moved > where, jnp.nan, 0.0) - 100 * moved

    return losses.Loss(lambda x, where=None: (), score)


def start_of_poisoned(name, where):
    terms = (*PICTURE_TERMS, Term("poison", poisoned(where), ("image",), "content"))
    weights = {"content": 1.0, "style": 0.0, "tv": 0.0, "poison": 1.0}
    objective, image, problem = picture_problem(terms=terms, weights=weights)
    plan = Plan(make_method(name, project=False))
    return objective, plan, optimize.initial_state(plan, jnp.full_like(image, 0.5)), problem


def test_a_value_that_is_not_finite_stops_at_the_last_good_image():
    objective, plan, state, problem = start_of_poisoned("adam", 0.3)
    state, rows = optimize.run_chunk(objective, plan, state, problem, 0.1, stop=20, length=20)
    assert state.failed and state.step == 4
    assert np.isnan(rows["total"][4]) and np.isfinite(rows["total"][:4]).all()
    assert np.isfinite(evaluate(objective, state.good, problem)[0])
    assert optimize.diagnose(objective, plan, state, problem) == "term 'poison/image' is nan"


@pytest.mark.parametrize("name", ["adam", "lbfgs"])
def test_a_start_that_is_not_finite_moves_nothing(name):
    objective, plan, state, problem = start_of_poisoned(name, -1.0)
    state, rows = optimize.run_chunk(objective, plan, state, problem, 1.0, stop=5, length=5)
    assert state.failed and state.step == 0 and np.isnan(rows["total"][0])
    np.testing.assert_array_equal(state.image, jnp.full_like(state.image, 0.5))
    np.testing.assert_array_equal(state.good, state.image)


def test_a_gradient_that_is_not_finite_is_named():
    root = losses.Loss(lambda x, where=None: (), lambda x, t, **_: jnp.sqrt(jnp.sum(jnp.square(x - x[0, 0]))))
    terms = (*PICTURE_TERMS, Term("root", root, ("image",), "content"))
    weights = {"content": 1.0, "style": 0.0, "tv": 0.0, "root": 1.0}
    objective, image, problem = picture_problem(terms=terms, weights=weights)
    state = optimize.initial_state(Plan(), jnp.full_like(image, 0.5))
    state, _ = optimize.run_chunk(objective, Plan(), state, problem, 0.1, stop=3, length=3)
    assert state.failed and state.step == 0
    found = optimize.diagnose(objective, Plan(), state, problem)
    assert found == "the gradient of term 'root/image' is not finite"


def test_the_next_scale_carries_the_moments():
    plan = Plan()
    state, _ = minimise(plan, 4)
    bigger = optimize.next_scale(plan, plan, state, (26, 20))
    assert bigger.image.shape == (26, 20, 3) and bigger.step == 0
    moments, before = bigger.optimizer[0], state.optimizer[0]
    assert moments.count == before.count == 4
    np.testing.assert_allclose(moments.mu.mean(), before.mu.mean(), rtol=1e-2)
    assert moments.nu.min() >= 0 and moments.nu.shape == (26, 20, 3)
    np.testing.assert_allclose(bigger.image.mean((0, 1)), state.image.mean((0, 1)), rtol=1e-2)
    other = optimize.next_scale(plan, Plan(make_method("lbfgs")), state, (26, 20))
    assert optax.tree.get(other.optimizer, "seen") == 0


def test_mistakes_are_named():
    with pytest.raises(ValueError, match="optimizer 'lbgfs' is unknown; did you mean 'lbfgs'"):
        make_method("lbgfs")
    with pytest.raises(ValueError, match=r"optimizer_args.beta1 is unknown"):
        make_method(optimizer_args=(("beta1", 0.9),))
    with pytest.raises(ValueError, match=r"optimizer_args.memory is unknown; did you mean 'memory_size'"):
        make_method("lbfgs", optimizer_args=(("memory", 3),))
    with pytest.raises(ValueError, match="schedule 'cosine' is unknown"):
        make_method(schedule="cosine")
    with pytest.raises(ValueError, match=r"schedule_args.init_value is required by cosine_decay_schedule"):
        make_method(schedule="cosine_decay_schedule")


def test_random_losses_draw_anew_at_each_step_but_not_within_a_line_search():
    random = losses.Loss(
        lambda x, where=None: (), lambda x, t, *, key, **_: jax.random.normal(key) + jnp.sum(x)
    )
    terms = (Term("random", random, ("image",), "style"),)
    objective, image, problem = picture_problem(terms=terms, weights={"random": 1.0})

    def totals(plan):
        state = optimize.initial_state(plan, image)
        _, rows = optimize.run_chunk(objective, plan, state, problem, 0.0, stop=4, length=4)
        return np.asarray(rows["total"])

    assert len(set(totals(Plan(make_method("sgd"))))) == 4
    np.testing.assert_array_equal(totals(Plan(make_method("sgd"))), totals(Plan(make_method("sgd"))))
    np.testing.assert_allclose(totals(Plan(make_method("lbfgs"))), objective(image, problem)[0], rtol=1e-6)


def weighted(problem, *weights):
    """The problem with other weights, a factor each."""
    return [problem._replace(weights=jax.tree.map(lambda w, k=k: w * k, problem.weights)) for k in weights]


def states_of(plan, image, count):
    return jax.vmap(lambda _: optimize.initial_state(plan, image))(jnp.arange(count))


@pytest.mark.parametrize("optimizer, rate", [("adam", 0.05), ("lbfgs", 1.0)])
def test_a_batch_is_single_runs(optimizer, rate, compilations):
    plan = Plan(make_method(optimizer))
    objective, image, problem = picture_problem()
    problems, rates = weighted(problem, 1, 2, 3), rate * jnp.array([1.0, 0.5, 0.25])
    batch = optimize.make_batch(problems, rates, [optimize.UNLIMITED] * 3)
    assert len(batch.own) == len(jax.tree.leaves(problem.weights)) == batch.axes.count(0)

    def together():
        states = states_of(plan, image, 3)
        for start, stop in ((0, 4), (4, 7)):
            states, rows = optimize.run_batch(
                objective, plan, states, batch, start=start, stop=stop, length=4
            )
        return states, rows

    states, rows = together()
    with compilations() as seen:
        together()
    assert not seen
    for i in range(3):
        state = optimize.initial_state(plan, image)
        for stop in (4, 7):
            state, alone = optimize.run_chunk(
                objective, plan, state, problems[i], rates[i], stop=stop, length=4
            )
        np.testing.assert_allclose(states.image[i], state.image, atol=1e-4)
        np.testing.assert_allclose(rows["total"][i], alone["total"], rtol=1e-4)
        assert states.step[i] == 7 and states.evaluations[i] == state.evaluations


def test_a_run_that_fails_leaves_the_others_of_its_batch_alone():
    objective, image, problem = picture_problem()
    batch = optimize.make_batch(weighted(problem, 1, jnp.nan), [0.05] * 2, [optimize.UNLIMITED] * 2)
    states, _ = optimize.run_batch(
        objective, Plan(), states_of(Plan(), image, 2), batch, start=0, stop=5, length=5
    )
    assert states.failed.tolist() == [False, True] and states.step.tolist() == [5, 0]
    np.testing.assert_array_equal(states.image[1], image)
    alone, _ = minimise(Plan(), 5)
    np.testing.assert_allclose(states.image[0], alone.image, atol=1e-4)


@pytest.mark.parametrize("optimizer", ["adam", "lbfgs"])
def test_a_budget_of_evaluations_ends_a_run(optimizer):
    plan = Plan(make_method(optimizer))
    objective, image, problem = picture_problem()
    batch = optimize.make_batch([problem] * 2, [0.05] * 2, [3, optimize.UNLIMITED])
    states, rows = optimize.run_batch(
        objective, plan, states_of(plan, image, 2), batch, start=0, stop=8, length=8
    )
    ended = int(states.step[0])
    assert ended < states.step[1] == 8
    # It ends with the step that reaches the budget, and no later.
    assert states.evaluations[0] >= 3 > rows["evaluations"][0][ended - 1]
    alone, _ = minimise(plan, ended)
    np.testing.assert_allclose(states.image[0], alone.image, atol=1e-4)


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
