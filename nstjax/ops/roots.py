"""Square roots of symmetric positive semidefinite matrices, and their inverses."""

import functools

import jax
import jax.numpy as jnp

from nstjax.ops.arithmetic import matmul, safe_divide

_ROUNDING = 10  # in units of the dtype's epsilon; eigenvalues of a [512, 512] matrix are off by 3


@functools.partial(jax.custom_jvp, nondiff_argnums=(1, 2))
def root(a: jax.Array, cut: float = 0.0, ridge: float = 0.0) -> jax.Array:
    r"""The square root of a symmetric matrix [c, c] plus a ridge, by its eigenvalues.

    .. math:: (A + r I)^{1/2} = V (\Lambda + r I)^{1/2} V^T

    Where there is no ridge, eigenvalues below rounding (about 1e-6 of the largest in float32) count as 0, in
    the derivative too. That solves the Lyapunov equation :math:`S\,dS + dS\,S = dA`, so it is finite
    where eigenvalues repeat or vanish.

    Args:
      a: A, [c, c].
      cut: eigenvalues below it, with the ridge, count as 0 too.
      ridge: r, at least 0. One that is added to the matrix before may be lost to rounding.

    Returns:
      [c, c].

    >>> import jax.numpy as jnp
    >>> root(jnp.diag(jnp.array([4.0, 9.0, 0.0]))).round().diagonal().tolist()
    [2.0, 3.0, 0.0]
    """
    _, roots, vectors = _spectrum(a, cut, ridge)
    return matmul(vectors * roots[None], vectors.T)


@root.defjvp
def _root_tangent(cut, ridge, primals, tangents):
    kept, roots, vectors = _spectrum(primals[0], cut, ridge)
    slopes = safe_divide(1, roots[:, None] + roots[None], where=kept[:, None] | kept[None])
    return matmul(vectors * roots[None], vectors.T), _rotated(slopes, tangents[0], vectors)


@functools.partial(jax.custom_jvp, nondiff_argnums=(1, 2))
def inverse_root(a: jax.Array, cut: float = 0.0, ridge: float = 0.0) -> jax.Array:
    r"""The inverse square root of a symmetric matrix [c, c] plus a ridge, by its eigenvalues.

    .. math:: (A + r I)^{-1/2} = V (\Lambda + r I)^{-1/2} V^T

    Eigenvalues that `root` counts as 0 stay 0: the inverse is that on the rest of the space.

    Args:
      a, cut, ridge: as of `root`.

    Returns:
      [c, c].

    >>> import jax.numpy as jnp
    >>> inverse_root(jnp.diag(jnp.array([4.0, 16.0, 0.0]))).round(3).diagonal().tolist()
    [0.5, 0.25, 0.0]
    """
    kept, roots, vectors = _spectrum(a, cut, ridge)
    return matmul(vectors * safe_divide(1, roots, where=kept)[None], vectors.T)


@inverse_root.defjvp
def _inverse_root_tangent(cut, ridge, primals, tangents):
    kept, roots, vectors = _spectrum(primals[0], cut, ridge)
    inverse = safe_divide(1, roots, where=kept)
    both = (
        -inverse[:, None]
        * inverse[None]
        * safe_divide(1, roots[:, None] + roots[None], where=kept[:, None] & kept[None])
    )
    one = jnp.where(kept[:, None] ^ kept[None], (inverse[:, None] + inverse[None]) ** 3, 0.0)
    return matmul(vectors * inverse[None], vectors.T), _rotated(both + one, tangents[0], vectors)


def newton_schulz(a: jax.Array, iterations: int) -> tuple[jax.Array, jax.Array]:
    r"""The square root of a symmetric matrix [c, c] and its inverse, by products alone.

    .. math:: T = \tfrac12 (3 I - Z Y), \quad Y \leftarrow Y T, \quad Z \leftarrow T Z

    from :math:`Y = A / \|A\|_F, Z = I`. Quicker than eigenvalues on accelerators. Eigenvalues below
    :math:`1.5^{-2 k} \|A\|_F` after k iterations are not there yet: their roots come out low. In float32
    more than 20 iterations need eigenvalues above rounding, such as those of a matrix to which a multiple
    of I was added.

    Args:
      a: [c, c].
      iterations: how many.

    Returns:
      (root, inverse root), each [c, c].

    References:
      Higham 2008, eq. 6.35, https://doi.org/10.1137/1.9780898717778

    >>> import jax.numpy as jnp
    >>> newton_schulz(jnp.diag(jnp.array([4.0, 9.0])), 12)[0].round().diagonal().tolist()
    [2.0, 3.0]
    """
    square = jnp.sum(jnp.square(a))
    norm = jnp.sqrt(jnp.where(square > 0, square, 1.0))
    eye = jnp.eye(len(a), dtype=a.dtype)

    def step(_, pair):
        y, z = pair
        t = 1.5 * eye - 0.5 * matmul(z, y)
        return matmul(y, t), matmul(t, z)

    y, z = jax.lax.fori_loop(0, iterations, step, (a / norm, eye))
    return y * jnp.sqrt(norm), z / jnp.sqrt(norm)


@functools.partial(jax.custom_jvp, nondiff_argnums=(1,))
def newton_schulz_lyapunov(a: jax.Array, iterations: int) -> jax.Array:
    r"""The root of `newton_schulz`, with the derivative that solves the Lyapunov equation by as many steps.

    .. math:: S\,dS + dS\,S = dA: \quad Q \leftarrow \tfrac12 (3 Q - Q B^2 - B^2 Q + B Q B), \quad
              B \leftarrow \tfrac12 B (3 I - B^2)

    from :math:`B = S / \|S\|_F, Q = dA / \|S\|_F`; dS is half of the last Q. It is neither the derivative of
    the steps nor the exact one, where an eigenvalue of the root is far below its norm.

    References:
      Lin & Maji 2017, https://arxiv.org/abs/1707.06772, and msubhransu/matrix-sqrt
    """
    return newton_schulz(a, iterations)[0]


@newton_schulz_lyapunov.defjvp
def _newton_schulz_lyapunov_tangent(iterations, primals, tangents):
    s = newton_schulz(primals[0], iterations)[0]
    square = jnp.sum(jnp.square(s))
    norm = jnp.sqrt(jnp.where(square > 0, square, 1.0))

    def step(b, _):
        return 1.5 * b - 0.5 * matmul(b, matmul(b, b)), b

    def solve(q, b):
        square = matmul(b, b)
        return 1.5 * q - 0.5 * (matmul(q, square) + matmul(square, q) - matmul(matmul(b, q), b)), None

    # Every map of Q is symmetric and commutes with the others, so that this is its transpose too.
    _, steps = jax.lax.scan(step, s / norm, length=iterations)
    q, _ = jax.lax.scan(solve, tangents[0] / norm, steps)
    return s, q / 2


def _spectrum(a, cut, ridge):
    """Which eigenvalues count, the square roots of those, 0 for the others, and eigenvectors."""
    values, vectors = jnp.linalg.eigh(a)
    if ridge:
        least, values = cut, jnp.maximum(values, 0.0) + ridge
    else:
        least = jnp.maximum(_ROUNDING * jnp.finfo(a.dtype).eps * values[-1], cut)
    kept = values > least
    return kept, jnp.where(kept, jnp.sqrt(jnp.where(kept, values, 1.0)), 0.0), vectors


def _rotated(slopes, tangent, vectors):
    """The tangent with its entries between eigenvectors multiplied by slopes."""
    return matmul(matmul(vectors, slopes * matmul(matmul(vectors.T, tangent), vectors)), vectors.T)
