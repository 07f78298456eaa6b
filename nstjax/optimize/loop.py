"""The one image loop: chunks of optimiser steps inside a compiled scan, carried across scales."""

import dataclasses
import functools
import inspect
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax

from nstjax.errors import nearest
from nstjax.optimize.objective import gradient_norms


@dataclasses.dataclass(frozen=True)
class Plan:
    """How to minimise: everything about the loop that is compiled in.

    Attributes:
      optimizer: "adam", "lbfgs" or any optimiser of optax by name.
      optimizer_args: its keyword arguments, as sorted pairs.
      schedule: a schedule of optax by name, e.g. "cosine_decay_schedule"; its values are relative to
        the learning rate.
      schedule_args: its keyword arguments, as sorted pairs.
      project: whether each step ends with a projection to [0, 1].
      ema: decay of an average of the iterates that becomes the result; 0 for the last iterate.
      log_every: steps between reports.
      log_gradients: whether reports hold gradient norms as well.
    """

    optimizer: str = "adam"
    optimizer_args: tuple[tuple[str, Any], ...] = ()
    schedule: str = "constant_schedule"
    schedule_args: tuple[tuple[str, Any], ...] = ()
    project: bool = True
    ema: float = 0.0
    log_every: int = 10
    log_gradients: bool = False

    def __post_init__(self):
        if self.optimizer not in OPTIMIZERS:
            raise ValueError(f"optimizer {self.optimizer!r} is unknown{nearest(self.optimizer, OPTIMIZERS)}")
        if self.schedule not in SCHEDULES:
            raise ValueError(f"schedule {self.schedule!r} is unknown{nearest(self.schedule, SCHEDULES)}")
        optimizer = _lbfgs if self.is_lbfgs else getattr(optax, self.optimizer)
        _check_arguments("optimizer_args", optimizer, self.optimizer_args, ("learning_rate", "project"))
        if self.schedule != "constant_schedule":
            _check_arguments("schedule_args", getattr(optax, self.schedule), self.schedule_args, ())

    @property
    def is_lbfgs(self):
        return self.optimizer == "lbfgs"


def _check_arguments(name, function, given, bound):
    parameters = {k: p for k, p in inspect.signature(function).parameters.items() if k not in bound}
    for key, value in given:
        if key not in parameters:
            raise ValueError(f"{name}.{key} is unknown{nearest(key, parameters)}")
        if isinstance(value, str) and not isinstance(parameters[key].default, (str, type(None))):
            raise ValueError(f"{name}.{key} must be a number; got {value!r}")
    for key, parameter in parameters.items():
        if parameter.default is parameter.empty and key not in dict(given):
            raise ValueError(f"{name}.{key} is required by {function.__name__}")


def _public(suits):
    functions = {n: f for n, f in vars(optax).items() if inspect.isfunction(f) and not n.startswith("_")}
    return tuple(sorted(n for n, f in functions.items() if suits(n, list(inspect.signature(f).parameters))))


OPTIMIZERS = _public(lambda name, parameters: parameters[:1] == ["learning_rate"] and "scale_by" not in name)
SCHEDULES = _public(lambda name, parameters: name.endswith("_schedule") and "scale_by" not in name)


UNLIMITED = np.iinfo(np.int32).max


class State(NamedTuple):
    """The loop between two steps; a pytree of arrays, and all that a checkpoint needs.

    Attributes:
      image: [H, W, 3], the iterate.
      optimizer: the optimiser's state.
      average: state of the average of the iterates.
      good: [H, W, 3], the last image whose objective and gradient were finite.
      step: steps made, int32.
      evaluations: of objective and gradient, those of line searches included, int32.
      failed: whether the objective or its gradient at `image` was not finite; nothing moves then.
    """

    image: jax.Array
    optimizer: Any
    average: optax.EmaState
    good: jax.Array
    step: jax.Array
    evaluations: jax.Array
    failed: jax.Array


def initial_state(plan, image):
    """The state before the first step from an image [H, W, 3]."""
    image = jnp.asarray(image)
    state = State(
        image=image,
        optimizer=_transformation(plan, 1.0).init(image),
        average=optax.ema(plan.ema).init(image),
        good=image,
        step=jnp.int32(0),
        evaluations=jnp.int32(0),
        failed=jnp.bool_(False),
    )
    # `run_chunk` gives every buffer up, so none may serve twice.
    return jax.tree.map(lambda x: jnp.array(x, copy=True), state)


def next_scale(old_plan, plan, state, shape):
    """The state at another size: the result so far resized, with its optimiser's state.

    Moments of a first-order optimiser are resized with the image; curvature pairs of L-BFGS belong to
    the old size, and L-BFGS starts anew, as does an optimiser that differs from the one before. Steps
    and the average of the iterates start from 0; what failed stays so.
    """
    image = jax.image.resize(result(old_plan, state), (*shape, 3), "cubic")
    fresh = initial_state(plan, jnp.clip(image, 0, 1) if plan.project else image)
    fresh = fresh._replace(failed=state.failed)
    same = plan.optimizer == old_plan.optimizer and plan.optimizer_args == old_plan.optimizer_args
    if not same or plan.is_lbfgs:
        return fresh

    def carry(old, new):
        if old.shape == state.image.shape:
            return jax.image.resize(old, new.shape, "linear")
        return old

    return fresh._replace(optimizer=jax.tree.map(carry, state.optimizer, fresh.optimizer))


def result(plan, state):
    """The image [H, W, 3] that a state stands for: the average of the iterates where one is kept."""
    if not plan.ema:
        return state.image
    correction = 1 - plan.ema ** state.average.count.astype(jnp.float32)
    return jnp.where(state.average.count > 0, state.average.ema / correction, state.image)


@functools.partial(jax.jit, static_argnames=("objective", "plan", "length"), donate_argnames=("state",))
def run_chunk(objective, plan, state, problem, learning_rate, *, stop, length):
    """At most `length` steps, as one compiled scan.

    Args:
      objective: an `Objective`; static.
      plan: a `Plan`; static.
      state: a `State`; its buffers are given up.
      problem: the arguments of the objective after the image: (params, targets, weights, key).
      learning_rate: scalar.
      stop: the step to stop before, a scalar.
      length: of the scan; static.

    Returns:
      `(state, rows)`: rows {"evaluations": [length], "total": [length], "term/tap": [length], ...}, one
      a step made, of the image before the step. Only steps divisible by `plan.log_every` have gradient
      norms and, with L-BFGS, terms; the rows of the others hold NaN there.
    """
    numbers = state.step + jnp.arange(length)
    return _scan(objective, plan, state, problem, learning_rate, numbers, stop, UNLIMITED)


@functools.partial(jax.jit, static_argnames=("objective", "plan", "length"), donate_argnames=("states",))
def run_lanes(objective, plan, states, shared, own, learning_rates, budgets, *, start, stop, length):
    """`run_chunk` of several problems of one structure at once.

    Args:
      objective, plan, stop, length: as of `run_chunk`.
      states: a `State` whose arrays have a leading axis, the lanes; its buffers are given up.
      shared: the problem's arrays that all lanes share, None in the place of the others.
      own: the others, with a leading axis; None in the place of the shared ones.
      learning_rates: [lanes].
      budgets: [lanes], evaluations after which a lane makes no more steps.
      start: the step that all lanes are at; one that failed stays where it did.

    Lanes that the local devices can share equally are divided among them.

    Returns:
      `(states, rows)`, with a leading axis each.
    """
    numbers = start + jnp.arange(length)

    def run(shared, numbers, stop, *arguments):
        def lane(state, own, rate, budget):
            problem = jax.tree.map(lambda a, b: a if b is None else b, shared, own, is_leaf=_is_none)
            return _scan(objective, plan, state, problem, rate, numbers, stop, budget)

        if len(arguments[-1]) == 1:
            alone = lane(*jax.tree.map(lambda x: x[0], arguments))
            return jax.tree.map(lambda x: x[None], alone)
        # A processor is busy with one picture. Under vmap the searches of L-BFGS would take every branch, and
        # as long as the longest.
        if jax.default_backend() == "cpu" or plan.is_lbfgs:
            return lax.map(lambda each: lane(*each), arguments)
        return jax.vmap(lane)(*arguments)

    devices = jax.local_devices()
    if len(devices) > 1 and len(learning_rates) % len(devices) == 0:
        mesh = jax.sharding.Mesh(np.array(devices), ("lanes",))
        all_of_it, lanes = jax.sharding.PartitionSpec(), jax.sharding.PartitionSpec("lanes")
        specs = (all_of_it,) * 3 + (lanes,) * 4
        run = jax.shard_map(run, mesh=mesh, in_specs=specs, out_specs=lanes, check_vma=False)
    return run(shared, numbers, stop, states, own, learning_rates, budgets)


def _is_none(x):
    return x is None


def stack_problems(problems):
    """(shared, own) for `run_lanes` of the problems of some lanes: what is one array in all is shared.

    Of a single problem all is shared.
    """

    def is_one(leaves):
        return all(leaf is leaves[0] for leaf in leaves)

    shared = jax.tree.map(lambda *leaves: leaves[0] if is_one(leaves) else None, *problems)
    own = jax.tree.map(lambda *leaves: None if is_one(leaves) else jnp.stack(leaves), *problems)
    return shared, own


def _scan(objective, plan, state, problem, learning_rate, numbers, stop, budget):
    """The steps of these numbers that are before `stop` and begin with fewer evaluations than `budget`."""
    transformation = _transformation(plan, learning_rate)

    def total(image):
        return objective(image, *problem)[0]

    def projected_total(image):
        return total(_project(image) if plan.project else image)

    def evaluate(state, problem, step):
        if plan.is_lbfgs:
            # The line search has evaluated the objective here already, but not term by term.
            value, gradient = optax.value_and_grad_from_state(total)(state.image, state=state.optimizer)
            report = jax.eval_shape(lambda: objective(state.image, *problem)[1])
            report = lax.cond(
                step % plan.log_every == 0,
                lambda: objective(state.image, *problem)[1],
                lambda: jax.tree.map(lambda x: jnp.full(x.shape, jnp.nan, x.dtype), report),
            )
            return value, gradient, report
        (value, report), gradient = jax.value_and_grad(objective, has_aux=True)(state.image, *problem)
        return value, gradient, report

    def advance(state, step):
        drawn = _drawn(plan, problem, step)
        value, gradient, report = evaluate(state, drawn, step)
        updates, optimizer = transformation.update(
            gradient,
            state.optimizer,
            state.image,
            value=value,
            grad=gradient,
            value_fn=projected_total,
        )
        image = optax.apply_updates(state.image, updates)
        image = _project(image) if plan.project else image
        _, average = optax.ema(plan.ema).update(image, state.average)
        evaluations = 1
        if plan.is_lbfgs:
            # The first step evaluates its starting point; later ones have it from their predecessor.
            searched = optax.tree.get(optimizer, "info").num_linesearch_steps
            evaluations = searched + jnp.where(state.evaluations == 0, 1, 0)
        after = State(
            image=image,
            optimizer=optimizer,
            average=average,
            good=state.image,
            step=state.step + 1,
            evaluations=state.evaluations + jnp.asarray(evaluations, jnp.int32),
            failed=state.failed,
        )
        good = jnp.isfinite(value) & jnp.all(jnp.isfinite(gradient)) & ~state.failed
        after = jax.tree.map(
            lambda new, old: jnp.where(good, new, old),
            after,
            state._replace(failed=jnp.bool_(True)),
        )
        row = {"evaluations": state.evaluations, "total": value, **report}
        if plan.log_gradients:
            norms = lax.cond(
                step % plan.log_every == 0,
                lambda: gradient_norms(objective, state.image, *drawn),
                lambda: jax.tree.map(lambda x: jnp.full_like(x, jnp.nan), report),
            )
            row |= {f"gradient/{name}": norm for name, norm in norms.items()}
        return after, row

    def step(state, number):
        row = jax.eval_shape(advance, state, number)[1]
        row = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), row)
        more = (number < stop) & (state.evaluations < budget)
        return lax.cond(more, advance, lambda state, _: (state, row), state, number)

    return lax.scan(step, state, numbers)


def _drawn(plan, problem, step):
    """The problem at a step: random losses draw anew, but for the line search, which needs one objective."""
    *arrays, key = problem
    return (*arrays, key if plan.is_lbfgs else jax.random.fold_in(key, step))


def _transformation(plan, learning_rate):
    """The optimiser of a plan; the learning rate may be traced."""
    rate = learning_rate
    if plan.schedule != "constant_schedule":
        schedule = getattr(optax, plan.schedule)(**dict(plan.schedule_args))

        def rate(count):
            return learning_rate * schedule(count)

    make = (
        functools.partial(_lbfgs, project=plan.project) if plan.is_lbfgs else getattr(optax, plan.optimizer)
    )
    return optax.with_extra_args_support(make(learning_rate=rate, **dict(plan.optimizer_args)))


def _lbfgs(learning_rate, project, *, memory_size=10, max_linesearch_steps=20):
    """optax's L-BFGS and zoom line search, kept inside the box where the iterates are projected.

    Steps out of the box are taken out of the direction, and the objective that the line search sees
    projects its argument, so that what it accepts is what the projection leaves.
    """
    search = optax.scale_by_zoom_linesearch(max_linesearch_steps, initial_guess_strategy="one")
    base = (optax.scale_by_lbfgs(memory_size), optax.scale_by_learning_rate(learning_rate))
    return optax.chain(*base, _keep_inside(), search) if project else optax.chain(*base, search)


def _keep_inside():
    def update(updates, state, params):
        outward = ((params <= 0) & (updates < 0)) | ((params >= 1) & (updates > 0))
        return jnp.where(outward, 0, updates), state

    return optax.GradientTransformation(lambda params: optax.EmptyState(), update)


@jax.custom_jvp
def _project(image):
    """Projection to [0, 1] whose derivative is 1 everywhere, so that no pixel sticks to a bound."""
    return jnp.clip(image, 0, 1)


_project.defjvp(lambda primals, tangents: (_project(*primals), *tangents))


def diagnose(objective, plan, state, problem):
    """One line on which term of a failed state is not finite."""
    problem = _drawn(plan, problem, state.step)
    _, report = objective(state.image, *problem)
    for name, value in report.items():
        if not jnp.isfinite(value):
            return f"term {name!r} is {value}"
    for name in report:
        gradient = jax.jit(jax.grad(lambda image, name=name: objective(image, *problem)[1][name]))(
            state.image
        )
        if not jnp.isfinite(gradient).all():
            return f"the gradient of term {name!r} is not finite"
    return "the weighted sum of the terms is not finite, though every term is"
