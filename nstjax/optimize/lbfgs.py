"""The direction of L-BFGS, in the whole space or in the box [0, 1]."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax
from jax.scipy.linalg import solve_triangular

from nstjax.ops.arithmetic import matmul

_LEAST_CURVATURE = 1e-7  # of a pair that is kept, as a cosine between step and change


class Pairs(NamedTuple):
    """What L-BFGS remembers.

    Attributes:
      image: [H, W, 3], the last iterate.
      gradient: [H, W, 3], there.
      steps: [pairs, H W 3], differences of iterates.
      changes: [pairs, H W 3], those of gradients.
      curvatures: [pairs, pairs], step i . change j, where pair i is not the younger one; else anything. 0
        for pairs that are not there.
      scale: of the first guess M of the inverse Hessian, step . change / (change . M change) of a pair.
      seen: iterates, int32.
      kept: pairs kept, int32.
    """

    image: jax.Array
    gradient: jax.Array
    steps: jax.Array
    changes: jax.Array
    curvatures: jax.Array
    scale: jax.Array
    seen: jax.Array
    kept: jax.Array


def scale_by_lbfgs(
    memory_size: int | None = None, *, boxed: bool = False, falloff: float = 0.0
) -> optax.GradientTransformation:
    """The gradient times the inverse Hessian that L-BFGS reckons from the last steps.

    In the box, values at a bound that the gradient presses against it take no part, neither as gradient nor
    in the direction (two-metric projection, Bertsekas 1982): what is left descends, which the direction of
    all values with outward parts cut off need not do. A pair without curvature is not kept.

    Args:
      memory_size: pairs to remember; `default_memory` where None.
      boxed: whether values are kept in [0, 1].
      falloff: p of the first guess of the inverse Hessian: f^-p at frequency f, times a factor that follows
        from the last pair; 0 for the identity. With p > 0 large shapes move sooner.

    References:
      Nocedal and Wright, Numerical Optimization, algorithm 7.4
      Byrd, Nocedal & Schnabel 1994, https://doi.org/10.1007/BF01582063 (the same in products with matrices)
    """

    def init(image):
        count = memory_size or default_memory(image.size)
        memory, curvatures = (jnp.zeros((count, *of), image.dtype) for of in ((image.size,), (count,)))
        nothing, one, zero = jnp.zeros_like(image), jnp.ones((), image.dtype), jnp.int32(0)
        return Pairs(nothing, nothing, memory, memory, curvatures, one, zero, zero)

    def update(gradient, pairs, image):
        pairs = _remember(pairs, image, gradient, falloff)
        pressed = ((image <= 0) & (gradient > 0)) | ((image >= 1) & (gradient < 0))
        free = ~pressed if boxed else jnp.ones_like(pressed)
        return jnp.where(free, _product(pairs, jnp.where(free, gradient, 0), falloff), 0), pairs

    return optax.GradientTransformation(init, update)


def default_memory(size: int) -> int:
    """Pairs for an image of so many values: what 512 MiB hold in float32, from 10 to 100."""
    return min(100, max(10, 2**29 // (2 * 4 * size)))


def _remember(pairs, image, gradient, falloff):
    """The pairs with one more, in the place of the oldest, where it has curvature."""
    step, change = image - pairs.image, gradient - pairs.gradient
    curvature, square = jnp.vdot(step, change), jnp.vdot(change, change)
    keep = (pairs.seen > 0) & (curvature > _LEAST_CURVATURE * jnp.sqrt(square * jnp.vdot(step, step)))
    at = pairs.kept % len(pairs.steps)

    def put(memory, new):
        return memory.at[at].set(jnp.where(keep, new.ravel(), memory[at]))

    steps = put(pairs.steps, step)
    with_change = jnp.where(keep, matmul(steps, change.ravel()), pairs.curvatures[:, at])

    guess = lax.cond(keep, lambda: _guess(change, falloff), lambda: _guess(gradient, falloff))
    first = jnp.minimum(1, 1 / jnp.sqrt(jnp.vdot(guess, guess)))
    before = jnp.where(pairs.seen > 0, pairs.scale, first)
    return Pairs(
        image,
        gradient,
        steps,
        put(pairs.changes, change),
        pairs.curvatures.at[:, at].set(with_change),
        jnp.where(keep, curvature / jnp.vdot(change, guess), before),
        pairs.seen + 1,
        pairs.kept + keep,
    )


def _guess(x, falloff):
    """The first guess of the inverse Hessian, to a factor, times x [H, W, 3]."""
    if not falloff:
        return x
    size, axes = x.shape[:2], (0, 1)
    frequency = np.hypot(np.fft.fftfreq(size[0])[:, None], np.fft.rfftfreq(size[1]))
    factor = np.maximum(2 * frequency, 2 / max(size)) ** -falloff
    shaped = jnp.fft.rfft2(x, axes=axes) * factor[..., None].astype(x.dtype)
    return jnp.fft.irfft2(shaped, size, axes)


def _product(pairs, gradient, falloff):
    """The inverse Hessian times a gradient, by products with all pairs at once."""
    oldest_first = (pairs.kept + jnp.arange(len(pairs.steps))) % len(pairs.steps)
    curvatures = jnp.triu(pairs.curvatures[oldest_first][:, oldest_first])
    own = jnp.diagonal(pairs.curvatures)
    curvatures += jnp.diag(own[oldest_first] == 0)  # of pairs that are not there

    def solve(b, transposed):
        solved = solve_triangular(curvatures, b[oldest_first], trans=transposed)
        return jnp.zeros_like(b).at[oldest_first].set(solved)

    shares = solve(matmul(pairs.steps, gradient.ravel()), 0)
    rest = gradient - matmul(shares, pairs.changes).reshape(gradient.shape)
    guess = pairs.scale * _guess(rest, falloff)
    gaps = solve(own * shares - matmul(pairs.changes, guess.ravel()), 1)
    return guess + matmul(gaps, pairs.steps).reshape(gradient.shape)
