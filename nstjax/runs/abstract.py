"""Terms and methods made without arrays where a config is read: what fails there is an error of its key."""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import optax

from nstjax import losses, transforms, validate
from nstjax.errors import UserError
from nstjax.optimize import (
    Objective,
    Problem,
    Reference,
    initial_state,
    make_targets,
    run_chunk,
    single_taps,
    term_weights,
)
from nstjax.runs import memory, terms
from nstjax.runs.cache import Cache

_ANY = (8, 8, 3)  # the shape of a picture that stands for all
_seen = Cache()  # what was found good in this process


def check_terms(spec, encoder, shape, references):
    """Makes the targets of every term, its scores and their gradients, as of the whole picture.

    Args:
      spec: a `StageSpec`.
      encoder: its `Encoder`.
      shape: (H, W) of the image.
      references: {name: a tuple of the (H, W) of its pictures}.

    Raises:
      UserError: for a term that fails, and where one value makes it fail, of that.
    """
    taps = tuple(tap for tap in single_taps(t for term in spec.terms for t in term.taps) if tap != "image")
    features = {}
    for size in {shape, *(size for sizes in references.values() for size in sizes)}:
        apply, picture = partial(encoder.apply, taps=taps), _floats(*size, 3)
        made = partial(jax.eval_shape, apply, encoder.params, picture)
        features[size] = _seen(("features", encoder.apply, taps, size), made)
    for term in spec.terms:
        key = ("abstract", encoder.apply, term, shape, tuple(references.items()))
        config = spec.config.terms[term.name]
        _seen(key, partial(_check_term, term, config, features, shape, references))


def _check_term(term, config, features, shape, references):
    term = dataclasses.replace(term, regions="")
    pictures = {name: [Reference(_floats(*size, 3)) for size in sizes] for name, sizes in references.items()}

    def apply(params, image, taps):
        return {tap: jnp.mean(image) + jnp.zeros(features[image.shape[:2]][tap].shape) for tap in taps}

    def targets(term):
        return jax.eval_shape(lambda given: make_targets(apply, {}, (term,), given), pictures)

    def with_loss(hyper):
        made = terms.make_loss(term.name, config.loss, hyper)
        whole = dataclasses.replace(term, loss=made)
        weights = term_weights((whole,), {term.name: 1.0})

        def total(image, targets, key):
            return Objective(apply, (whole,))(image, Problem({}, targets, weights, key))[0]

        jax.eval_shape(jax.grad(total), _floats(*shape, 3), targets(whole), jax.eval_shape(jax.random.key, 0))

    def with_transform(args):
        made = terms.call_factory(f"terms.{term.name}.transform_args", transforms, config.transform, args)
        targets(dataclasses.replace(term, transform=made, loss=losses.feature()))

    if term.transform:
        validate.built(f"terms.{term.name}.transform_args", config.transform_args, with_transform)
    validate.built(f"terms.{term.name}", terms.hyper(config), with_loss)


def check_method(spec, shape):
    """Makes steps of the method of a stage, and reckons what its state takes.

    Args:
      spec: a `StageSpec`.
      shape: (H, W) of the image.

    Raises:
      UserError: for a method that fails, and where one value makes it fail, of that.
    """
    method = spec.plan.method
    plain = dataclasses.replace(method, schedule="constant_schedule", schedule_args=())

    def with_optimizer(args):
        changed = dataclasses.replace(plain, optimizer_args=tuple(sorted(args.items())))
        plan = dataclasses.replace(spec.plan, method=changed, log_gradients=False)
        _seen(("plan", plan), partial(_step, plan))

    def with_schedule(args):
        jax.eval_shape(getattr(optax, method.schedule)(**args), jax.ShapeDtypeStruct((), jnp.int32))

    validate.built("optimizer_args", dict(method.optimizer_args), with_optimizer)
    if method.schedule != plain.schedule:
        validate.built("schedule_args", dict(method.schedule_args), with_schedule)
    needed = state_bytes(method, shape)
    if needed > memory.available():
        raise UserError(
            f"optimizer_args: the state of {method.optimizer} needs {needed / 1e9:.0f} GB of memory "
            f"and there are {memory.available() / 1e9:.0f}"
        )


def state_bytes(method, shape):
    """Bytes of the state of a method for an image (H, W)."""
    return memory.bytes_of(jax.eval_shape(method.init, _floats(*shape, 3)))


def _step(plan):
    """A step of a plan from any picture."""
    state = jax.eval_shape(partial(initial_state, plan), _floats(*_ANY))
    problem = Problem({}, {}, {}, jax.eval_shape(jax.random.key, 0))
    chunk = partial(run_chunk, _squares, plan, length=1)
    jax.eval_shape(lambda state, problem: chunk(state, problem, 1.0, stop=1), state, problem)


def _squares(image, problem):
    total = jnp.sum(jnp.square(image))
    return total, {"squares": total}


def _floats(*shape):
    return jax.ShapeDtypeStruct(shape, jnp.float32)
