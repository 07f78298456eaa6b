"""What measures have in common: their precision, luminance, roots."""

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import jax
import jax.numpy as jnp

from nstjax.ops.moments import masked_mean
from nstjax.ops.shapes import as_dtype, check_floating, widened

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")


def measured(f: Callable[_Arguments, _Result]) -> Callable[_Arguments, _Result]:
    """f of pictures or features, which are refused as integers and computed with in float32 at least."""

    @functools.wraps(f)
    def measure(*arrays, **named):
        given = [array for array in (*arrays, *named.values()) if array is not None]
        for array in given:
            check_floating("pictures", array)
        arrays, named = jax.tree.map(jnp.asarray, (arrays, named))
        wide, wide_named = widened((arrays, named))
        found = f(*wide, **wide_named)
        if isinstance(found, dict):  # in its order, which a map over trees would sort
            return {name: as_dtype(value, given[0]) for name, value in found.items()}
        return as_dtype(found, given[0])

    return measure


def luminance(x):
    """[h, w] of [h, w, 3]."""
    if x.ndim != 3 or x.shape[-1] != 3:
        raise ValueError(f"a picture must be [h, w, 3]; got {list(x.shape)}")
    return 0.299 * x[..., 0] + 0.587 * x[..., 1] + 0.114 * x[..., 2]


def root(square):
    """The square root, with gradient 0 at 0."""
    positive = square > 0
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, square, 1.0)), 0.0)


def differences(x, reference, where=None, reference_where=None):
    """{"mean": [c], "deviation": [c]} of features [h, w, c], under masks, less those of a reference."""
    ours, theirs = _moments(x, where), _moments(reference, reference_where)
    return {name: ours[name] - theirs[name] for name in ours}


def _moments(x, where):
    mean = masked_mean(x, where)
    return {"mean": mean, "deviation": root(masked_mean(jnp.square(x - mean[None, None]), where))}
