"""Relaxed earth mover's distances of STROTSS: every position to its nearest, both ways."""

import jax
import jax.numpy as jnp

from nstjax.losses._base import Loss, zero_if_empty
from nstjax.ops.arithmetic import safe_sqrt
from nstjax.ops.pairwise import nearest, squared_distances, unit
from nstjax.ops.samples import Samples, as_samples, check_counts, draw, normalised, pool


def relaxed_emd(*, samples: int | None = 1024, style_samples: int | None = 5000) -> Loss:
    r"""Mean cosine distance to the nearest, from picture to style or back, whichever is larger.

    .. math:: \max\Big(\frac1N \sum_i \min_j D_{ij}, \frac1M \sum_j \min_i D_{ij}\Big), \quad
              D_{ij} = 1 - \cos(F_i, S_j)

    Means over positions. STROTSS reads hypercolumns: the image and many taps, concatenated. A position
    without a direction, all of whose channels are 0, is at distance 0 from another such and at 1/2 from
    the rest. The mask's weights enter the means, and positions of weight 0 are nobody's nearest.

    Args:
      samples: positions of the picture, drawn with `key` at every call; None for all.
      style_samples: positions of the style, likewise.

    Returns:
      A `Loss`. Its target is `Samples`, values [n, c] and weights [n] or None; `score` takes features
      [h, w, c] of any size.

    Raises:
      ValueError: for `samples` or `style_samples` below 1.

    Differs from the code: it draws the style's 5 times 1000 positions once.

    References:
      Kolkin et al. 2019, eq. 5, https://arxiv.org/abs/1904.12785

    >>> import jax.numpy as jnp
    >>> loss, x = relaxed_emd(), jnp.eye(4).reshape(2, 2, 4)
    >>> float(loss.score(x[:1], loss.target(x)))
    0.5
    """

    def search(row, others):
        return 0.5 * squared_distances(row, others)

    def cost(a, b):
        return 0.5 * jnp.sum(jnp.square(a - b), -1)

    return _relaxed(unit, search, cost, samples, style_samples)


def palette(*, samples: int | None = 1024, style_samples: int | None = 5000) -> Loss:
    r"""`relaxed_emd` of colours, under the sum of cosine and Euclidean distance.

    .. math:: D_{ij} = 1 - \cos(F_i, S_j) + \frac{1}{\sqrt C} \|F_i - S_j\|_2

    For the tap `image`. The authors weight it by one over that of the content term, or 1 if that is less,
    beside losses on features: alone it says nothing of where a colour lies, and pixels are dithered
    (`configs/one_loss.py:loss=palette`).

    Args:
      samples: positions of the picture, drawn with `key` at every call; None for all.
      style_samples: positions of the style, likewise.

    Returns:
      A `Loss`. Its target is `Samples`, values [n, c] and weights [n] or None; `score` takes features
      [h, w, c] of any size.

    Raises:
      ValueError: for `samples` or `style_samples` below 1.

    Differs from the code: it rotates colours to a basis like that of YUV first, which as a rotation leaves
    every distance as it is; and it raises squared distances to 1e-5, so that its value is 0.0018 at its
    own target, where this one is 0.

    References:
      Kolkin et al. 2019, sec. 2.3, https://arxiv.org/abs/1904.12785

    >>> import jax.numpy as jnp
    >>> loss, x = palette(), jnp.full((4, 4, 3), 0.25)
    >>> float(loss.score(2 * x, loss.target(x)))
    0.25
    """

    def cost(a, b):
        length = safe_sqrt(jnp.mean(jnp.square(a - b), -1))
        return 0.5 * jnp.sum(jnp.square(unit(a) - unit(b)), -1) + length

    def search(row, others):
        return cost(row[None], others)

    return _relaxed(lambda x: x, search, cost, samples, style_samples)


def _relaxed(prepare, search, cost, samples, style_samples):
    """The relaxed distance of prepared samples.

    Args:
      prepare: values [n, c] -> [n, c].
      search: f(row [c], others [m, c]) -> [m], to find the nearest.
      cost: f(a [n, c], b [n, c]) -> [n], the same distance of the pairs found, as precise as can be; only
        this has a gradient.
    """
    check_counts(samples=samples, style_samples=style_samples)

    def score(x, target, *, where=None, key=None):
        keys = jax.random.split(jax.random.key(0) if key is None else key)
        ours = draw(as_samples(x, where=where), samples, keys[0])
        style = draw(target, style_samples, keys[1])
        (a, w), (b, v) = (Samples(prepare(s.values), s.weights) for s in (ours, style))
        to_style = normalised(ours) @ cost(a, b[nearest(a, b, v, search)])
        to_picture = normalised(style) @ cost(a[nearest(b, a, w, search)], b)
        return zero_if_empty(jnp.maximum(to_style, to_picture), x, where)

    return Loss(target=as_samples, score=score, blend=pool)
