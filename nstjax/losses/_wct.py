"""Distance to the features that a transform makes of the picture's own."""

import jax

from nstjax.losses._base import Loss
from nstjax.losses._feature import feature
from nstjax.transforms._wct import CONVENTIONS, wct


def wct_distance(*, convention: str = "universal_style_transfer", iterations: int | None = None) -> Loss:
    r"""Mean squared difference of features and themselves, whitened and coloured.

    .. math:: \frac1{NC} \sum_{pc} (F_{pc} - W(F)_{pc})^2, \quad
              W(F) = \Sigma_s^{1/2} \Sigma_F^{-1/2} (F - \mu_F) + \mu_s

    Divided by positions and channels. W(F) is held constant: the gradient is 2 (F - W(F)) / (N C), a step
    towards the transformed features. A blend of styles is that of `nstjax.transforms.wct`.

    The same distance to the features that AdaIN makes is `mean_std`, and that to those of a histogram
    match `histogram`, in value and in gradient: those maps transport as cheaply as can be, this one does
    not. To compare with the transformed features of the content instead, give a `Term` a transform.

    Args:
      convention: one of `CONVENTIONS` of `nstjax.transforms.wct`, the arguments of the transform.
      iterations: of Newton-Schulz, for accelerators; by default roots are exact.

    Returns:
      A `Loss`. Its target is that of the transform: whether there is a style [], mean [c], root [c, c];
      `score` takes features [h, w, c] of any size.

    Raises:
      ValueError: for an unknown `convention`, and for `iterations` below 1.

    References:
      Li et al. 2017, https://arxiv.org/abs/1705.08086 (the transform).

    >>> import jax.numpy as jnp
    >>> loss, x = wct_distance(), jnp.array([-1.0, 1.0]).reshape(1, 2, 1)
    >>> round(float(loss.score(3 * x + 2, loss.target(x))), 3)
    8.0
    """
    if convention not in CONVENTIONS:
        raise ValueError(f"convention must be one of {', '.join(CONVENTIONS)}; got {convention!r}")
    transform, distance = wct(**CONVENTIONS[convention], iterations=iterations), feature()

    def score(x, target, *, where=None, key=None):
        transformed = transform.map(x, target, where=where)
        return distance.score(x, jax.lax.stop_gradient(transformed), where=where)

    return Loss(target=transform.style, score=score, blend=transform.blend)
