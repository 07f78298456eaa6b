"""Static checks of shapes, made where a loss or a transform is called."""

import functools

import jax
import jax.numpy as jnp


def check_features(x, where=None):
    """Raises ValueError for what is not features [h, w, c], or a mask of them that is not [h, w]."""
    shape = jnp.shape(x)
    if len(shape) != 3:
        raise ValueError(f"features must be [h, w, c]; got {list(shape)} (jax.vmap maps over a batch)")
    if where is not None and jnp.shape(where) != shape[:2]:
        raise ValueError(f"where must be [h, w] = {list(shape[:2])}; got {list(jnp.shape(where))}")


def check_target(make, x, target, *, pooled):
    """Raises ValueError for a target that cannot be compared with features x [h, w, c].

    Args:
      make: `make(features) -> target`.
      x: the features.
      target: must have the shapes of `make(x)`.
      pooled: the target is samples, of any number: only the channels of the first array must agree.
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
