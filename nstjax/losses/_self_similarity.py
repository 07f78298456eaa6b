"""Self-similarity: which positions of a picture are alike."""

import jax
import jax.numpy as jnp

from nstjax.losses._base import Loss, zero_if_empty
from nstjax.ops.arithmetic import absolute
from nstjax.ops.pairwise import by_rows, squared_distances, unit
from nstjax.ops.samples import as_samples, check_counts, draw, normalised


def self_similarity(*, samples: int | None = 1024) -> Loss:
    r"""Absolute difference of the cosine distances between positions, the content loss of STROTSS.

    .. math:: \frac{1}{N^2} \sum_{ij} \Big| \frac{D_{ij}}{\overline{D}_i}
              - \frac{D'_{ij}}{\overline{D'}_i} \Big|, \quad D_{ij} = 1 - \cos(F_i, F_j), \quad
              \overline{D}_i = \frac1N \sum_j D_{ij}

    A mean over pairs, of distances that are divided by the mean of their row. Neither a common rotation
    of the features nor a positive factor at a position changes it. The target is the features; a mask
    weights positions, in all means. A difference within rounding is 0, without a gradient.

    Args:
      samples: positions, the same of both, drawn with `key` at every call; None for all.

    Returns:
      A `Loss`. Its target is the features [h, w, c]; `score` takes features [h, w, c] of that size.

    Raises:
      ValueError: for `samples` below 1.

    Differs from the code: 1e-6 is added to the means of rows, which are 0 where all positions are alike,
    and where all channels of a position are 0 it is at distance 1/2 from those where they are not.

    References:
      Kolkin et al. 2019, eq. 9, https://arxiv.org/abs/1904.12785

    >>> import jax.numpy as jnp
    >>> loss, x = self_similarity(), jnp.eye(4).reshape(2, 2, 4)
    >>> float(loss.score(3 * x, loss.target(x))) < 1e-6
    True
    """
    check_counts(samples=samples)

    def score(x, target, *, where=None, key=None):
        drawn = draw(as_samples(jnp.concatenate([x, target], -1), where=where), samples, key)
        weights = normalised(drawn)
        both = unit(jnp.stack(jnp.split(drawn.values, 2, -1)))

        def difference(rows):
            def relative(row, others):
                distances = 0.5 * squared_distances(row, others)
                return distances / (weights @ distances + 1e-6)

            ours, theirs = jax.vmap(relative)(rows, both)
            # Compiled, the difference of equal numbers may be the rounding of one of them.
            rounding = 4 * jnp.finfo(x.dtype).eps * theirs
            gaps = ours - theirs
            return weights @ absolute(jnp.where(absolute(gaps) > rounding, gaps, 0.0))

        value = weights @ by_rows(difference, both.shape[1], both.swapaxes(0, 1))
        return zero_if_empty(value, x, where)

    return Loss(target=lambda x, *, where=None: x, score=score)
