"""Markov random field: every patch of the picture to the patch of the style that is most like it."""

import jax
import jax.numpy as jnp

from nstjax.losses._base import Loss, zero_if_empty
from nstjax.ops.arithmetic import matmul, safe_divide
from nstjax.ops.pairwise import nearest
from nstjax.ops.samples import Samples, pool

# The sum of each source, as a multiple of a mean. n: positions of the tap, c: channels, patches: of the
# picture, size: of a patch. With it, whether entries are divided by how many patches overlap there.
MRF_CONVENTIONS = {
    # mean over patches and their entries
    "mean": (lambda n, c, patches, size: 1.0, False),
    # sum over patches and their entries: Li & Wand 2016, paper
    "li_wand2016": (lambda n, c, patches, size: patches * size**2 * c, False),
    # half the sum over positions of means over the patches there: the gradient of chuanli11/CNNMRF
    "cnnmrf": (lambda n, c, patches, size: 0.5 * n * c, True),
}


def mrf(*, size: int = 3, stride: int = 2, convention: str = "mean") -> Loss:
    r"""Squared distance of each patch to the patch of the style with the largest cosine.

    .. math:: \frac{s}{P K^2 C} \sum_i \|\Psi_i(F) - \Psi_{NN(i)}(S)\|^2, \quad
              NN(i) = \arg\max_j \frac{\Psi_i(F) \cdot \Psi_j(S)}{\|\Psi_i(F)\| \|\Psi_j(S)\|}

    :math:`\Psi_i` are P patches of K x K positions. A mean over patches and their entries, times s, which
    is 1 by default. The choice of the nearest has no gradient; a patch of zeros has cosine 0 with all.

    The paper also matches rotated and scaled copies of the style. They are pictures that are encoded anew,
    so here they are further styles: `blend` pools the patches of all, whatever their weights above 0.
    A mask weights a patch by its least position.

    Args:
      size: K. A map smaller than a patch is filled up with zeros below and to the right.
      stride: positions from patch to patch, of both; the last patch touches the border. 2 in CNNMRF,
        1 in the paper.
      convention: one of `MRF_CONVENTIONS`, which states s. `cnnmrf` averages the patches that overlap at a
        position, as that program averages their gradients. Sums are over the picture, masked or not.

    Returns:
      A `Loss`. Its target is `Samples`, p patches [p, size * size * c] and weights [p] or None; `score`
      takes features [h, w, c] of any size.

    Raises:
      ValueError: for `size` or `stride` below 1, and for an unknown `convention`.

    Differs from the code: CNNMRF computes a gradient and no value.

    References:
      Li & Wand 2016, eq. 2 and 3, https://arxiv.org/abs/1601.04589

    >>> import jax.numpy as jnp
    >>> loss, x = mrf(), jnp.ones((5, 5, 3))
    >>> float(loss.score(3 * x, loss.target(x)))
    4.0
    """
    for name, number in (("size", size), ("stride", stride)):
        if number < 1:
            raise ValueError(f"{name} must be at least 1; got {number}")
    if convention not in MRF_CONVENTIONS:
        raise ValueError(f"convention must be one of {', '.join(MRF_CONVENTIONS)}; got {convention!r}")
    scale, averaged = MRF_CONVENTIONS[convention]

    def target(x, *, where=None):
        weights = None if where is None else jnp.min(_patches(where[..., None], size, stride, 1.0), -1)
        return Samples(_patches(x, size, stride), weights)

    def score(x, style, *, where=None, key=None):
        (h, w, c), (values, weights) = x.shape, target(x, where=where)
        entries = jnp.ones((len(values), size**2), x.dtype) * (1.0 if weights is None else weights[:, None])
        if averaged:
            entries = _per_position(entries, (h, w), size, stride)
        difference = values - style.values[_most_alike(values, style)]
        square = jnp.mean(jnp.square(difference).reshape(*entries.shape, c), -1)
        value = safe_divide(jnp.sum(entries * square), jnp.sum(entries))
        return zero_if_empty(scale(h * w, c, len(values), size) * value, x, where)

    return Loss(target=target, score=score, blend=pool)


def _patches(x, size, stride, fill=0.0):
    """Patches [p, size * size * c] of features [h, w, c], row by row, the last ones at the borders."""
    h, w, c = x.shape
    x = jnp.pad(x, ((0, max(0, size - h)), (0, max(0, size - w)), (0, 0)), constant_values=fill)
    rows, columns = (jnp.asarray(_starts(length, size, stride)) for length in x.shape[:2])
    offsets = [(dy, dx) for dy in range(size) for dx in range(size)]
    return jnp.stack([x[rows + dy][:, columns + dx] for dy, dx in offsets], 2).reshape(-1, size * size * c)


def _starts(length, size, stride):
    last = length - size
    return [*range(0, last, stride), last]


def _per_position(entries, shape, size, stride):
    """Weights [p, size * size] of the entries of patches, divided by their sum at a position."""

    def patches(x):
        return _patches(x[..., None], size, stride)

    spread = jax.linear_transpose(patches, jnp.zeros(shape, entries.dtype))
    total = patches(*spread(entries))
    return safe_divide(entries, total)


def _most_alike(values, style):
    """Index [p] of the patch of the style with the largest cosine; lengths of the values do not matter."""
    length = jnp.sqrt(jnp.sum(jnp.square(style.values), -1))
    inverse = safe_divide(1, length)

    def distances(row, patches):
        return -matmul(row, patches.T) * inverse

    return nearest(values, style.values, style.weights, distances)
