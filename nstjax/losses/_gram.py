"""Gram matrices, in the normalisation of everyone who published one."""

import jax.numpy as jnp

from nstjax.losses._base import Loss, of_averages
from nstjax.ops.arithmetic import absolute
from nstjax.ops.moments import area, gram_matrix, inverse_area

# Published losses as multiples of the mean squared difference of Gram matrices that
# are divided by the number of positions. c: channels.
CONVENTIONS = {
    # sum d^2 / (4 C^2 N^2) on F'F: Gatys et al. 2015 and 2016, papers
    "gatys2016": lambda c: 1 / 4,
    # sum d^2 / (4 C^2) on F'F / N: leongatys/DeepTextures
    "deep_textures": lambda c: 1 / 4,
    # mean d^2 on F'F / N: leongatys/NeuralImageSynthesis and PytorchNeuralStyleTransfer, pystiche
    "neural_image_synthesis": lambda c: 1.0,
    # mean d^2 on F'F / (C N): jcjohnson/neural-style, lapstyle
    "neural_style": lambda c: 1 / c**2,
    # the same: jcjohnson/fast-neural-style, pytorch/examples
    "fast_neural_style": lambda c: 1 / c**2,
    # sum d^2 on F'F / (C N): Johnson et al. 2016, paper
    "johnson2016": lambda c: 1.0,
    # mean d^2 times the mean of the mask, on (M F)'(M F) / (C N mean M): luanfujun/deep-photo-styletransfer
    "deep_photo": lambda c: 1 / c**2,
    # mean d^2 on F'F: pierre-wilmot/NeuralTextureSynthesis
    "neural_texture_synthesis": lambda c: 1.0,
}
# What some of them are multiplied by besides. n: positions, covered: mean of the mask.
_OF_AREA = {
    "deep_photo": lambda n, covered: covered,
    "neural_texture_synthesis": lambda n, covered: n**2,
}


def gram(*, convention: str = "neural_image_synthesis", shift: float = 0.0) -> Loss:
    r"""Squared distance between Gram matrices.

    .. math:: s(N, C) \cdot \frac{1}{C^2} \sum_{ij} (G_{ij} - A_{ij})^2, \quad
              G = \frac{1}{N} (F + \text{shift})^T (F + \text{shift})

    Each Gram matrix is divided by its own number of positions; the squared difference is a mean over
    the C^2 entries; s is 1 by default, else the factor that makes the result equal to what the named
    source computes.

    A mask weights positions and is divided by its sum, but in `deep_photo`: that program multiplies features
    by the mask, which weighs positions by its square, and divides by its sum. The two are one under masks
    of 0 and 1.

    Args:
      convention: one of `CONVENTIONS`.
      shift: added to the features first (Novak & Nikulin 2016 use -1). With -1, `titu1994` computes the
        default times C^2 / (36 s^4), for s pixels of the picture per position of the tap along one axis.

    Returns:
      A `Loss`. Its target is the Gram matrix [c, c]; `score` takes features [h, w, c] of any size.

    Raises:
      ValueError: for an unknown `convention`.

    Differs from the paper: Gatys et al. divide the unnormalised Gram matrices of both pictures by one
    N. Here each is divided by its own, which is the same where the pictures have one size and the only
    sensible reading where they do not.

    Differs from the code: the gradient that deep-photo-styletransfer writes by hand leaves out one of the two
    factors M. Here it is that of the value, M times theirs at each position.

    References:
      Gatys et al. 2016, eq. 4, https://arxiv.org/abs/1508.06576
      luanfujun/deep-photo-styletransfer, https://github.com/luanfujun/deep-photo-styletransfer

    >>> import jax.numpy as jnp
    >>> loss, x = gram(), jnp.ones((4, 4, 3))
    >>> float(loss.score(2 * x, loss.target(x)))
    9.0
    """
    if convention not in CONVENTIONS:
        raise ValueError(f"convention must be one of {', '.join(CONVENTIONS)}; got {convention!r}")
    scale = CONVENTIONS[convention]

    def target(x, *, where=None):
        if where is None or convention != "deep_photo":
            return gram_matrix(x + shift, where=where)
        h, w, _ = x.shape
        return gram_matrix((x + shift) * where[..., None]) * h * w * inverse_area(x, where)

    def distance(ours, theirs):
        return scale(len(ours)) * jnp.mean(jnp.square(ours - theirs))

    loss = of_averages(target, distance)
    if convention not in _OF_AREA:
        return loss

    def score(x, matrix, *, where=None, key=None):
        n = area(x, where)
        factor = _OF_AREA[convention](n, n / (x.shape[0] * x.shape[1]))
        return factor * loss.score(x, matrix, where=where)

    return Loss(target=target, score=score)


def gram_l1_normalised(*, eps: float = 1e-8) -> Loss:
    r"""Squared distance between Gram matrices over their absolute distance.

    .. math:: \frac{\sum_{ij} (G_{ij} - A_{ij})^2}{\sum_{ij} |G_{ij} - A_{ij}| + \epsilon}, \quad
              G = F^T F / N

    The `StyleLoss` of crowsonkb/style-transfer-pytorch: not a multiple of the squared distance, but
    scaled by its own size, so that the gradient with respect to G has an L1 norm near 1 whatever the
    distance. Gram matrices are divided by positions; both sums run over the C^2 entries. The derivative
    of an absolute value is 0 at 0.

    Args:
      eps: added to the sum of absolute differences.

    Returns:
      A `Loss`. Its target is the Gram matrix [c, c]; `score` takes features [h, w, c] of any size.

    References:
      crowsonkb/style-transfer-pytorch, https://github.com/crowsonkb/style-transfer-pytorch

    >>> import jax.numpy as jnp
    >>> loss, x = gram_l1_normalised(), jnp.ones((4, 4, 3))
    >>> float(loss.score(2 * x, loss.target(x)))
    3.0
    """

    def distance(ours, theirs):
        difference = ours - theirs
        return jnp.sum(jnp.square(difference)) / (jnp.sum(absolute(difference)) + eps)

    return of_averages(gram_matrix, distance)
