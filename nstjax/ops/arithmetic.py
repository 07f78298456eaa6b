"""Products in full precision; quotients, roots and absolute values whose derivative at 0 is 0."""

import jax
import jax.numpy as jnp


def matmul(a: jax.Array, b: jax.Array) -> jax.Array:
    """The matrix product in full float32 precision on every device, where accelerators default to less."""
    return jnp.matmul(a, b, precision="highest")


def safe_divide(a: jax.Array | float, b: jax.Array | float, *, where: jax.Array | None = None) -> jax.Array:
    """a / b, and 0 where b is not positive, with a derivative of 0 there.

    Args:
      a: the dividend, of a shape that broadcasts with b.
      b: the divisor.
      where: booleans of the shape of b, true where to divide; `b > 0` by default.

    Returns:
      Of the broadcast shape of a and b.

    >>> import jax.numpy as jnp
    >>> safe_divide(6.0, jnp.array([3.0, 0.0])).tolist()
    [2.0, 0.0]
    """
    divides = jnp.asarray(b) > 0 if where is None else where
    return jnp.where(divides, a / jnp.where(divides, b, 1.0), 0.0)


def absolute(a: jax.Array) -> jax.Array:
    """|a|, with a derivative of 0 where a is 0: that of `jnp.abs` is 1 there.

    >>> import jax, jax.numpy as jnp
    >>> jax.vmap(jax.grad(absolute))(jnp.array([-2.0, 0.0, 3.0])).tolist()
    [-1.0, 0.0, 1.0]
    """
    return a * jnp.sign(a)


def safe_sqrt(a: jax.Array) -> jax.Array:
    """The square root of a, at least 0, with a derivative of 0 where a is 0."""
    zero = a == 0
    return jnp.where(zero, 0.0, jnp.sqrt(jnp.where(zero, 1.0, a)))
