"""Losses on the first two moments of features: covariance, correlation, mean and deviation.

Targets are raw moments, mean and second moment, which are those of several styles together when they are
averaged; central ones are taken of them afterwards.
"""

import jax.numpy as jnp

from nstjax.losses._base import Loss, of_averages, zero_if_empty
from nstjax.ops.arithmetic import absolute
from nstjax.ops.moments import covariance_matrix, masked_mean, raw_moments
from nstjax.ops.samples import as_samples, check_counts, draw


def covariance() -> Loss:
    r"""Squared distance between covariance matrices: the centred Gram loss.

    .. math:: \frac{1}{C^2} \sum_{ij} (\Sigma_{ij} - \Sigma'_{ij})^2, \quad
              \Sigma = \frac1N F^T F - \mu \mu^T

    Each matrix is divided by its own number of positions; a mean over the C^2 entries. Adding a constant
    to a channel changes nothing.

    Returns:
      A `Loss`. Its target is (mean [c], second moment [c, c]); `score` takes features [h, w, c] of any
      size.

    >>> import jax.numpy as jnp
    >>> loss, x = covariance(), jnp.ones((4, 4, 3))
    >>> float(loss.score(x, loss.target(5 * x)))
    0.0
    """
    return _distance(covariance_matrix)


def correlation(*, eps: float = 1e-5) -> Loss:
    r"""Squared distance between correlation matrices.

    .. math:: \frac{1}{C^2} \sum_{ij} (R_{ij} - R'_{ij})^2, \quad
              R = D^{-1/2} \Sigma D^{-1/2}, \quad D = \mathrm{diag}(\Sigma) + \epsilon

    A mean over the C^2 entries. Neither gain nor offset of a channel matters, as far as its variance is
    large beside eps; a channel that does not vary is correlated with nothing.

    Args:
      eps: added to the variances.

    Returns:
      A `Loss`. Its target is (mean [c], second moment [c, c]); `score` takes features [h, w, c] of any
      size.

    >>> import jax.numpy as jnp
    >>> loss, x = correlation(), jnp.arange(12.0).reshape(2, 2, 3) ** 2
    >>> float(loss.score(x, loss.target(5 * x + 1))) < 1e-9
    True
    """

    def normalised(moments):
        matrix = covariance_matrix(moments)
        scale = 1 / jnp.sqrt(_variance(matrix) + eps)
        return matrix * scale[:, None] * scale[None]

    return _distance(normalised)


# Published losses as multiples of the mean over channels.
MEAN_STD_CONVENTIONS = {
    # sum over channels: Huang & Belongie 2017, paper and code
    "adain": lambda c: c,
    # mean over channels: lyttonhao/Neural-Style-MMD
    "neural_style_mmd": lambda c: 1,
}


def mean_std(*, convention: str = "neural_style_mmd", eps: float = 1e-6) -> Loss:
    r"""Squared distance between means and standard deviations of channels.

    .. math:: \frac{s(C)}{C} \sum_c (\mu_c - \mu'_c)^2 + (\sigma_c - \sigma'_c)^2, \quad
              \sigma = \sqrt{\mathrm{var} + \epsilon}

    Population variances, over positions; the batch-normalisation statistics of Li et al. 2017.

    Args:
      convention: one of `MEAN_STD_CONVENTIONS`, which states s.
      eps: added to the variances; 1e-6 in the loss of AdaIN-style.

    Returns:
      A `Loss`. Its target is (mean [c], mean square [c]); `score` takes features [h, w, c] of any size.

    Raises:
      ValueError: for an unknown `convention`.

    References:
      Huang & Belongie 2017, eq. 13, https://arxiv.org/abs/1703.06868
      Li et al. 2017, sec. 4.2, https://arxiv.org/abs/1701.01036

    >>> import jax.numpy as jnp
    >>> loss, x = mean_std(), jnp.ones((4, 4, 3))
    >>> float(loss.score(3 * x, loss.target(x)))
    4.0
    """
    if convention not in MEAN_STD_CONVENTIONS:
        raise ValueError(f"convention must be one of {', '.join(MEAN_STD_CONVENTIONS)}; got {convention!r}")
    scale = MEAN_STD_CONVENTIONS[convention]

    def target(x, *, where=None):
        mean = masked_mean(x, where)
        return mean, masked_mean(jnp.square(x - mean[None, None]), where) + jnp.square(mean)

    def distance(ours, theirs):
        (mean, std), (mean_, std_) = (_mean_std(moments, eps) for moments in (ours, theirs))
        return scale(len(mean)) * jnp.mean(jnp.square(mean - mean_) + jnp.square(std - std_))

    return of_averages(target, distance)


def moments_l1(*, samples: int | None = 1024) -> Loss:
    r"""Absolute difference of means and of covariances, the moment loss of STROTSS.

    .. math:: \frac1C \sum_c |\mu_c - \mu'_c| + \frac{1}{C^2} \sum_{ij} |\Sigma_{ij} - \Sigma'_{ij}|

    Means over channels and over entries; population covariances. The derivative of an absolute value is 0
    at 0.

    Args:
      samples: positions of the picture, drawn with `key` at every call; None for all.

    Returns:
      A `Loss`. Its target is (mean [c], second moment [c, c]); `score` takes features [h, w, c] of any
      size.

    Raises:
      ValueError: for `samples` below 1.

    Differs from the code: the style's moments are those of all its positions, not of 5000.

    References:
      Kolkin et al. 2019, eq. 7, https://arxiv.org/abs/1904.12785

    >>> import jax.numpy as jnp
    >>> loss, x = moments_l1(), jnp.ones((4, 4, 3))
    >>> float(loss.score(3 * x, loss.target(x)))
    2.0
    """
    check_counts(samples=samples)

    def moments(sample):
        values, weights = sample
        return raw_moments(values[None], where=None if weights is None else weights[None])

    def score(x, target, *, where=None, key=None):
        ours = moments(draw(as_samples(x, where=where), samples, key))
        mean = jnp.mean(absolute(ours[0] - target[0]))
        value = mean + jnp.mean(absolute(covariance_matrix(ours) - covariance_matrix(target)))
        return zero_if_empty(value, x, where)

    # Of samples, as the score is: summed in one order, they are equal where features are.
    return Loss(target=lambda x, *, where=None: moments(as_samples(x, where=where)), score=score)


def _variance(matrix):
    return jnp.maximum(jnp.diag(matrix), 0.0)


def _mean_std(moments, eps):
    mean, square = moments
    return mean, jnp.sqrt(jnp.maximum(square - jnp.square(mean), 0.0) + eps)


def _distance(statistic):
    """The mean squared difference of a statistic [c, c] of raw moments."""

    def distance(ours, theirs):
        return jnp.mean(jnp.square(statistic(ours) - statistic(theirs)))

    return of_averages(raw_moments, distance)
