"""Static checks of shapes, made where a loss or a transform is called."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp


def checked(make: Callable, use: Callable, *, pooled: bool) -> tuple[Callable, Callable]:
    """Two functions of features, with the shapes of their arguments checked.

    Args:
      make: `make(x, *, where=None) -> pytree`, of a reference.
      use: `use(x, made, *, where=None, key=None)`, of features and what `make` returned.
      pooled: whether `make` returns samples, of any number: only their channels must then agree.

    Returns:
      (make, use), which raise ValueError.
    """

    @functools.wraps(make)
    def checked_make(x, *, where=None):
        check_features(x, where)
        return make(x, where=where)

    @functools.wraps(use)
    def checked_use(x, made, *, where=None, key=None):
        check_features(x, where)
        check_target(make, x, made, pooled=pooled)
        return use(x, made, where=where, key=key)

    return checked_make, checked_use


def check_features(x: jax.Array, where: jax.Array | None = None) -> None:
    """Raises ValueError unless x is features [h, w, c], and where a mask [h, w] of them or None."""
    shape = jnp.shape(x)
    if len(shape) != 3:
        raise ValueError(f"features must be [h, w, c]; got {list(shape)} (jax.vmap maps over a batch)")
    if where is not None and jnp.shape(where) != shape[:2]:
        raise ValueError(f"where must be [h, w] = {list(shape[:2])}; got {list(jnp.shape(where))}")


def check_target(make: Callable, x: jax.Array, target: Any, *, pooled: bool) -> None:
    """Raises ValueError for a target that cannot be compared with features x [h, w, c].

    Args:
      make: `make(features) -> target`.
      x: the features.
      target: a pytree with the shapes of `make(x)`.
      pooled: whether the target is samples, of any number: only the channels of its first array must agree.
    """
    own, given = _shapes_of(make, jnp.shape(x)), _shapes(target)
    if pooled:
        own, given = ([shapes[0][-1:]] for shapes in (own, given))
    if own != given:
        raise ValueError(
            f"target must be {_text(own)}, as features {list(jnp.shape(x))} have; got {_text(given)}"
        )


@functools.lru_cache(maxsize=1024)
def _shapes_of(make, shape):
    return _shapes(jax.eval_shape(make, jax.ShapeDtypeStruct(shape, jnp.float32)))


def _shapes(tree):
    return [jnp.shape(leaf) for leaf in jax.tree.leaves(tree)]


def _text(shapes):
    return ", ".join(str(list(shape)) for shape in shapes) or "nothing"
