"""Structure and detail of pictures."""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from nstjax import losses
from nstjax.metrics._base import luminance, measured, root


@measured
def ssim(x: jax.Array, reference: jax.Array) -> jax.Array:
    r"""Structural similarity of luminance: 1 for the same picture, about 0 where no structure is shared.

    .. math:: \frac1N \sum_p \frac{(2 \mu_x \mu_r + C_1)(2 \sigma_{xr} + C_2)}
              {(\mu_x^2 + \mu_r^2 + C_1)(\sigma_x^2 + \sigma_r^2 + C_2)}, \quad C_1 = 0.01^2, C_2 = 0.03^2

    Means, variances and the covariance at a position p are those under a Gaussian window of 11 x 11 pixels,
    sigma 1.5, whose weights sum to 1 (population variances, no n - 1); a mean over the
    (h - 10) x (w - 10) positions where the window is whole.

    Differs from the paper: a side shorter than 11 has a window of as many taps, so that the smallest
    pictures have a value too; and the authors' program first shrinks pictures of over 256 pixels.

    Args:
      x: [h, w, 3] sRGB in [0, 1].
      reference: [h, w, 3], the same.

    Returns:
      A scalar in [-1, 1].

    References:
      Wang et al. 2004, eq. 13, https://doi.org/10.1109/TIP.2003.819861

    >>> import jax.numpy as jnp
    >>> round(float(ssim(jnp.full((16, 16, 3), 0.25), jnp.full((16, 16, 3), 0.75))), 3)
    0.6
    """
    _check_one_shape(x, reference)
    return _similarity(luminance(x), luminance(reference))


@measured
def edge_ssim(x: jax.Array, reference: jax.Array) -> jax.Array:
    r"""Structural similarity of edges: how well the edges of a content survive a change of tones.

    .. math:: \mathrm{SSIM}(|\nabla Y_x|, |\nabla Y_r|), \quad
              |\nabla Y| = \sqrt{(Y * s^T d)^2 + (Y * d^T s)^2}, \quad s = (1, 2, 1) / 4, d = (1, 0, -1)

    The `ssim` (its window, its constants) of the magnitudes of Sobel gradients of luminance Y, scaled so that
    a step from 0 to 1 along an axis has magnitude 1; the largest possible is 1.06. Borders are
    replicated: magnitudes are [h, w].

    Differs from the paper: Chen et al. take contrast and structure from gradients, but the first factor of
    SSIM from luminance itself. Here luminance counts through its edges alone.

    Args:
      x: [h, w, 3] sRGB in [0, 1].
      reference: [h, w, 3], the same.

    Returns:
      A scalar in [-1, 1].

    References:
      Chen et al. 2006, https://doi.org/10.1109/ICIP.2006.313132

    >>> import jax.numpy as jnp
    >>> ramp = jnp.linspace(0, 0.5, 32)[:, None, None] * jnp.ones((32, 32, 3))
    >>> round(float(edge_ssim(ramp + 0.5, ramp)), 4), round(float(edge_ssim(1 - ramp, ramp)), 4)
    (1.0, 1.0)
    """
    _check_one_shape(x, reference)
    return _similarity(_edges(luminance(x)), _edges(luminance(reference)))


@measured
def matting_energy(x: jax.Array, reference: jax.Array) -> jax.Array:
    r"""How much of a picture is no locally affine function of a content's colours.

    .. math:: \sqrt{\frac1{27 N} \sum_c x_c^\top L x_c}

    L is the matting Laplacian of the content, of windows of 3 x 3 pixels and a ridge of 1e-7
    (`nstjax.losses.matting`), of which 9 hold a pixel. In units of the [0, 1] range; painted texture has
    much, a change of light hardly any.

    Args:
      x: [h, w, 3] sRGB in [0, 1].
      reference: the content, [h, w, 3].

    Returns:
      A scalar, at least 0.

    References:
      Luan et al. 2017, https://arxiv.org/abs/1703.07511

    >>> import jax
    >>> noise, photograph = jax.random.uniform(jax.random.key(0), (2, 16, 16, 3))
    >>> energies = (matting_energy(x, photograph) for x in (0.5 * photograph + 0.2, noise))
    >>> [round(float(energy), 2) for energy in energies]
    [0.0, 0.19]
    """
    _check_one_shape(x, reference)
    loss = losses.matting()
    return root(loss.score(x, loss.target(reference)) / 27)


@measured
def high_frequency(x: jax.Array) -> jax.Array:
    r"""Root mean square of luminance minus its Gaussian blur (sigma = 2 pixels).

    .. math:: \sqrt{\frac1N \sum_p (Y_p - (G_\sigma * Y)_p)^2}, \quad \sigma = 2

    A mean over all positions; in units of the [0, 1] range, so that a chequerboard of 0 and 1 has 0.5. The
    Gaussian is cut at 4 sigma, its weights sum to 1, borders are mirrored (the last pixel twice). The blur
    halves waves of 10.7 pixels (0.094 cycles per pixel): shorter waves count, longer ones hardly do.
    Sigma is in pixels, not a share of the picture's size: compare pictures of one size.

    Args:
      x: [h, w, 3] sRGB in [0, 1].

    Returns:
      A scalar in [0, 1].

    >>> import jax.numpy as jnp
    >>> round(float(high_frequency(jnp.tile(jnp.eye(2)[..., None], (50, 50, 3)))), 2)
    0.5
    """
    tones = luminance(x)
    gaussian, blurred = _gaussian(17, 2.0), jnp.pad(tones, 8, mode="symmetric")
    for axis in (0, 1):
        blurred = _filter(blurred, gaussian, axis)
    return root(jnp.mean(jnp.square(tones - blurred)))


@measured
def checkerboard(x: jax.Array) -> jax.Array:
    r"""Energy of what repeats every 4 pixels along both axes, as a multiple of that of the waves beside it.

    .. math:: \sum_{a, b} |\hat x_{a h / 4, b w / 4}|^2 \Big/
        \sum_{a, b} \operatorname{mean}_{0 < |d|_\infty \le 3} |\hat x_{(a h / 4, b w / 4) + d}|^2,
        \quad a, b \in \{0, 1, 2, 3\} \text{, not both } 0

    The discrete Fourier transform of all three channels, since such patterns are often coloured, cropped to
    multiples of 4, with the energy of white noise of 1e-4 in each wave. The numerator is the variance of the
    means of 16 phases of a 4 x 4 grid: two up-samplings by 2 that treat positions unlike leave a
    pattern there, the same all over the picture. About 1 without one, and 1 for an even picture.

    Args:
      x: [h, w, 3] sRGB in [0, 1].

    Returns:
      A scalar, at least 0; 1 where a side is below 16 pixels, which is too short to tell.

    References:
      Odena et al. 2016, https://doi.org/10.23915/distill.00003 (why up-samplings leave patterns)

    >>> import jax
    >>> import jax.numpy as jnp
    >>> noise = 0.4 + 0.2 * jax.random.uniform(jax.random.key(0), (128, 128, 1)) * jnp.ones(3)
    >>> grid = jnp.tile(jnp.eye(2)[..., None], (64, 64, 3))
    >>> round(float(checkerboard(noise)), 1), round(float(checkerboard(noise + 0.02 * grid)))
    (0.5, 28)
    """
    h, w = (n // 4 * 4 for n in x.shape[:2])
    if min(h, w) < 16:
        return jnp.ones((), x.dtype)
    waves = jnp.fft.fft2(x[:h, :w], axes=(0, 1))
    energy = jnp.sum(jnp.square(waves.real) + jnp.square(waves.imag), -1) + 3 * h * w * 1e-8
    beside = np.arange(-3, 4)
    rows, columns = ((n // 4 * np.arange(4)[:, None] + beside) % n for n in (h, w))
    near = energy[rows[:, None, :, None], columns[None, :, None, :]].reshape(16, -1)[1:]
    own = near[:, near.shape[1] // 2]
    return jnp.sum(own) / jnp.sum((jnp.sum(near, 1) - own) / (beside.size**2 - 1))


def _similarity(x, reference):
    """SSIM of arrays [h, w] with a range of 1."""
    moments = (x, reference, *(jnp.zeros_like(x),) * 3)
    for axis, side in enumerate(x.shape):
        moments = _pooled(moments, _gaussian(min(11, side), 1.5), axis)
    mean, mean_, variance, variance_, covariance = moments
    luminance = (2 * mean * mean_ + 0.01**2) / (jnp.square(mean) + jnp.square(mean_) + 0.01**2)
    return jnp.mean(luminance * (2 * covariance + 0.03**2) / (variance + variance_ + 0.03**2))


def _pooled(moments, kernel, axis):
    """Moments of windows from those of their parts; raw moments would lose them in float32."""
    *seen, variance, variance_, covariance = moments
    mean, mean_ = means = [_filter(m, kernel, axis) for m in seen]

    def around(a, b):
        return jnp.square(a - mean), jnp.square(b - mean_), (a - mean) * (b - mean_)

    between = _sums(around, seen, kernel, axis)
    within = (_filter(m, kernel, axis) for m in (variance, variance_, covariance))
    return (*means, *(a + b for a, b in zip(within, between, strict=True)))


def _edges(luminance):
    """Magnitudes [h, w] of Sobel gradients."""
    smooth, slope = (0.25, 0.5, 0.25), (1.0, 0.0, -1.0)
    padded = jnp.pad(luminance, 1, mode="edge")
    across, down = (_filter(_filter(padded, smooth, axis), slope, 1 - axis) for axis in (0, 1))
    return root(jnp.square(across) + jnp.square(down))


def _gaussian(taps, sigma):
    weights = [math.exp(-(((i - (taps - 1) / 2) / sigma) ** 2) / 2) for i in range(taps)]
    return [weight / sum(weights) for weight in weights]


def _filter(x, kernel, axis):
    """Values under a kernel along an axis, where it is whole."""
    return _sums(lambda value: (value,), [x], kernel, axis)[0]


def _sums(f, maps, kernel, axis):
    """Weighted sums of the maps that f makes of those under each tap of a kernel, where it is whole.

    Not a convolution: accelerators round the factors of those to fewer bits. A loop, since one expression of
    all taps takes long to compile.
    """
    length = maps[0].shape[axis] - len(kernel) + 1

    def under(start):
        return f(*(lax.dynamic_slice_in_dim(x, start, length, axis) for x in maps))

    def add(sums, tap):
        start, weight = tap
        return [total + weight * value for total, value in zip(sums, under(start), strict=True)], None

    nothing = [jnp.zeros_like(value) for value in under(0)]
    taps = (jnp.arange(len(kernel)), jnp.asarray(kernel, maps[0].dtype))
    return lax.scan(add, nothing, taps)[0]


def _check_one_shape(x, reference):
    if x.shape != reference.shape:
        raise ValueError(f"x and reference must have one shape; got {x.shape} and {reference.shape}")
