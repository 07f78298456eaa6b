"""Feature reconstruction: the content loss."""

import jax.numpy as jnp

from nstjax.losses._base import Loss
from nstjax.ops.moments import inverse_area, masked_mean


def feature() -> Loss:
    r"""Mean squared difference of features.

    .. math:: \frac{1}{NC} \sum_{pc} (F_{pc} - P_{pc})^2

    Divided by positions and channels, a mean: the size of picture and tap do not change its scale.
    This is what NeuralImageSynthesis, neural-style and pystiche compute. The target is the features.

    Returns:
      A `Loss`. Its target is the features [h, w, c]; `score` takes features [h, w, c] of that size.

    References:
      Gatys et al. 2016, https://arxiv.org/abs/1508.06576 (as a sum, see `feature_sum`).

    >>> import jax.numpy as jnp
    >>> loss, x = feature(), jnp.ones((4, 4, 3))
    >>> float(loss.score(x + 2.0, loss.target(x)))
    4.0
    """

    def score(x, target, *, where=None, key=None):
        return jnp.mean(masked_mean(jnp.square(x - target), where))

    return Loss(target=_features, score=score)


def feature_sum() -> Loss:
    r"""Half the summed squared difference of features, the content loss as papers write it.

    .. math:: \frac12 \sum_{pc} (F_{pc} - P_{pc})^2

    Not divided by anything: it grows with the picture. Equals `feature` times N C / 2.

    Returns:
      A `Loss`. Its target is the features [h, w, c]; `score` takes features [h, w, c] of that size.

    References:
      Gatys et al. 2016, eq. 1, https://arxiv.org/abs/1508.06576

    >>> import jax.numpy as jnp
    >>> loss, x = feature_sum(), jnp.ones((4, 4, 3))
    >>> float(loss.score(x + 2.0, loss.target(x)))
    96.0
    """

    def score(x, target, *, where=None, key=None):
        weights = 1.0 if where is None else where[..., None]
        total = 0.5 * jnp.sum(weights * jnp.square(x - target))
        return total * (x.shape[0] * x.shape[1]) * inverse_area(x, where)

    return Loss(target=_features, score=score)


def feature_deep_photo() -> Loss:
    r"""Summed squared difference divided by 2 C N, the content loss of Deep Photo Style Transfer.

    .. math:: \frac{1}{2NC} \sum_{pc} (F_{pc} - P_{pc})^2

    Half of `feature`.

    Returns:
      A `Loss`. Its target is the features [h, w, c]; `score` takes features [h, w, c] of that size.

    References:
      Luan et al. 2017, https://arxiv.org/abs/1703.07511

    >>> import jax.numpy as jnp
    >>> loss, x = feature_deep_photo(), jnp.ones((4, 4, 3))
    >>> float(loss.score(x + 2.0, loss.target(x)))
    2.0
    """
    mean_square = feature()

    def score(x, target, *, where=None, key=None):
        return 0.5 * mean_square.score(x, target, where=where)

    return Loss(target=_features, score=score)


def _features(x, *, where=None):
    return x
