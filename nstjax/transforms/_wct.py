"""Whitening and colouring."""

from typing import Any

import jax.numpy as jnp

from nstjax.ops.arithmetic import matmul
from nstjax.ops.moments import Moments, area, concentration, gram_matrix, masked_mean
from nstjax.ops.roots import inverse_root, newton_schulz, root
from nstjax.transforms._base import Transform, by_moments

# The arguments of `wct` for which it equals published code.
CONVENTIONS: dict[str, dict[str, Any]] = {
    # Yijunmaverick/UniversalStyleTransfer; with alpha = 0.6
    "universal_style_transfer": {},
    # irasin/Pytorch_WCT, the same in float64; with alpha = 1
    "pytorch_wct": {},
    # NVIDIA/FastPhotoStyle: I is added to the covariance of x
    "fast_photo_style": {"ridge_content": 1.0},
    # clovaai/WCT2: I is added to both, and no value leaves the range of x
    "wct2": {"ridge_content": 1.0, "ridge_style": 1.0, "clamp": True},
    # MingSun-Tse/Collaborative-Distillation, in float64, which keeps eigenvalues down to 1e-100
    "collaborative_distillation": {"cut": 0.0},
}


def wct(
    *,
    ridge_content: float = 0.0,
    ridge_style: float = 0.0,
    cut: float = 1e-5,
    unbiased: bool = True,
    clamp: bool = False,
    iterations: int | None = None,
) -> Transform:
    r"""Features with the mean and the covariance of a style: whitening and colouring.

    .. math:: \Sigma_s^{1/2} \Sigma_x^{-1/2} (x - \mu_x) + \mu_s

    Both roots are symmetric. Where x varies in fewer directions than it has channels, as with fewer
    positions than channels, the result has the covariance :math:`\Sigma_s^{1/2} P \Sigma_s^{1/2}`, P the
    projector on the directions in which it varies. A blend of styles averages means and roots, which is
    the interpolation of the features coloured by each.

    Args:
      ridge_content: times I, added to the covariance of x.
      ridge_style: the same of the style.
      cut: eigenvalues of covariances, with the ridge, below it are dropped, as are those below float32
        rounding (about 1e-6 of the largest) on a side without a ridge.
      unbiased: whether covariances are divided by n - 1 (by 1 where that is less), rather than by n, the
        number of positions. A mask M is worth n = (sum M)^2 / sum M^2 positions.
      clamp: whether the result is clipped to the range of x, of all channels together.
      iterations: of Newton-Schulz, for accelerators, instead of eigenvalues; without a `cut`.

    Returns:
      A `Transform`. A style is (whether there is one [], (mean [c], root of the covariance [c, c])); `map`
      takes features [h, w, c] of any size.

    Raises:
      ValueError: for a ridge or `cut` that is not at least 0, and for `iterations` below 1.

    References:
      Li et al. 2017, sec. 3.2, https://arxiv.org/abs/1705.08086

    >>> import jax.numpy as jnp
    >>> transform, x = wct(), jnp.array([[0.0, 0.0], [2.0, 0.0], [0.0, 4.0], [2.0, 4.0]])[None]
    >>> transform.apply(x, transform.style(3 * x + 1)).round()[0].tolist()
    [[1.0, 1.0], [7.0, 1.0], [1.0, 13.0], [7.0, 13.0]]
    """
    for name, value in {"ridge_content": ridge_content, "ridge_style": ridge_style, "cut": cut}.items():
        if not value >= 0:
            raise ValueError(f"{name} must be at least 0; got {value}")
    if iterations is not None and iterations < 1:
        raise ValueError(f"iterations must be at least 1; got {iterations}")

    def accumulate(x, *, where=None):
        mean = masked_mean(x, where)
        least, most = _range(x, where) if clamp else (None, None)
        spread = gram_matrix(x - mean[None, None], where=where)
        return Moments(area(x, where), mean, spread, least, most, concentration(x, where))

    def covariance(moments):
        share = moments.concentration  # 1 / n
        scale = 1 / jnp.maximum(1 - share, share) if unbiased else 1.0
        return scale * moments.spread

    def roots(moments, ridge, by_eigenvalues, at):
        a = covariance(moments)
        if iterations is None:
            return by_eigenvalues(a, cut, ridge)
        return newton_schulz(a + ridge * jnp.eye(len(a), dtype=a.dtype), iterations)[at]

    def style(moments):
        return moments.mean, roots(moments, ridge_style, root, 0)

    def content(moments):
        whitening = roots(moments, ridge_content, inverse_root, 1)
        return moments.mean, whitening, moments.least, moments.most

    def apply(x, content, style):
        (mean, whitening, least, most), (mean_, colouring) = content, style
        matrix = matmul(whitening, colouring)
        coloured = matmul(x - mean[None, None], matrix) + mean_[None, None]
        return jnp.clip(coloured, least, most) if clamp else coloured

    return by_moments(accumulate, style, content, apply)


def _range(x, where):
    """The smallest and the largest value of features inside a mask, of all features under an empty one."""
    if where is None:
        return jnp.min(x), jnp.max(x)
    inside = where[..., None] > 0
    least = jnp.min(x, initial=jnp.max(x), where=inside)
    most = jnp.max(x, initial=jnp.min(x), where=inside)
    return least, most
