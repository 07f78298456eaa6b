"""The direction of L-BFGS, in the whole space or in the box [0, 1]."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax

_LEAST_CURVATURE = 1e-7  # of a pair that is kept, as a cosine between step and change


class Pairs(NamedTuple):
    """What L-BFGS remembers.

    Attributes:
      image: [H, W, 3], the last iterate.
      gradient: [H, W, 3], there.
      steps: [pairs, H, W, 3], differences of iterates.
      changes: [pairs, H, W, 3], those of gradients.
      weights: [pairs], 1 / (step . change); 0 for a pair that is not there.
      scale: of the first guess M of the inverse Hessian, step . change / (change . M change) of a pair.
      seen: iterates, int32.
      kept: pairs kept, int32.
    """

    image: jax.Array
    gradient: jax.Array
    steps: jax.Array
    changes: jax.Array
    weights: jax.Array
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
      Nocedal and Wright, Numerical Optimization, algorithm 7.4.
    """

    def init(image):
        memory = jnp.zeros((memory_size or default_memory(image.size), *image.shape), image.dtype)
        nothing = jnp.zeros_like(image)
        one, zero = jnp.ones((), image.dtype), jnp.int32(0)
        return Pairs(nothing, nothing, memory, memory, jnp.zeros(len(memory), image.dtype), one, zero, zero)

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
    at = pairs.kept % len(pairs.weights)

    def put(memory, new):
        return memory.at[at].set(jnp.where(keep, new, memory[at]))

    guess = lax.cond(keep, lambda: _guess(change, falloff), lambda: _guess(gradient, falloff))
    first = jnp.minimum(1, 1 / jnp.sqrt(jnp.vdot(guess, guess)))
    before = jnp.where(pairs.seen > 0, pairs.scale, first)
    return Pairs(
        image,
        gradient,
        put(pairs.steps, step),
        put(pairs.changes, change),
        put(pairs.weights, 1 / curvature),
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
    """The inverse Hessian times a gradient, by the two loops over the pairs."""
    oldest_first = (pairs.kept + jnp.arange(len(pairs.weights))) % len(pairs.weights)

    def back(rest, i):
        share = pairs.weights[i] * jnp.vdot(pairs.steps[i], rest)
        return rest - share * pairs.changes[i], share

    def forth(product, both):
        i, share = both
        gap = share - pairs.weights[i] * jnp.vdot(pairs.changes[i], product)
        return product + gap * pairs.steps[i], None

    rest, shares = lax.scan(back, gradient, oldest_first, reverse=True)
    return lax.scan(forth, pairs.scale * _guess(rest, falloff), (oldest_first, shares))[0]
