"""Maximum mean discrepancy under the Gaussian kernel, of all pairs or of random ones."""

import jax
import jax.numpy as jnp

from nstjax.losses._base import Loss, zero_if_empty
from nstjax.ops.arithmetic import safe_divide
from nstjax.ops.pairwise import by_rows, squared_distances
from nstjax.ops.samples import as_samples, normalised, pool


def mmd_gaussian(*, gamma: float | None = None, multi: float = 1.0) -> Loss:
    r"""The discrepancy under the kernel exp(-gamma ||x - y||^2), over all pairs.

    .. math:: \frac{1}{N^2} \sum_{ij} k(F_i, F_j) + \frac{1}{M^2} \sum_{ij} k(S_i, S_j)
              - \frac{2}{NM} \sum_{ij} k(F_i, S_j)

    The biased estimate, at least 0 and at most 2: means over pairs, those of a position with itself
    among them. A mask weights a pair by the product of its ends. Takes N (N + M) C multiplications, and
    M^2 C more for the style's own pairs.

    Args:
      gamma: of the kernel; None for `multi` over the mean squared distance of pairs, averaged over the
        three sorts of pairs as they are summed and taken afresh at every call, without a gradient.
      multi: above 0; only read where gamma is None.

    Returns:
      A `Loss`. Its target is `Samples`, values [n, c] and weights [n] or None; `score` takes features
      [h, w, c] of any size.

    Raises:
      ValueError: for `gamma` or `multi` that is not above 0.

    Differs from the code: it takes random pairs, see `mmd_gaussian_paired`.

    References:
      Li et al. 2017, sec. 4.1, https://arxiv.org/abs/1701.01036

    >>> import jax.numpy as jnp
    >>> loss, x = mmd_gaussian(gamma=0.5), jnp.zeros((4, 4, 1))
    >>> round(float(loss.score(x + 2, loss.target(x))), 5)
    1.72933
    """
    _check(gamma, multi)

    def score(x, target, *, where=None, key=None):
        ours = as_samples(x, where=where)
        w, v = normalised(ours), normalised(target)
        # Distances are the same from wherever they are seen, and more precise from near by.
        centre = jax.lax.stop_gradient(v @ target.values)[None]
        a, b = ours.values - centre, target.values - centre
        width = _bandwidth(_mean_squared_distance(a, w, b, v), multi) if gamma is None else gamma
        value = _mean(a, w, a, w, width) + _mean(b, v, b, v, width) - 2 * _mean(a, w, b, v, width)
        return zero_if_empty(jnp.maximum(value, 0.0), x, where)

    return Loss(target=as_samples, score=score, blend=pool)


def mmd_gaussian_paired(*, gamma: float | None = None, multi: float = 1.0) -> Loss:
    r"""The discrepancy under the kernel exp(-gamma ||x - y||^2), over as many random pairs as positions.

    .. math:: \frac{1}{P} \sum_p k(F_p, F'_p) + k(S_p, S'_p) - k(F_p, S'_p) - k(S_p, F'_p)

    Positions of both are shuffled with `key` (without one, always alike) and taken two by two: P is half
    the number of positions of the smaller, F_p and F'_p are its p-th two. A mean over them, and an
    unbiased estimate in linear time: neither at least 0 nor 0 at its own target, which only its mean over
    keys is. A mask weights a pair by the product of its ends, and the shuffle puts weight 0 last.

    Args:
      gamma: of the kernel; None for `multi` over the mean squared distance of these pairs, without a
        gradient.
      multi: above 0; only read where gamma is None.

    Returns:
      A `Loss`. Its target is `Samples`, values [n, c] and weights [n] or None; `score` takes features
      [h, w, c] of any size.

    Raises:
      ValueError: for `gamma` or `multi` that is not above 0.

    Differs from the code: it sums over pairs, and its gradient, written by hand, lacks the factor 2.

    References:
      Li et al. 2017, sec. 4.1, https://arxiv.org/abs/1701.01036, and lyttonhao/Neural-Style-MMD

    >>> import jax.numpy as jnp
    >>> loss, x = mmd_gaussian_paired(gamma=0.5), jnp.zeros((4, 4, 1))
    >>> round(float(loss.score(x + 2, loss.target(x))), 5)
    1.72933
    """
    _check(gamma, multi)

    def score(x, target, *, where=None, key=None):
        sample = as_samples(x, where=where)
        keys = jax.random.split(jax.random.key(0) if key is None else key)
        pairs = min(len(sample.values), len(target.values)) // 2
        (x0, x1), (y0, y1) = (_shuffled(s, k, pairs) for s, k in zip((sample, target), keys, strict=True))
        sorts = [_between(*two) for two in ((x0, x1), (y0, y1), (x0, y1), (y0, x1))]
        mean = sum(w @ d for d, w in sorts) / 4
        width = _bandwidth(mean, multi) if gamma is None else gamma
        ours, theirs, across, back = (w @ jnp.exp(-width * d) for d, w in sorts)
        return zero_if_empty(ours + theirs - across - back, x, where)

    return Loss(target=as_samples, score=score, blend=pool)


def _check(gamma, multi):
    for name, value in (("gamma", gamma), ("multi", multi)):
        if value is not None and not value > 0:
            raise ValueError(f"{name} must be above 0; got {value}")


def _bandwidth(mean, multi):
    return safe_divide(multi, jax.lax.stop_gradient(mean))


def _mean_squared_distance(a, w, b, v):
    """Mean over pairs within a, within b, and twice those between, of samples weighted by w and v."""
    means = w @ a, v @ b
    spread = w @ jnp.sum(jnp.square(a - means[0][None]), -1) + v @ jnp.sum(jnp.square(b - means[1][None]), -1)
    return spread + 0.5 * jnp.sum(jnp.square(means[0] - means[1]))


def _mean(a, w, b, v, gamma):
    """Mean of the kernel over all pairs of samples [n, c] and [m, c] with weights that sum to 1."""
    return w @ by_rows(lambda row: jnp.exp(-gamma * squared_distances(row, b)) @ v, len(b), a)


def _shuffled(sample, key, pairs):
    """Two halves of 2 * pairs samples in random order, each ([pairs, c], weights [pairs])."""
    weights = normalised(sample)
    order = jnp.argsort(jax.random.uniform(key, weights.shape) + (weights == 0).astype(weights.dtype))
    return [
        (sample.values[half], weights[half]) for half in (order[: 2 * pairs : 2], order[1 : 2 * pairs : 2])
    ]


def _between(a, b):
    """Squared distances [pairs] of two halves, and the weights of the pairs, which sum to 1, or 0."""
    weights = a[1] * b[1]
    return jnp.sum(jnp.square(a[0] - b[0]), -1), safe_divide(weights, jnp.sum(weights))
