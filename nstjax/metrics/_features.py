"""Statistics of features."""

import jax
import jax.numpy as jnp

from nstjax.metrics._base import differences, measured, root
from nstjax.ops.arithmetic import safe_divide
from nstjax.ops.moments import gram_matrix


@measured
def channel_gaps(x: jax.Array, reference: jax.Array) -> dict[str, jax.Array]:
    """Differences of the mean and the standard deviation of each channel from those of a reference.

    Args:
      x: features [h, w, c].
      reference: features [h', w', c].

    Returns:
      {"mean": [c], "deviation": [c]}: differences, in units of the root mean square over channels of the
      reference's standard deviations.
    """
    unit = jnp.sqrt(jnp.mean(jnp.var(reference, (0, 1))))
    return {name: gap / unit for name, gap in differences(x, reference).items()}


@measured
def gram_gap(
    x: jax.Array,
    reference: jax.Array,
    *,
    where: jax.Array | None = None,
    reference_where: jax.Array | None = None,
) -> jax.Array:
    r"""Relative distance of Gram matrices: how far the style of features is from that of a reference.

    .. math:: \lVert G - A \rVert_F / \lVert A \rVert_F

    Args:
      x: features [h, w, c].
      reference: features [h', w', c].
      where: [h, w] in [0, 1], the positions that count; all by default.
      reference_where: [h', w'], the same of the reference.

    Returns:
      A scalar: 0 for the same Gram matrix, 1 for a matrix of 0; 0 for a reference of 0.

    >>> import jax.numpy as jnp
    >>> float(gram_gap(2 * jnp.ones((4, 4, 3)), jnp.ones((2, 5, 3))))
    3.0
    """
    ours, theirs = gram_matrix(x, where=where), gram_matrix(reference, where=reference_where)
    return safe_divide(root(jnp.sum(jnp.square(ours - theirs))), root(jnp.sum(jnp.square(theirs))))
