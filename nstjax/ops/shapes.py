"""Static checks of shapes and dtypes, made where a loss, a transform or a metric is called."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp


def checked(make: Callable, use: Callable, *, pooled: bool) -> tuple[Callable, Callable]:
    """Two functions of features, with the shapes and dtypes of their arguments checked.

    Features of fewer than 32 bits are computed with in float32, and what `use` returns is of their dtype;
    what `make` returns stays float32.

    Args:
      make: `make(x, *, where=None) -> pytree`, of a reference.
      use: `use(x, made, *, where=None, key=None)`, of features and what `make` returned.
      pooled: whether `make` returns samples, of any number: only their channels must then agree.

    Returns:
      (make, use), which raise ValueError.
    """

    @functools.wraps(make)
    def checked_make(x, *, where=None):
        features, mask = as_features(x, where)
        return make(features, where=mask)

    @functools.wraps(use)
    def checked_use(x, made, *, where=None, key=None):
        features, mask = as_features(x, where)
        check_target(make, features, made, pooled=pooled)
        return as_dtype(use(features, widened(made), where=mask, key=key), x)

    return checked_make, checked_use


def as_features(x: jax.Array, where: jax.Array | None = None) -> tuple[jax.Array, jax.Array | None]:
    """Features [h, w, c], of 32 bits at least, and a mask [h, w] of their dtype or None.

    Raises:
      ValueError: for features that are not `[h, w, c]` of floating-point numbers, and for a mask that is
        not `[h, w]` of such or of booleans.
    """
    check_features(x, where)
    x = widened(jnp.asarray(x))
    return x, None if where is None else jnp.asarray(where).astype(x.dtype)


def widened(tree: Any) -> Any:
    """A pytree with the arrays of fewer than 32 bits as float32."""

    def wide(leaf):
        dtype = jnp.result_type(leaf)
        few = jnp.issubdtype(dtype, jnp.floating) and jnp.finfo(dtype).bits < 32
        return jnp.asarray(leaf, jnp.float32) if few else leaf

    return jax.tree.map(wide, tree)


def as_dtype(tree: Any, x: jax.Array) -> Any:
    """A pytree of arrays in the dtype of x."""
    return jax.tree.map(lambda leaf: leaf.astype(jnp.asarray(x).dtype), tree)


def check_floating(name: str, x: Any) -> None:
    """Raises ValueError for an array of integers or booleans, such as pixels of 8 bits."""
    dtype = jnp.asarray(x).dtype
    if not jnp.issubdtype(dtype, jnp.floating):
        raise ValueError(f"{name} must be floating-point; got {dtype} (x / 255.0 makes pixels of 8 bits so)")


def check_features(x: jax.Array, where: jax.Array | None = None) -> None:
    """Raises ValueError unless x is features [h, w, c], and where a mask [h, w] of them or None."""
    shape = jnp.shape(x)
    if len(shape) != 3:
        raise ValueError(f"features must be [h, w, c]; got {list(shape)} (jax.vmap maps over a batch)")
    check_floating("features", x)
    if where is None:
        return
    if jnp.shape(where) != shape[:2]:
        raise ValueError(f"where must be [h, w] = {list(shape[:2])}; got {list(jnp.shape(where))}")
    if jnp.asarray(where).dtype != bool:
        check_floating("where", where)


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
    for leaf in jax.tree.leaves(target):
        check_floating("target", leaf)


@functools.lru_cache(maxsize=1024)
def _shapes_of(make, shape):
    return _shapes(jax.eval_shape(make, jax.ShapeDtypeStruct(shape, jnp.float32)))


def _shapes(tree):
    return [jnp.shape(leaf) for leaf in jax.tree.leaves(tree)]


def _text(shapes):
    return ", ".join(str(list(shape)) for shape in shapes) or "nothing"
