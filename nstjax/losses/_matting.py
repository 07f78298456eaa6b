"""Matting Laplacian: what is left of a picture where each window is an affine function of the content's."""

import math

import jax.numpy as jnp
from jax import lax

from nstjax.losses._base import Loss
from nstjax.ops.moments import inverse_area

CONVENTIONS = ("mean", "deep_photo")
_SIDE = 3  # of a window in pixels


def matting(*, epsilon: float = 1e-7, convention: str = "mean") -> Loss:
    r"""Residual of the affine function of the content's colours that fits the picture best, window by window.

    .. math:: \frac1N \sum_c x_c^\top L x_c = \frac1N \sum_{k, c} \min_{a, b} \Big[ \sum_{i \in k}
              (x_{ic} - a^\top I_i - b)^2 + \epsilon \lVert a \rVert^2 \Big]

    L is the matting Laplacian of the content I, k its (H - 2)(W - 2) windows of 3 x 3 pixels that are inside
    it, N the number of pixels. A picture whose colours are locally an affine function of the content's, as
    after a change of light or of colours, has hardly any; painted texture has much. Under a mask a window
    counts as its pixel that is least in it, and N is the area of the mask. For the tap `image`.

    The minimum is found by a QR decomposition of each window, not from its covariance, whose inverse float32
    has no digits for. The gradient is 2 L x / N; second derivatives hold a constant.

    Args:
      epsilon: ridge, for colours in [0, 1].
      convention: "mean", or "deep_photo": N times as much, the sum of the paper.

    Returns:
      A `Loss`. Its target is (I [h, w, c], the inverse triangular factors [h - 2, w - 2, c (c + 1) / 2]);
      `score` takes pictures [h, w, c]. 0 for pictures of less than 3 x 3 pixels.

    Raises:
      ValueError: for `epsilon` not above 0, and for an unknown `convention`.

    References:
      Levin et al. 2008, https://doi.org/10.1109/TPAMI.2007.1177
      Luan et al. 2017, https://arxiv.org/abs/1703.07511, eq. 4
      luanfujun/deep-photo-styletransfer, gen_laplacian

    >>> import jax
    >>> photograph = jax.random.uniform(jax.random.key(0), (8, 8, 3))
    >>> loss, noise = matting(), jax.random.uniform(jax.random.key(1), (8, 8, 3))
    >>> target = loss.target(photograph)
    >>> float(loss.score(0.5 * photograph + 0.2, target)) < 1e-6, float(loss.score(noise, target)) > 0.1
    (True, True)
    """
    if not epsilon > 0:
        raise ValueError(f"epsilon must be above 0; got {epsilon}")
    if convention not in CONVENTIONS:
        raise ValueError(f"convention must be one of {', '.join(CONVENTIONS)}; got {convention!r}")

    def target(x, *, where=None):
        if min(x.shape[:2]) < _SIDE:
            return x, jnp.zeros((0, 0, x.shape[-1] * (x.shape[-1] + 1) // 2), x.dtype)
        return x, jnp.stack(_inverse_factors(_centred(x), epsilon), -1)

    def score(x, wanted, *, where=None, key=None):
        guide, factors = wanted
        if not factors.size:
            return jnp.zeros((), x.dtype)
        energy = _energy(_centred(x), _centred(guide), factors, epsilon)
        counted = energy if where is None else energy * _least(where)
        mean = jnp.sum(counted) * inverse_area(x, where)
        return mean * math.prod(x.shape[:2]) if convention == "deep_photo" else mean

    return Loss(target=target, score=score)


def _centred(x):
    """[channel][place]: each place of all windows [h - 2, w - 2], minus the means of the windows."""
    h, w, c = x.shape
    found = []
    for i in range(c):
        around = [
            x[dy : h - _SIDE + 1 + dy, dx : w - _SIDE + 1 + dx, i]
            for dy in range(_SIDE)
            for dx in range(_SIDE)
        ]
        mean = sum(around) / _SIDE**2
        found.append([each - mean for each in around])
    return found


def _inverse_factors(guide, epsilon):
    """The upper parts, column by column, of the inverses of R: of windows over sqrt(epsilon) I, as Q R."""
    ridge, count = math.sqrt(epsilon), len(guide)
    orthogonal: list[list] = []
    factors, inverse = {}, {}
    for j, column in enumerate(guide):
        zero = jnp.zeros_like(column[0])
        rest = [*column, *(zero + ridge if i == j else zero for i in range(count))]
        for i, unit in enumerate(orthogonal):
            factors[i, j] = sum(a * b for a, b in zip(unit, rest, strict=True))
            rest = [a - factors[i, j] * b for a, b in zip(rest, unit, strict=True)]
        norm = jnp.sqrt(sum(jnp.square(a) for a in rest))  # at least the ridge
        orthogonal.append([a / norm for a in rest])
        inverse[j, j] = 1 / norm
        for i in range(j):
            inverse[i, j] = -sum(inverse[i, k] * factors[k, j] for k in range(i, j)) / norm
    return [inverse[i, j] for j in range(count) for i in range(j + 1)]


def _energy(x, guide, factors, epsilon):
    """[h - 2, w - 2], of each window."""
    count = len(guide)
    places = ((i, j) for j in range(count) for i in range(j + 1))
    inverse = {place: factors[..., n] for n, place in enumerate(places)}
    total = jnp.zeros((), factors.dtype)
    for channel in x:
        along = [sum(a * b for a, b in zip(of_guide, channel, strict=True)) for of_guide in guide]
        turned = [sum(inverse[i, j] * along[i] for i in range(j + 1)) for j in range(count)]
        slopes = [sum(inverse[i, j] * turned[j] for j in range(i, count)) for i in range(count)]
        # At the minimum nothing depends on the slopes to first order.
        slopes = [lax.stop_gradient(slope) for slope in slopes]
        for place, value in enumerate(channel):
            fitted = sum(slope * of_guide[place] for slope, of_guide in zip(slopes, guide, strict=True))
            total += jnp.square(value - fitted)
        total += epsilon * sum(jnp.square(slope) for slope in slopes)
    return total


def _least(where):
    """A mask [h, w], its least value in each window [h - 2, w - 2]."""
    return lax.reduce_window(where, jnp.inf, lax.min, (_SIDE, _SIDE), (1, 1), "VALID")
