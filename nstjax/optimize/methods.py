"""Methods of optimisation: any first-order optimiser of optax, and L-BFGS inside the box [0, 1]."""

import abc
import dataclasses
import functools
import inspect
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import lax

from nstjax.errors import check_at_least, check_choice, nearest
from nstjax.optimize import lbfgs


def _public(suits):
    functions = {n: f for n, f in vars(optax).items() if inspect.isfunction(f) and not n.startswith("_")}
    return tuple(sorted(n for n, f in functions.items() if suits(n, list(inspect.signature(f).parameters))))


OPTIMIZERS = _public(lambda name, parameters: parameters[:1] == ["learning_rate"] and "scale_by" not in name)
SCHEDULES = _public(lambda name, parameters: name.endswith("_schedule") and "scale_by" not in name)
LEARNING_RATES = {"lbfgs": 1.0}
LEARNING_RATE = 0.02  # of every other optimiser


def make_method(
    optimizer: str = "adam",
    *,
    optimizer_args: tuple[tuple[str, Any], ...] = (),
    schedule: str = "constant_schedule",
    schedule_args: tuple[tuple[str, Any], ...] = (),
    project: bool = True,
) -> "Method":
    """The method that an optimiser's name stands for.

    Args:
      optimizer: "adam", "lbfgs" or any optimiser of optax by name.
      optimizer_args: its keyword arguments, as sorted pairs.
      schedule: a schedule of optax by name, e.g. "cosine_decay_schedule"; its values are relative to
        the learning rate.
      schedule_args: its keyword arguments, as sorted pairs.
      project: whether each step ends with a projection to [0, 1].

    Raises:
      ValueError: for an unknown name, and for arguments that are unknown, missing or no numbers.
    """
    check_choice("optimizer", optimizer, OPTIMIZERS)
    check_choice("schedule", schedule, SCHEDULES)
    factory = _lbfgs if optimizer == "lbfgs" else getattr(optax, optimizer)
    _check_arguments("optimizer_args", factory, optimizer_args, ("learning_rate", "project"))
    bound = ("value",) if schedule == "constant_schedule" else ()
    _check_arguments("schedule_args", getattr(optax, schedule), schedule_args, bound)
    for key, value in schedule_args:
        if key.endswith("steps"):
            check_at_least(f"schedule_args.{key}", value, 0 if key == "warmup_steps" else 1)
    kind = BoxedLbfgs if optimizer == "lbfgs" else FirstOrder
    return kind(optimizer, optimizer_args, schedule, schedule_args, project)


def _check_arguments(name, function, given, bound):
    parameters = {k: p for k, p in inspect.signature(function).parameters.items() if k not in bound}
    for key, value in given:
        if key not in parameters:
            raise ValueError(f"{name}.{key} is unknown{nearest(key, parameters)}")
        default = parameters[key].default
        numeric = isinstance(default, (int, float)) or key.endswith(("steps", "value"))
        if numeric and default is not None and not isinstance(value, (int, float)):
            raise ValueError(f"{name}.{key} must be a number; got {value!r}")
    for key, parameter in parameters.items():
        if parameter.default is parameter.empty and key not in bound and key not in dict(given):
            raise ValueError(f"{name}.{key} is required by {function.__name__}")


@dataclasses.dataclass(frozen=True)
class Method(abc.ABC):
    """The base of every method; the attributes are the arguments of `make_method`.

    Class attributes:
      resample_keys: whether random losses draw anew at each step.
      line_search: whether a step searches along a line, so that the gradient must be that of the value.
    """

    optimizer: str
    optimizer_args: tuple[tuple[str, Any], ...] = ()
    schedule: str = "constant_schedule"
    schedule_args: tuple[tuple[str, Any], ...] = ()
    project: bool = True

    resample_keys: ClassVar[bool]
    line_search: ClassVar[bool]

    @property
    def learning_rate(self) -> float:
        """The usual learning rate of the optimiser."""
        return LEARNING_RATES.get(self.optimizer, LEARNING_RATE)

    def init(self, image):
        """The optimiser's state before the first step from an image [H, W, 3]."""
        return self.transformation(1.0).init(image)

    def update(self, objective, image, optimizer, problem, value, gradient, learning_rate):
        """(image, optimiser's state) after a step; arguments as of `evaluate`, and its results."""

        def total(image):
            return objective(project(image) if self.project else image, problem)[0]

        updates, optimizer = self.transformation(learning_rate).update(
            gradient, optimizer, image, value=value, grad=gradient, value_fn=total
        )
        image = optax.apply_updates(image, updates)
        return project(image) if self.project else image, optimizer

    @abc.abstractmethod
    def evaluate(self, objective, image, optimizer, problem, logged):
        """(value, gradient, report) at an image.

        Args:
          objective: an `Objective`.
          image: [H, W, 3].
          optimizer: the optimiser's state.
          problem: a `Problem`.
          logged: whether the report is asked for, a traced bool.
        """

    @abc.abstractmethod
    def evaluations(self, optimizer, first):
        """Evaluations of objective and gradient that the last step took, int32.

        Args:
          optimizer: the optimiser's state after the step.
          first: whether it was the first step, a traced bool.
        """

    @abc.abstractmethod
    def carry_to(self, before, optimizer, shape, fresh):
        """The optimiser's state at another size.

        Args:
          before: the `Method` whose state is carried.
          optimizer: that state.
          shape: (H, W, 3) of its image.
          fresh: the state of this method at the new size, kept where nothing can be carried.
        """

    @property
    @abc.abstractmethod
    def _factory(self):
        """The factory of the gradient transformation."""

    def scheduled(self, learning_rate):
        """The learning rate, or the schedule of optax that is relative to it; it may be traced."""
        if self.schedule == "constant_schedule":
            return learning_rate
        schedule = getattr(optax, self.schedule)(**dict(self.schedule_args))
        return lambda count: learning_rate * schedule(count)

    def transformation(self, learning_rate):
        """The gradient transformation of optax, scheduled; the learning rate may be traced."""
        made = self._factory(learning_rate=self.scheduled(learning_rate), **dict(self.optimizer_args))
        return optax.with_extra_args_support(made)


class FirstOrder(Method):
    """An optimiser of optax that makes a step of one gradient."""

    resample_keys = True
    line_search = False

    @property
    def _factory(self):
        return getattr(optax, self.optimizer)

    def evaluate(self, objective, image, optimizer, problem, logged):
        (value, report), gradient = jax.value_and_grad(objective, has_aux=True)(image, problem)
        return value, gradient, report

    def evaluations(self, optimizer, first):
        return jnp.int32(1)

    def carry_to(self, before, optimizer, shape, fresh):
        """Moments resized with the image; the fresh state where the optimiser differs."""
        if (before.optimizer, before.optimizer_args) != (self.optimizer, self.optimizer_args):
            return fresh

        def carry(old, new):
            return jax.image.resize(old, new.shape, "linear") if old.shape == shape else old

        return jax.tree.map(carry, optimizer, fresh)


class Scaled(NamedTuple):
    """The state of an optimiser of a multiple of the objective.

    Attributes:
      factor: the multiple, a power of 2; 0 before the first step.
      optimizer: the optimiser's state.
    """

    factor: jax.Array
    optimizer: Any


class BoxedLbfgs(Method):
    """L-BFGS with a line search along the projected path; its last evaluation serves the next step.

    It sees the objective times the power of 2 that brings its first gradient to a norm in [1, 2), so that
    the picture is the same, to the bit, in whatever unit the objective is given.
    """

    resample_keys = False
    line_search = True

    @property
    def _factory(self):
        return functools.partial(_lbfgs, project=self.project)

    def init(self, image):
        return Scaled(jnp.float32(0), super().init(image))

    def update(self, objective, image, optimizer, problem, value, gradient, learning_rate):
        factor = jnp.where(optimizer.factor > 0, optimizer.factor, _to_unit_norm(gradient))

        def scaled(image, problem):
            return factor * objective(image, problem)[0], None

        image, inner = super().update(
            scaled, image, optimizer.optimizer, problem, factor * value, factor * gradient, learning_rate
        )
        return image, Scaled(factor, inner)

    def evaluate(self, objective, image, optimizer, problem, logged):
        """The line search has evaluated the objective here, but not term by term."""
        factor = jnp.where(optimizer.factor > 0, optimizer.factor, 1)

        def scaled(image):
            return factor * objective(image, problem)[0]

        value, gradient = optax.value_and_grad_from_state(scaled)(image, state=optimizer.optimizer)
        report = jax.eval_shape(lambda: objective(image, problem)[1])
        report = lax.cond(
            logged,
            lambda: objective(image, problem)[1],
            lambda: jax.tree.map(lambda x: jnp.full(x.shape, jnp.nan, x.dtype), report),
        )
        return value / factor, gradient / factor, report

    def evaluations(self, optimizer, first):
        """Those of the line search; the first step evaluates its starting point as well."""
        searched = optax.tree.get(optimizer, "info").num_linesearch_steps
        return (searched + jnp.where(first, 1, 0)).astype(jnp.int32)

    def carry_to(self, before, optimizer, shape, fresh):
        """The fresh state: curvature pairs belong to the size at which they were measured."""
        return fresh


def _to_unit_norm(gradient):
    """The power of 2 that brings a gradient to a norm in [1, 2); 1 where there is none."""
    peak = jnp.max(jnp.abs(gradient))
    norm = peak * jnp.sqrt(jnp.sum(jnp.square(gradient / peak)))
    factor = jnp.ldexp(jnp.float32(1), 1 - jnp.frexp(norm)[1])
    return jnp.where((norm > 0) & jnp.isfinite(norm), factor, 1).astype(gradient.dtype)


_STEEPEST = 4  # factors from 1 to 1e10 at 512 pixels
_FARTHEST = 0.15  # root of the mean square that a step changes values by, before the projection


def _lbfgs(learning_rate, project, *, memory_size=None, max_linesearch_steps=20, falloff=0.0):
    """L-BFGS with optax's zoom line search, kept inside the box where the iterates are projected.

    Steps out of the box are taken out of the direction, and the objective that the line search sees
    projects its argument, so that it accepts what the projection leaves. The memory is of as many pairs as
    512 MiB hold, from 10 to 100, where it is not given. `falloff` is that of `lbfgs.scale_by_lbfgs`.
    """
    sizes = {"max_linesearch_steps": max_linesearch_steps}
    sizes |= {} if memory_size is None else {"memory_size": memory_size}
    for name, value in sizes.items():
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise ValueError(f"{name} must be an integer of at least 1; got {value!r}")
    if not 0 <= falloff <= _STEEPEST:
        raise ValueError(f"falloff must be from 0 to {_STEEPEST}; got {falloff!r}")
    search = _search(max_linesearch_steps)
    base = (
        lbfgs.scale_by_lbfgs(memory_size, boxed=project, falloff=falloff),
        optax.scale_by_learning_rate(learning_rate),
    )
    return optax.chain(*base, _keep_inside(), search) if project else optax.chain(*base, search)


def _search(most):
    """optax's zoom line search, of steps that change values by `_FARTHEST` at most.

    Out of a flat picture, whose Gram matrices are near 0, a step would otherwise go so far beyond the box
    that those which follow are of a thousandth of their length.
    """
    zoom = functools.partial(optax.scale_by_zoom_linesearch, most, initial_guess_strategy="one")

    def update(updates, state, params, **given):
        change = jnp.sqrt(jnp.mean(jnp.square(updates)))
        longest = _FARTHEST / jnp.maximum(change, jnp.finfo(change.dtype).tiny)
        return zoom(max_learning_rate=longest).update(updates, state, params, **given)

    return optax.GradientTransformationExtraArgs(zoom().init, update)


def _keep_inside():
    def update(updates, state, params):
        outward = ((params <= 0) & (updates < 0)) | ((params >= 1) & (updates > 0))
        return jnp.where(outward, 0, updates), state

    return optax.GradientTransformation(lambda params: optax.EmptyState(), update)


@jax.custom_jvp
def project(image):
    """Projection to [0, 1] whose derivative is 1 everywhere, so that no pixel sticks to a bound."""
    return jnp.clip(image, 0, 1)


project.defjvp(lambda primals, tangents: (project(*primals), *tangents))
