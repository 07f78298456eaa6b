"""The colours of one picture in another, and a picture repainted in luminance alone."""

import jax
import jax.numpy as jnp
from jax.scipy.linalg import solve_triangular

from nstjax.ops.arithmetic import matmul
from nstjax.ops.moments import covariance_matrix, raw_moments
from nstjax.ops.roots import inverse_root, root
from nstjax.transforms._base import Transform, by_statistics

# Rows: luminance Y, then U and V.
YUV = ((0.299, 0.587, 0.114), (-0.147, -0.288, 0.436), (0.615, -0.515, -0.1))


def to_yuv(image: jax.Array) -> jax.Array:
    """Luminance and chroma [H, W, 3] of a picture [H, W, 3]."""
    return matmul(image, jnp.asarray(YUV, image.dtype).T)


def from_yuv(yuv: jax.Array) -> jax.Array:
    """The picture [H, W, 3] of luminance and chroma [H, W, 3]: the inverse of `to_yuv`, to rounding."""
    return matmul(yuv, jnp.linalg.inv(jnp.asarray(YUV, yuv.dtype)).T)


def luminance() -> Transform:
    r"""A picture's luminance with the chroma of a reference of its size, clipped to [0, 1].

    .. math:: M^{-1} (Y_x, U_r, V_r)

    The reference stands for the style: a stylised x keeps the colours of the content r. To match the
    luminance of a style to the content's before, apply `adain(eps=0.0)` to channel 0 of `to_yuv`.

    Returns:
      A `Transform`. A style is (whether there is one [], chroma [H, W, 2]); `map` takes a picture [H, W, 3]
      of that size.

    Raises:
      ValueError: from `style` and `map`, for other than three channels.

    Differs from the code: NeuralImageSynthesis has an inverse of M that is off by up to 2.4e-3.

    References:
      Gatys et al. 2016, sec. 3, https://arxiv.org/abs/1606.05897

    >>> import jax.numpy as jnp
    >>> transform, grey, red = luminance(), jnp.full((1, 1, 3), 0.5), jnp.array([[[1.0, 0.0, 0.0]]])
    >>> [round(float(v), 3) for v in transform.apply(red, transform.style(grey)).ravel()]
    [0.299, 0.299, 0.299]
    """

    def statistics(x, *, where=None):
        _check(x)
        return to_yuv(x)[..., 1:]

    def map(x, chroma, *, where=None, key=None):
        _check(x)
        return jnp.clip(from_yuv(jnp.concatenate([to_yuv(x)[..., :1], chroma], -1)), 0, 1)

    return by_statistics(statistics, map)


def colour(*, method: str = "symmetric", eps: float = 1e-5) -> Transform:
    r"""A picture moved to the mean and the covariance of the colours of another, clipped to [0, 1].

    .. math:: A (x - \mu_x) + \mu_r, \quad A \Sigma_x A^T = \Sigma_r, \quad
              \Sigma = \overline{(x - \mu) (x - \mu)^T} + \epsilon I

    Apply it to the style, with the content as the reference r, and stylise with the result. A blend of
    references has the colours of all their pixels.

    Args:
      method: which A: one of `METHODS`.
      eps: times I, added to the covariance of both sides. Above 0 unless colours fill all of the space.

    Returns:
      A `Transform`. A style is (whether there is one [], (mean [3], second moment [3, 3])); `map` takes a
      picture [H, W, 3] of any size.

    Raises:
      ValueError: for an unknown `method`, and for `eps` that is not at least 0; from `style` and `map`, for
        other than three channels.

    References:
      Gatys et al. 2016, sec. 2, https://arxiv.org/abs/1606.05897; leongatys/NeuralImageSynthesis

    >>> import jax.numpy as jnp
    >>> transform, x = colour(eps=0.0), jnp.eye(3)[None]
    >>> transform.apply(x, transform.style(0.5 * x)).round(3)[0].tolist()
    [[0.5, 0.0, 0.0], [0.0, 0.5, 0.0], [0.0, 0.0, 0.5]]
    """
    if method not in METHODS:
        raise ValueError(f"method must be one of {', '.join(METHODS)}; got {method!r}")
    if not eps >= 0:
        raise ValueError(f"eps must be at least 0; got {eps}")
    matrix = METHODS[method]

    def statistics(x, *, where=None):
        _check(x)
        return raw_moments(x, where=where)

    def map(x, style, *, where=None, key=None):
        _check(x)
        ridge = eps * jnp.eye(3, dtype=x.dtype)
        own = raw_moments(x, where=where)
        a = matrix(covariance_matrix(own) + ridge, covariance_matrix(style) + ridge)
        centred = x - own[0][None, None]
        return jnp.clip(matmul(centred, a.T) + style[0][None, None], 0, 1)

    return by_statistics(statistics, map)


def _cholesky(source, target):
    lower, lower_target = jnp.linalg.cholesky(source), jnp.linalg.cholesky(target)
    return solve_triangular(lower, lower_target.T, lower=True, trans=1).T


def _symmetric(source, target):
    return matmul(root(target), inverse_root(source))


def _optimal_transport(source, target):
    half, inverse = root(source), inverse_root(source)
    return matmul(matmul(inverse, root(matmul(matmul(half, target), half))), inverse)


# A of two covariances, with the names of the code's modes.
METHODS = {
    "cholesky": _cholesky,  # chol: L_r L_x^-1
    "symmetric": _symmetric,  # pca: roots Sigma_r^1/2 Sigma_x^-1/2
    "optimal_transport": _optimal_transport,  # sym: the symmetric A
}


def _check(image):
    if image.shape[-1] != 3:
        raise ValueError(f"image must be a picture [H, W, 3]; got {image.shape}")
