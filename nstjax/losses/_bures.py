"""Wasserstein distance of Gaussians: the Bures metric between covariances."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp

from nstjax.losses._base import Loss, of_averages
from nstjax.ops.arithmetic import matmul, safe_divide
from nstjax.ops.moments import covariance_matrix, raw_moments
from nstjax.ops.roots import newton_schulz, newton_schulz_lyapunov, root

# Published losses: a factor on the squared distance, the multiple of I added to both covariances, and the
# root by iterations.
CONVENTIONS: dict[str, tuple[Callable, float, Callable]] = {
    # sums over channels: the squared distance itself
    "wasserstein": (lambda c: 1.0, 0.0, lambda a, iterations: newton_schulz(a, iterations)[0]),
    # means over channels: crowsonkb/style-transfer-pytorch (with iterations=12)
    "crowsonkb": (lambda c: 1 / c, 1e-4, newton_schulz_lyapunov),
}


def wasserstein_gaussian(*, convention: str = "wasserstein", iterations: int | None = None) -> Loss:
    r"""Squared 2-Wasserstein distance between Gaussians with the moments of features.

    .. math:: s(C) \left( \|\mu - \mu'\|^2 + \mathrm{tr} \left( \Sigma + \Sigma' -
              2 (\Sigma'^{1/2} \Sigma \Sigma'^{1/2})^{1/2} \right) \right)

    Covariances are divided by the number of positions; a sum over channels, unless the convention says
    otherwise. The gradient is that of optimal transport, and 0 along directions in which the features do
    not vary. The target is raw moments, which average linearly.

    Args:
      convention: one of `CONVENTIONS`, which states s and the multiple of I added to both covariances.
      iterations: of Newton-Schulz for both roots, for accelerators; by default they are exact. The value is
        then a difference of traces, in float32 off by 1e-6 of them, and by more for too few iterations. The
        gradient is that of the iterations, or with "crowsonkb" what that program computes in its place, as
        many steps towards the solution of a Lyapunov equation: with its 12 it may be tens of per cent off.

    Returns:
      A `Loss`. Its target is (mean [c], second moment [c, c]); `score` takes features [h, w, c] of any
      size.

    Raises:
      ValueError: for an unknown `convention`, and for `iterations` below 1.

    References:
      Olkin & Pukelsheim 1982, https://doi.org/10.1016/0024-3795(82)90112-4
      crowsonkb/style-transfer-pytorch, https://github.com/crowsonkb/style-transfer-pytorch

    >>> import jax.numpy as jnp
    >>> loss, x = wasserstein_gaussian(), jnp.array([-1.0, 1.0]).reshape(1, 2, 1)
    >>> round(float(loss.score(3 * x + 2, loss.target(x))), 3)
    8.0
    """
    if convention not in CONVENTIONS:
        raise ValueError(f"convention must be one of {', '.join(CONVENTIONS)}; got {convention!r}")
    if iterations is not None and iterations < 1:
        raise ValueError(f"iterations must be at least 1; got {iterations}")
    scale, ridge, iterate = CONVENTIONS[convention]

    def distance(ours, theirs):
        a, b = (covariance_matrix(moments) for moments in (ours, theirs))
        means = jnp.sum(jnp.square(ours[0] - theirs[0]))
        if iterations is None:
            covariances = _bures(a, b, ridge)
        else:
            eye = ridge * jnp.eye(len(a), dtype=a.dtype)
            covariances = _bures_by_products(a + eye, b + eye, lambda m: iterate(m, iterations))
        return scale(len(a)) * (means + covariances)

    return of_averages(raw_moments, distance)


@functools.partial(jax.custom_jvp, nondiff_argnums=(2,))
def _bures(a, b, ridge):
    """tr(a + b - 2 (b^1/2 a b^1/2)^1/2) of covariances [c, c] plus a ridge, as a sum of squares."""
    return _transport(a, b, ridge)[0]


@_bures.defjvp
def _bures_tangent(ridge, primals, tangents):
    (a, b), (da, db) = primals, tangents
    value, forth, back = _transport(a, b, ridge)
    return value, jnp.trace(da) - jnp.vdot(forth, da) + jnp.trace(db) - jnp.vdot(back, db)


def _transport(a, b, ridge):
    """The squared distance of a and b, with a ridge each, the symmetric map of a to b, and the one back.

    b^1/2 a^1/2 = u diag(s) v. The eigenvalues of b^1/2 a b^1/2 are s^2, which float32 would lose where s
    is below 3e-4 of the largest.
    """
    root_a, root_b = root(a, 0.0, ridge), root(b, 0.0, ridge)
    u, s, v = jnp.linalg.svd(matmul(root_b, root_a))
    some = s > len(s) * jnp.finfo(s.dtype).eps * s[0]
    weights = safe_divide(1, s, where=some)[None]
    left, right = matmul(root_b, u), matmul(root_a, v.T)
    value = jnp.sum(jnp.square(right - left))
    return value, matmul(left * weights, left.T), matmul(right * weights, right.T)


def _bures_by_products(a, b, root):
    root_b = root(b)
    cross = root(matmul(matmul(root_b, a), root_b))
    return jnp.trace(a) + jnp.trace(b) - 2 * jnp.trace(cross)
