"""Means under soft masks, Gram matrices and moments: what losses and transforms measure features with."""

import functools

import jax
import jax.numpy as jnp


def average(targets, weights):
    """The weighted sum of pytrees whose leaves have one shape."""
    return jax.tree.map(lambda *leaves: sum(w * x for w, x in zip(weights, leaves, strict=True)), *targets)


def area(x, where):
    """Number of positions of features [h, w, c] under a mask: a float, h * w without one."""
    return float(x.shape[0] * x.shape[1]) if where is None else jnp.sum(where)


def inverse_area(x, where):
    """1 / area, and 0 for an empty mask."""
    n = area(x, where)
    if where is None:
        return 1.0 / n
    return jnp.where(n > 0, 1.0 / jnp.where(n > 0, n, 1.0), 0.0)


def masked_mean(x, where=None):
    """Mean of values [h, w, ...] over the positions of a soft mask [h, w]; 0 under an empty mask."""
    if where is None:
        return jnp.mean(x, axis=(0, 1))
    weights = where.reshape(where.shape + (1,) * (x.ndim - 2))
    return jnp.sum(weights * x, axis=(0, 1)) * inverse_area(x, where)


def gram_matrix(x, *, where=None):
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
    return _dot(x if weights is None else x * weights, x)


@functools.partial(_products.defjvp, symbolic_zeros=True)
def _products_tangent(primals, tangents):
    # Both factors are one array: half of the derivative gives the other half, transposed.
    (x, weights), (dx, dweights) = primals, tangents
    left, product = x if weights is None else x * weights, _products(x, weights)
    half = jnp.zeros_like(product) if _is_zero(dx) else _dot(left, dx)
    tangent = half + half.T
    return product, tangent if _is_zero(dweights) else tangent + _dot(x * dweights, x)


def _is_zero(tangent):
    return tangent is None or isinstance(tangent, jax.custom_derivatives.SymbolicZero)


def _dot(a, b):
    return jnp.matmul(a.T, b, precision="highest")


def raw_moments(x, *, where=None):
    """Mean [c] and second moment [c, c] of features [h, w, c] over the positions of a soft mask [h, w].

    The covariance is computed of centred features and the product of the means added: the difference of
    two raw sums would lose it in float32.
    """
    mean = masked_mean(x, where)
    return mean, gram_matrix(x - mean, where=where) + jnp.outer(mean, mean)


def covariance_matrix(moments):
    """The covariance [c, c] that belongs to raw moments."""
    mean, second = moments
    return second - jnp.outer(mean, mean)
