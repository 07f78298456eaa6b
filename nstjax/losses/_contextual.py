"""The contextual loss."""

import jax
import jax.numpy as jnp

from nstjax.losses._base import Loss, zero_if_empty
from nstjax.ops.arithmetic import safe_divide
from nstjax.ops.pairwise import by_rows, squared_distances, unit
from nstjax.ops.samples import Samples, as_samples, check_counts, draw, normalised, pool


def contextual(*, bandwidth: float = 0.5, samples: int | None = 65**2, eps: float = 1e-5) -> Loss:
    r"""How well every position of the target is the most similar one to some position of the picture.

    .. math:: -\log \frac1M \sum_j \max_i \frac{w_{ij}}{\sum_k w_{ik}}, \quad
              w_{ij} = \exp \frac{1 - \tilde{d}_{ij}}{h}, \quad
              \tilde{d}_{ij} = \frac{d_{ij}}{\min_k d_{ik} + \epsilon}, \quad
              d_{ij} = \frac{1 - \cos(F_i - \mu, S_j - \mu)}{2}

    i runs over the picture, j and k over the target; mu is the mean of the target, which both are centred
    by. A mean over positions of the target. A mask of the target weights that mean, mu, and w by its second
    index; positions of weight 0 are left out of it all, and other weights of the picture change nothing,
    for the best i is taken. Cosines do not see how strong a feature is: at relu1_1, where that is contrast,
    pixels become speckles. The authors read conv3_2 and conv4_2.

    Args:
      bandwidth: h.
      samples: positions of each, drawn with `key`, the same of both where they are of one size; None for
        all. The authors take 65 x 65 of a tap that is larger.
      eps: added to the distance of the nearest. In float32 distances are known to 1e-7, that is 1 % of it.

    Returns:
      A `Loss`. Its target is `Samples`, values [n, c] and weights [n] or None; `score` takes features
      [h, w, c] of any size.

    Raises:
      ValueError: for `samples` below 1, and for `bandwidth` or `eps` that is not above 0.

    References:
      Mechrez et al. 2018, https://arxiv.org/abs/1803.02077, and roimehrez/contextualLoss

    >>> import jax.numpy as jnp
    >>> loss, x = contextual(), jnp.eye(4).reshape(2, 2, 4)
    >>> float(loss.score(x[::-1], loss.target(x))) < 1e-6
    True
    """
    check_counts(samples=samples)
    for name, value in (("bandwidth", bandwidth), ("eps", eps)):
        if not value > 0:
            raise ValueError(f"{name} must be above 0; got {value}")

    def score(x, target, *, where=None, key=None):
        ours, theirs = (draw(s, samples, key) for s in (as_samples(x, where=where), target))
        v = jnp.ones(len(theirs.values), x.dtype) if theirs.weights is None else _relative(theirs.weights)
        centre = (normalised(theirs) @ theirs.values)[None]
        a, b = (unit(s.values - centre) for s in (ours, theirs))
        both = jax.lax.stop_gradient((Samples(a, ours.weights), Samples(b, v)))
        best = _best(*both, bandwidth, eps)

        def similarity(i, row):
            w, _, total = _row(row, b, v, bandwidth, eps)
            return jnp.sum(jnp.where(best == i, v * v * w, 0.0)) / total

        total = jnp.sum(by_rows(similarity, len(b), jnp.arange(len(a)), a))
        mean = jnp.where(total > 0, total, 1.0) / jnp.where(total > 0, jnp.sum(v), 1.0)
        return zero_if_empty(jnp.maximum(-jnp.log(mean), 0.0), x, where)

    return Loss(target=as_samples, score=score, blend=pool)


def _relative(weights):
    """Weights over the largest of them, which have a square in float32."""
    return safe_divide(weights, jnp.max(weights))


def _best(ours, theirs, bandwidth, eps):
    """The i [m] that is most similar to each j, of `Samples` without a centre and of length 1."""
    least, total = by_rows(
        lambda row: _row(row, theirs.values, theirs.weights, bandwidth, eps)[1:],
        len(theirs.values),
        ours.values,
    )

    def column(row):
        d = 0.25 * squared_distances(row, ours.values)
        similarity = (least - d) / ((least + eps) * bandwidth) - jnp.log(total)
        return jnp.argmax(
            similarity if ours.weights is None else jnp.where(ours.weights > 0, similarity, -jnp.inf)
        )

    return by_rows(column, len(ours.values), theirs.values)


def _row(row, values, weights, bandwidth, eps):
    """Of one position: w [m] over its largest, the least distance, and the weighted sum of that w."""
    d = 0.25 * squared_distances(row, values)
    least = jnp.min(d, where=weights > 0, initial=1.0)
    w = jnp.exp(-jnp.maximum(d - least, 0.0) / ((least + eps) * bandwidth))
    total = weights @ w
    return w, least, jnp.where(total > 0, total, 1.0)
