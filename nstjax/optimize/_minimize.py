"""A picture optimised in one call, from arrays."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nstjax.errors import NotFiniteError
from nstjax.optimize.loop import Plan, diagnose, initial_state, result, run_chunk
from nstjax.optimize.methods import Method, make_method
from nstjax.optimize.objective import Objective, Problem, term_weights
from nstjax.optimize.targets import Reference, Term, make_targets


class Minimized(NamedTuple):
    """An optimised picture.

    Attributes:
      image: [H, W, 3] float32 sRGB, in [0, 1] where the method projects.
      history: {"evaluations", "total", "term/tap", ...: [steps]}, terms raw and unweighted, of the image
        before each step. With L-BFGS the terms of steps between reports are NaN.
    """

    image: jax.Array
    history: dict[str, np.ndarray]


def minimize(
    encoder: Any,
    terms: Sequence[Term],
    references: Mapping[str, Any],
    weights: Mapping[str, float | Sequence[float]],
    *,
    init: Any = None,
    steps: int = 200,
    method: str | Method = "adam",
    learning_rate: float | None = None,
    seed: int = 0,
    log_every: int = 10,
    callback: Callable[[int, jax.Array, float], None] | None = None,
) -> Minimized:
    """Minimises the weighted sum of terms over a picture.

    Args:
      encoder: an `nstjax.networks.Encoder`, or anything with its `apply` and `params`.
      terms: a sequence of `Term`.
      references: {"content": image, "style": image}: [H, W, 3] sRGB in [0, 1] each, of any size; or a list of
        `Reference`, blended.
      weights: {term: number, or one number per tap}.
      init: [H, W, 3] to start from; the content by default, which also gives the size.
      steps: to make.
      method: "adam", "lbfgs" or any optimiser of optax by name; or a `Method` of `make_method`.
      learning_rate: the usual of the method by default.
      seed: of random losses.
      log_every: steps between reports of the terms and calls of `callback`.
      callback: `callback(step, image, total)` after every `log_every` steps.

    Returns:
      A `Minimized`.

    Raises:
      ValueError: for a reference or a weight that is missing, and an unknown method.
      NotFiniteError: where the objective or its gradient is not finite.
    """
    method = make_method(method) if isinstance(method, str) else method
    plan, terms = Plan(method=method, log_every=log_every), tuple(terms)
    pictures = {name: _references(given) for name, given in references.items()}
    if init is None:
        if "content" not in pictures:
            raise ValueError("init is not given and there is no content to start from")
        init = pictures["content"][0].image
    targets = _targets(encoder.apply, encoder.params, terms, pictures)
    objective = Objective(encoder.apply, terms)
    problem = Problem(encoder.params, targets, term_weights(terms, weights), jax.random.key(seed))
    rate = method.learning_rate if learning_rate is None else learning_rate
    state, chunks = initial_state(plan, jnp.asarray(init, jnp.float32)), []
    for start in range(0, steps, log_every):
        stop = min(start + log_every, steps)
        state, rows = run_chunk(objective, plan, state, problem, rate, stop=stop, length=log_every)
        if state.failed:
            reason = diagnose(objective, plan, state, problem)
            raise NotFiniteError(f"stopped at step {int(state.step)}: {reason}")
        chunks.append({name: np.asarray(values)[: stop - start] for name, values in rows.items()})
        if callback is not None:
            callback(stop, result(plan, state), float(chunks[-1]["total"][-1]))
    history = {name: np.concatenate([rows[name] for rows in chunks]) for name in chunks[0]} if chunks else {}
    return Minimized(result(plan, state), history)


def _references(given):
    several = given if isinstance(given, (list, tuple)) else [given]
    several = [each if isinstance(each, Reference) else Reference(each) for each in several]
    return [each._replace(image=jnp.asarray(each.image, jnp.float32)) for each in several]


_targets = jax.jit(make_targets, static_argnames=("apply", "terms"))
