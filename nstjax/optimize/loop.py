"""The one image loop: chunks of optimiser steps in one compiled loop, carried across scales."""

import dataclasses
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax

from nstjax.ops import rows
from nstjax.optimize.calibrate import tap_gradient_norms
from nstjax.optimize.methods import FirstOrder, Method
from nstjax.optimize.objective import Problem

ADAM = FirstOrder("adam")
UNLIMITED = np.iinfo(np.int32).max


@dataclasses.dataclass(frozen=True)
class Plan:
    """How to minimise: everything about the loop that is compiled in.

    Attributes:
      method: from `make_method`.
      ema: decay of an average of the iterates that becomes the result; 0 for the last iterate.
      log_every: steps between reports.
      log_gradients: whether reports hold gradient norms as well.
      row_devices: how many local devices divide the rows of each image among them.
    """

    method: Method = ADAM
    ema: float = 0.0
    log_every: int = 10
    log_gradients: bool = False
    row_devices: int = 1


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
        optimizer=plan.method.init(image),
        average=optax.ema(plan.ema).init(image),
        good=image,
        step=jnp.int32(0),
        evaluations=jnp.int32(0),
        failed=jnp.bool_(False),
    )
    # `run_chunk` donates its buffers, so no two leaves may alias.
    return jax.tree.map(lambda x: jnp.array(x, copy=True), state)


def next_scale(before, plan, state, shape):
    """The state at another size: the result so far resized, with its optimiser's state.

    Moments of a first-order optimiser are resized with the image; L-BFGS starts anew, as does an optimiser
    that differs from the one before. Steps and the average of the iterates start from 0; a failed state
    stays failed.

    Args:
      before: the `Plan` of the state.
      plan: the `Plan` to go on with.
      state: a `State`.
      shape: (H, W) to resize to.
    """
    image = jax.image.resize(result(before, state), (*shape, 3), "cubic")
    fresh = initial_state(plan, jnp.clip(image, 0, 1) if plan.method.project else image)
    carried = plan.method.carry_to(before.method, state.optimizer, state.image.shape, fresh.optimizer)
    return fresh._replace(failed=state.failed, optimizer=carried)


def result(plan, state):
    """The image [H, W, 3] that a state stands for: the average of the iterates where one is kept."""
    if not plan.ema:
        return state.image
    correction = 1 - plan.ema ** state.average.count.astype(jnp.float32)
    return jnp.where(state.average.count > 0, state.average.ema / correction, state.image)


@functools.partial(jax.jit, static_argnames=("objective", "plan", "length"), donate_argnames=("state",))
def run_chunk(objective, plan, state, problem, learning_rate, *, stop, length):
    """At most `length` steps, in one compiled loop.

    Args:
      objective: an `Objective`; static.
      plan: a `Plan`; static.
      state: a `State`; its buffers are donated.
      problem: a `Problem`.
      learning_rate: scalar.
      stop: the step to stop before, a scalar.
      length: of the rows; static.

    Returns:
      `(state, rows)`: rows {"evaluations": [length], "total": [length], "term/tap": [length], ...}, one
      per step, of the image before the step. Only steps divisible by `plan.log_every` have gradient
      norms and, with L-BFGS, terms; the rows of the others hold NaN there.
    """
    numbers = state.step + jnp.arange(length)
    return _steps(objective, plan, state, problem, learning_rate, numbers, stop, UNLIMITED)


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=("shared", "own", "learning_rates", "budgets"),
    meta_fields=("structure", "axes"),
)
@dataclasses.dataclass(frozen=True)
class Batch:
    """Problems that share one compiled program (same structure, same shapes); from `make_batch`.

    Attributes:
      shared: arrays of the problems that are one object in all.
      own: the other arrays, with a leading axis, the problems.
      learning_rates: [problems].
      budgets: [problems] int32; a problem makes no step after so many evaluations.
      structure: of a `Problem`; static.
      axes: for each array of a problem, 0 where it is one of `own`, None where it is shared; static.
    """

    shared: tuple[jax.Array, ...]
    own: tuple[jax.Array, ...]
    learning_rates: Any
    budgets: Any
    structure: Any
    axes: tuple[int | None, ...]

    def problem(self, own):
        """The `Problem` with these arrays of its own."""
        shared, own = iter(self.shared), iter(own)
        leaves = [next(shared if axis is None else own) for axis in self.axes]
        return jax.tree.unflatten(self.structure, leaves)


def make_batch(problems, learning_rates, budgets):
    """The `Batch` of some problems.

    Args:
      problems: a sequence of `Problem`.
      learning_rates: one per problem.
      budgets: one per problem; `UNLIMITED` for none.
    """
    columns = list(zip(*map(jax.tree.leaves, problems), strict=True))
    axes = tuple(None if all(leaf is leaves[0] for leaf in leaves) else 0 for leaves in columns)
    return Batch(
        shared=tuple(leaves[0] for leaves, axis in zip(columns, axes, strict=True) if axis is None),
        own=tuple(jnp.stack(leaves) for leaves, axis in zip(columns, axes, strict=True) if axis == 0),
        learning_rates=jnp.asarray(learning_rates),
        budgets=np.asarray(budgets, np.int32),
        structure=jax.tree.structure(problems[0]),
        axes=axes,
    )


@functools.partial(jax.jit, static_argnames=("objective", "plan", "length"), donate_argnames=("states",))
def run_batch(objective, plan, states, batch, *, start, stop, length):
    """`run_chunk` of the problems of a batch, divided among the local devices where these share equally.

    Args:
      objective, plan, stop, length: as of `run_chunk`.
      states: a `State` whose arrays have a leading axis, the problems; its buffers are donated.
      batch: a `Batch`.
      start: the step of every state that has not failed.

    Returns:
      `(states, rows)`, with a leading axis each.
    """
    numbers = start + jnp.arange(length)

    def run(states, own, learning_rates, budgets, shared, numbers, stop):
        part = dataclasses.replace(batch, shared=shared)

        def one(arguments):
            state, own, learning_rate, budget = arguments
            problem = part.problem(own)
            return _steps(objective, plan, state, problem, learning_rate, numbers, stop, budget)

        return _map(plan, one, (states, own, learning_rates, budgets))

    devices = jax.local_devices()
    if plan.row_devices == 1 and len(devices) > 1 and len(batch.budgets) % len(devices) == 0:
        mesh = jax.sharding.Mesh(np.array(devices), ("batch",))
        whole, divided = jax.sharding.PartitionSpec(), jax.sharding.PartitionSpec("batch")
        specs = (divided,) * 4 + (whole,) * 3
        run = jax.shard_map(run, mesh=mesh, in_specs=specs, out_specs=divided, check_vma=False)
    return run(states, batch.own, batch.learning_rates, batch.budgets, batch.shared, numbers, stop)


def _map(plan, function, arguments):
    """A function of every element of a batch, in the way that suits the device and the method."""
    if len(arguments[-1]) == 1:
        alone = function(jax.tree.map(lambda x: x[0], arguments))
        return jax.tree.map(lambda x: x[None], alone)
    # One picture keeps a CPU busy. Under vmap, line searches take every branch and as long as the longest.
    if jax.default_backend() == "cpu" or plan.method.line_search:
        return lax.map(function, arguments)
    return jax.vmap(function)(arguments)


def _steps(objective, plan, state, problem, learning_rate, numbers, stop, budget):
    """The steps of these numbers that are before `stop` and begin with fewer evaluations than `budget`."""
    problem = objective.prepare(problem) if hasattr(objective, "prepare") else problem
    advance = functools.partial(_step, objective, plan, problem, learning_rate)
    row = jax.eval_shape(advance, state, numbers[0])[1]
    table = jax.tree.map(lambda x: jnp.zeros((len(numbers), *x.shape), x.dtype), row)

    def more(carry):
        state, _, i = carry
        return (i < len(numbers)) & (numbers[i] < stop) & (state.evaluations < budget)

    def step(carry):
        state, table, i = carry
        state, row = advance(rows.divided(plan.row_devices, state), numbers[i])
        return state, jax.tree.map(lambda column, value: column.at[i].set(value), table, row), i + 1

    # Not a scan of steps that may be left out: XLA would copy the state, which can be 200 pictures, in each.
    state, table, _ = lax.while_loop(more, step, (state, table, 0))
    return rows.whole(plan.row_devices, (state, table))


def _step(objective, plan, problem, learning_rate, state, number):
    """Draw, evaluate, update, keep if finite: (state, row) after a step."""
    method, logged = plan.method, number % plan.log_every == 0
    drawn = _drawn(method, problem, number)
    value, gradient, report = method.evaluate(objective, state.image, state.optimizer, drawn, logged)
    image, optimizer = method.update(
        objective, state.image, state.optimizer, drawn, value, gradient, learning_rate
    )
    after = State(
        image=image,
        optimizer=optimizer,
        average=optax.ema(plan.ema).update(image, state.average)[1],
        good=state.image,
        step=state.step + 1,
        evaluations=state.evaluations + method.evaluations(optimizer, state.evaluations == 0),
        failed=state.failed,
    )
    good = jnp.isfinite(value) & jnp.all(jnp.isfinite(gradient)) & ~state.failed
    failed = state._replace(failed=jnp.bool_(True))
    # The optimiser's state, which can be a hundred pictures, is not read again where the state has failed.
    after, failed = (each._replace(optimizer=None) for each in (after, failed))
    after = jax.tree.map(lambda new, old: jnp.where(good, new, old), after, failed)
    after = after._replace(optimizer=optimizer)
    row = {"evaluations": state.evaluations, "total": value, **report}
    if plan.log_gradients:
        norms = lax.cond(
            logged,
            lambda: tap_gradient_norms(objective, state.image, drawn),
            lambda: jax.tree.map(lambda x: jnp.full_like(x, jnp.nan), report),
        )
        row |= {f"gradient/{name}": norm for name, norm in norms.items()}
    return after, row


def _drawn(method, problem: Problem, step):
    """The problem at a step: random losses draw anew, but for a line search, which needs one objective."""
    return problem._replace(key=jax.random.fold_in(problem.key, step)) if method.resample_keys else problem


def diagnose(objective, plan, state, problem):
    """One line on the term of a failed state that is not finite; arguments as of `run_chunk`."""
    problem = _drawn(plan.method, problem, state.step)
    _, report = objective(state.image, problem)
    for name, value in report.items():
        if not jnp.isfinite(value):
            return f"term {name!r} is {value}"
    for name in report:
        gradient = jax.jit(jax.grad(lambda image, name=name: objective(image, problem)[1][name]))(state.image)
        if not jnp.isfinite(gradient).all():
            return f"the gradient of term {name!r} is not finite"
    return "the weighted sum of the terms is not finite, though every term is"
