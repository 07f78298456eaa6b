"""Filters that make a stylized picture a photograph again, guided by the content.

Each function returns a filter(image, content) -> picture of pictures [h, w, 3] sRGB in [0, 1], one at a
time, for `jax.jit`. What it returns may leave the range a little.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.scipy.sparse.linalg import cg

from nstjax import losses

Filter = Callable[[jax.Array, jax.Array], jax.Array]
NAMES = ("local_affine", "matting", "detail")


def local_affine(*, radius: int = 15, colour: float = 0.01) -> Filter:
    r"""Makes the picture an affine function of the content's colours that changes slowly.

    .. math:: x_i = \frac{\sum_j w_{ij} (A_j I_i + b_j)}{\sum_j w_{ij}}, \quad
              w_{ij} = \exp\Big(-\frac{|i - j|^2}{2 (r / 3)^2} - \frac{\lVert I_i - I_j \rVert^2}
              {2 \cdot 3 \sigma^2}\Big)

    A_j, b_j is the affine function from the content I to the picture that fits the 3 x 3 pixels around j
    best, with a ridge of 1e-3 on A; j are the pixels of the square of side 2 r + 1 around i. Both are cut off
    at the border. The published pictures of Deep Photo Style Transfer have gone through this filter.

    Args:
      radius: r in pixels.
      colour: sigma; a smaller one keeps apart what differs less in colour.

    Returns:
      A filter.

    Raises:
      ValueError: for a radius below 1 and a sigma not above 0; by the filter for pictures of two sizes.

    References:
      Luan et al. 2017, https://arxiv.org/abs/1703.07511
      luanfujun/deep-photo-styletransfer, cuda_utils.cu

    >>> photograph = jax.random.uniform(jax.random.key(0), (8, 8, 3))
    >>> wanted = 0.5 * photograph + 0.2
    >>> bool(jnp.allclose(local_affine()(wanted, photograph), wanted, atol=1e-2))
    True
    """
    _check_radius(radius)
    if not colour > 0:
        raise ValueError(f"colour must be above 0; got {colour}")

    def apply(image, content):
        _check(image, content)
        models = _models(content, image, 1, 1e-3)
        slopes, offsets = _near_and_alike(models, content, radius, colour)
        return _applied(slopes, offsets, content)

    return apply


def matting(*, strength: float = 100.0, epsilon: float = 1e-7, steps: int = 300) -> Filter:
    r"""Moves the picture towards one that is locally an affine function of the content's colours.

    .. math:: \arg\min_x \lVert x - y \rVert^2 + \lambda \sum_c x_c^\top L x_c = (1 + \lambda L)^{-1} y

    L is the matting Laplacian of the content (`nstjax.losses.matting`). By conjugate gradients, without a
    matrix.

    Args:
      strength: lambda.
      epsilon: ridge of L.
      steps: the most; fewer where the residual is below 1e-4 of y.

    Returns:
      A filter.

    Raises:
      ValueError: for a strength or an epsilon not above 0; by the filter for pictures of two sizes.

    References:
      Li et al. 2018, https://arxiv.org/abs/1802.06474, sec. 3.2 (there with a normalised Laplacian)

    >>> noise, photograph = jax.random.uniform(jax.random.key(0), (2, 8, 8, 3))
    >>> energy, target = losses.matting(), losses.matting().target(photograph)
    >>> bool(energy.score(matting()(noise, photograph), target) < 1e-2 * energy.score(noise, target))
    True
    """
    if not strength > 0:
        raise ValueError(f"strength must be above 0; got {strength}")
    loss = losses.matting(epsilon=epsilon, convention="deep_photo")

    def apply(image, content):
        _check(image, content)
        target = loss.target(content)
        of_energy = jax.grad(lambda x: loss.score(x, target))  # 2 L x
        return cg(lambda x: x + strength / 2 * of_energy(x), image, image, tol=1e-4, maxiter=steps)[0]

    return apply


def detail(*, radius: int = 8, contrast: float = 0.1) -> Filter:
    r"""Adds the fine texture of the content, which a posterised picture has lost: y + I - GF(I).

    GF is the `guided_filter` of the content I by itself, which takes away what varies by less than `contrast`
    within a window.

    Args:
      radius: of the windows in pixels.
      contrast: a standard deviation of colours.

    Returns:
      A filter.

    Raises:
      ValueError: for a radius below 1; by the filter for pictures of two sizes.

    >>> even, photograph = jnp.full((8, 8, 3), 0.5), jax.random.uniform(jax.random.key(0), (8, 8, 3))
    >>> float(jnp.std(detail()(even, photograph))) > 0.01
    True
    """
    smooth = guided_filter(radius=radius, contrast=contrast)

    def apply(image, content):
        _check(image, content)
        return image + content - smooth(content, content)

    return apply


def guided_filter(*, radius: int = 8, contrast: float = 0.1) -> Filter:
    """Makes the picture an affine function of the content's colours in each window, smoothed over windows.

    Args:
      radius: of the windows in pixels, which are cut off at the border.
      contrast: the root of the ridge on the slopes, as a standard deviation of the content's colours.

    Returns:
      A filter.

    Raises:
      ValueError: for a radius below 1; by the filter for pictures of two sizes.

    References:
      He et al. 2010, https://doi.org/10.1007/978-3-642-15549-9_1
    """
    _check_radius(radius)

    def apply(image, content):
        _check(image, content)
        count = _counts(image.shape[:2], radius)
        slopes, offsets = _models(content, image, radius, contrast**2 * count)
        return _applied(_sums(slopes, radius) / count, _sums(offsets, radius) / count, content)

    return apply


def _models(guide, x, radius, ridge):
    """Slopes [h, w, 9] and offsets [h, w, 3] of x as an affine function of the guide in each window.

    The ridge, a number or [h, w, 1], is added to sums over the window.
    """
    count = _counts(x.shape[:2], radius)
    mean, mean_of_guide = _sums(x, radius) / count, _sums(guide, radius) / count

    def products(a, b, mean_a, mean_b):
        return _sums(_outer(a, b), radius) - count * _outer(mean_a, mean_b)

    squares = products(guide, guide, mean_of_guide, mean_of_guide) + ridge * np.eye(3).reshape(9)
    mixed = products(guide, x, mean_of_guide, mean)
    square, mixed = (found.reshape(*found.shape[:2], 3, 3) for found in (squares, mixed))
    slopes = jnp.linalg.solve(square, mixed).swapaxes(-1, -2).reshape(squares.shape)
    return slopes, mean - _applied(slopes, 0.0, mean_of_guide)


def _outer(a, b):
    return (a[..., :, None] * b[..., None, :]).reshape(*a.shape[:2], 9)


def _applied(slopes, offsets, guide):
    """[h, w, 3]: affine functions of the guide's colours."""
    return jnp.sum(slopes.reshape(*guide.shape, 3) * guide[..., None, :], -1) + offsets


def _near_and_alike(models, guide, radius, colour):
    """Means of models over the pixels around each, by how near they are and how alike the guide's colours."""
    (h, w, _), side = guide.shape, 2 * radius + 1
    border = ((0, 0), (radius, radius), (radius, radius))
    # Channels first: 1 inside the picture and 0 outside, the colours, the models.
    stacked = jnp.concatenate([jnp.ones((h, w, 1), guide.dtype), guide, *models], -1).transpose(2, 0, 1)
    around, here = jnp.pad(stacked, border), guide.transpose(2, 0, 1)
    near = jnp.asarray(np.exp(-4.5 * (np.arange(side) / radius - 1) ** 2), guide.dtype)

    def add_row(sums, dy):
        rows = lax.dynamic_slice_in_dim(around, dy, h, axis=1)
        for dx in range(side):
            there = rows[:, :, dx : dx + w]
            apart = jnp.mean(jnp.square(there[1:4] - here), 0)
            weight = there[0] * near[dy] * near[dx] * jnp.exp(-apart / (2 * colour**2))
            sums += weight * jnp.concatenate([there[:1], there[4:]])
        return sums, None

    sums, _ = lax.scan(add_row, jnp.zeros((13, h, w), guide.dtype), jnp.arange(side))
    means = (sums[1:] / sums[0]).transpose(1, 2, 0)
    return means[..., :9], means[..., 9:]


def _sums(x, radius):
    """Sums over windows of side 2 radius + 1, cut off at the border."""
    side = 2 * radius + 1
    for window in ((side, 1, 1), (1, side, 1)):
        x = lax.reduce_window(x, 0.0, lax.add, window, (1, 1, 1), "SAME")
    return x


def _counts(shape, radius):
    """[h, w, 1]: the number of pixels in the window around each."""
    down, along = (
        np.minimum(np.arange(n) + radius, n - 1) - np.maximum(np.arange(n) - radius, 0) + 1 for n in shape
    )
    return np.outer(down, along)[..., None].astype(np.float32)


def _check(image, content):
    if image.shape != content.shape or image.ndim != 3 or image.shape[-1] != 3:
        raise ValueError(f"picture and content must be [h, w, 3]; got {image.shape} and {content.shape}")


def _check_radius(radius):
    if radius < 1:
        raise ValueError(f"radius must be at least 1; got {radius}")
