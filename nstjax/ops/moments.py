"""Means under soft masks, Gram matrices and moments of features."""

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from nstjax.ops.arithmetic import matmul, safe_divide


def average(targets: Sequence[Any], weights: Sequence[float]) -> Any:
    """The weighted sum of pytrees whose leaves have one shape.

    Raises:
      ValueError: where they have not.
    """
    shapes = [[leaf.shape for leaf in jax.tree.leaves(target)] for target in targets]
    if any(each != shapes[0] for each in shapes):
        raise ValueError(
            "targets that keep positions are blended of pictures of one size; got "
            f"{' and '.join(str(each[0]) for each in shapes)}"
        )
    return jax.tree.map(lambda *leaves: sum(w * x for w, x in zip(weights, leaves, strict=True)), *targets)


def area(x: jax.Array, where: jax.Array | None) -> jax.Array | float:
    """Number of positions of features [h, w, c] under a mask: a float, h * w without one."""
    return float(x.shape[0] * x.shape[1]) if where is None else jnp.sum(where)


def inverse_area(x: jax.Array, where: jax.Array | None) -> jax.Array | float:
    """1 / area, and 0 for an empty mask."""
    n = area(x, where)
    return 1.0 / n if where is None else safe_divide(1.0, n)


def concentration(x: jax.Array, where: jax.Array | None) -> jax.Array | float:
    """Sum of the squared shares that positions of features [h, w, c] have of a mask; 0 under an empty one.

    Its inverse is how many positions a mask is worth: h * w without one or under a constant, as many as there
    are ones in a binary one (Kish's effective size of a weighted sample).
    """
    if where is None:
        return 1.0 / (x.shape[0] * x.shape[1])
    return jnp.sum(jnp.square(where * inverse_area(x, where)))


def masked_mean(x: jax.Array, where: jax.Array | None = None) -> jax.Array:
    """Mean of values [h, w, ...] over the positions of a soft mask [h, w]; 0 under an empty mask."""
    if where is None:
        return jnp.mean(x, axis=(0, 1))
    weights = where.reshape(where.shape + (1,) * (x.ndim - 2))
    return jnp.sum(weights * x, axis=(0, 1)) * inverse_area(x, where)


def gram_matrix(x: jax.Array, *, where: jax.Array | None = None) -> jax.Array:
    """Channel co-activations [c, c] of features [h, w, c], divided by the number of positions.

    With a soft mask [h, w], positions are weighted and divided by the mask's sum; under an empty mask
    the matrix is 0. Computed in full float32 precision on every device.
    """
    flat = x.reshape(-1, x.shape[-1])
    weights = None if where is None else where.reshape(-1, 1).astype(x.dtype)
    return _products(flat, weights) * inverse_area(x, where)


@jax.custom_jvp
def _products(x, weights):
    """Sum [c, c] over positions of the outer products of x [n, c] with itself, weighted by [n, 1]."""
    return matmul((x if weights is None else x * weights).T, x)


@functools.partial(_products.defjvp, symbolic_zeros=True)
def _products_tangent(primals, tangents):
    # Both factors are one array: half of the derivative gives the other half, transposed.
    (x, weights), (dx, dweights) = primals, tangents
    left, product = x if weights is None else x * weights, _products(x, weights)
    half = jnp.zeros_like(product) if _is_zero(dx) else matmul(left.T, dx)
    tangent = half + half.T
    return product, tangent if _is_zero(dweights) else tangent + matmul((x * dweights).T, x)


def _is_zero(tangent):
    return tangent is None or isinstance(tangent, jax.custom_derivatives.SymbolicZero)


def raw_moments(x: jax.Array, *, where: jax.Array | None = None) -> tuple[jax.Array, jax.Array]:
    """Mean [c] and second moment [c, c] of features [h, w, c] over the positions of a soft mask [h, w].

    The covariance is computed of centred features and the product of the means added: the difference of
    two raw sums would lose it in float32.
    """
    mean = masked_mean(x, where)
    return mean, gram_matrix(x - mean[None, None], where=where) + jnp.outer(mean, mean)


def covariance_matrix(moments: tuple[jax.Array, jax.Array]) -> jax.Array:
    """The covariance [c, c] that belongs to raw moments."""
    mean, second = moments
    return second - jnp.outer(mean, mean)


class Moments(NamedTuple):
    """Moments of the features of a picture, or of a tile; a pytree.

    Attributes:
      n: the number of positions, or the sum of the mask.
      mean: [c].
      spread: the covariance [c, c], or variances [c], divided by n; None if unused.
      least, most: of all channels together, or None.
      concentration: of the mask, the sum of the squared shares of positions; None if unused.
    """

    n: Any
    mean: Any
    spread: Any = None
    least: Any = None
    most: Any = None
    concentration: Any = None


def merge(a: Moments, b: Moments) -> Moments:
    """The `Moments` of two tiles together (Chan, Golub & LeVeque 1983)."""
    n = a.n + b.n
    share, apart = safe_divide(b.n, n), b.mean - a.mean
    spread = a.spread
    if spread is not None:
        between = jnp.outer(apart, apart) if spread.ndim == 2 else jnp.square(apart)
        spread = (1 - share) * a.spread + share * b.spread + share * (1 - share) * between
    least, most = a.least, a.most
    if least is not None:  # of all features where a mask is empty
        both = (a.n > 0) == (b.n > 0)
        one = jnp.where(b.n > 0, jnp.stack([b.least, b.most]), jnp.stack([a.least, a.most]))
        least = jnp.where(both, jnp.minimum(a.least, b.least), one[0])
        most = jnp.where(both, jnp.maximum(a.most, b.most), one[1])
    concentration = a.concentration
    if concentration is not None:
        concentration = jnp.square(1 - share) * concentration + jnp.square(share) * b.concentration
    return Moments(n, a.mean + share * apart, spread, least, most, concentration)
