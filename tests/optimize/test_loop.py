"""The loop: what its optimisers do, what it compiles, how it stops."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from problems import PICTURE_TERMS, evaluate, evaluate_gradient, minimise, picture_problem

from nstjax import losses, optimize
from nstjax.optimize import Plan, Term, make_method


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
