"""3 x 3 convolutions by Winograd's F(4 x 4, 3 x 3): a quarter of the multiplications."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

_OUT, _IN = 4, 6  # sides of a tile of outputs, and of the inputs that it reads
# Where polynomials are evaluated, beside infinity. Of a grid of symmetric ones these round least: half as
# much as the usual 0, 1, -1, 2 and -2, whose errors are ten times those of the direct convolution.
_POINTS = (0, 11 / 16, -11 / 16, 3 / 2, -3 / 2)


def _powers(n):
    """[6, n]: the powers of the points from 0 to n - 1; of infinity, the highest alone."""
    return np.vstack([np.vander(_POINTS, n, increasing=True), np.eye(n)[-1]])


_INPUT, _KERNEL, _OUTPUT = np.linalg.inv(_powers(_IN)).T, _powers(3), _powers(_OUT).T
# The transforms of both axes at once, one matrix product each.
_INPUTS, _KERNELS, _OUTPUTS = (np.kron(m, m) for m in (_INPUT, _KERNEL, _OUTPUT))
_TILES = 256  # at a time: many for one reading of the kernel, few for the caches of a CPU


class Turned(NamedTuple):
    """What the algorithm makes of a kernel.

    Attributes:
      forward: [36, c, k], of the kernel.
      backward: [36, k, c], of the flipped one, which the cotangent of the input is convolved by.
    """

    forward: jax.Array
    backward: jax.Array


def turn(kernel: jax.Array) -> Turned:
    """A kernel [3, 3, c, k], transformed."""
    backward = jnp.flip(kernel, (0, 1)).swapaxes(2, 3)
    return Turned(
        *(_times(_KERNELS, each.reshape(9, -1)).reshape(-1, *each.shape[2:]) for each in (kernel, backward))
    )


def convolve(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Convolution of stride 1 without a border, equal to the direct one but for rounding.

    Args:
      x: [..., h, w, c].
      kernel: [36, c, k], one of `Turned`.

    Returns:
      [..., h - 2, w - 2, k].

    References:
      Lavin & Gray 2016, https://arxiv.org/abs/1509.09308
    """
    *batch, h, w, channels = x.shape
    features, pictures = kernel.shape[2], math.prod(batch)
    # Pictures lie one below the other, each with a row of tiles that is thrown away.
    down, along = (-(-(n - 2) // _OUT) for n in (h, w))
    total = pictures * (down + 1) - 1
    rows = -(-total // -(-total * along // _TILES))
    strips = -(-total // rows)
    x = x.reshape(pictures, h, w, channels)
    x = jnp.pad(x, ((0, 0), (0, (down + 1) * _OUT - h), (0, (along + 1) * _OUT - w), (0, 0)))
    x = x.reshape(-1, *x.shape[2:])
    x = jnp.pad(x, ((0, (strips * rows - total) * _OUT), (0, 0), (0, 0)))

    def strip(first):
        seen = lax.dynamic_slice_in_dim(x, first, (rows + 1) * _OUT)
        products = lax.dot_general(_turned(seen), kernel, (((2,), (1,)), ((0,), (0,))))
        made = _times(_OUTPUTS, products.reshape(_IN**2, -1))
        made = made.reshape(_OUT, _OUT, rows, along, features).transpose(2, 0, 3, 1, 4)
        return made.reshape(rows * _OUT, along * _OUT, features)

    made = lax.map(strip, jnp.arange(strips) * rows * _OUT).reshape(-1, along * _OUT, features)
    made = jnp.pad(made, ((0, _OUT), (0, 0), (0, 0)))[: (total + 1) * _OUT]
    made = made.reshape(pictures, -1, *made.shape[1:])[:, : h - 2, : w - 2]
    return made.reshape(*batch, *made.shape[1:])


def _turned(seen):
    """The transformed inputs of a strip of tiles: of [4 r + 4, 4 n + 4, c], [36, r n, c]."""
    rows, along, channels = seen.shape[0] // _OUT - 1, seen.shape[1] // _OUT - 1, seen.shape[2]
    # By their place in a block of 4 x 4 first, so that every part below is a plain slice.
    blocks = seen.reshape(rows + 1, _OUT, along + 1, _OUT, channels).transpose(1, 3, 0, 2, 4)

    def part(y, x):
        (below, y), (right, x) = divmod(y, _OUT), divmod(x, _OUT)
        return blocks[y, x, below : below + rows, right : right + along]

    near = jnp.stack([part(y, x) for y in range(_IN) for x in range(_IN)])
    return _times(_INPUTS, near.reshape(_IN**2, -1)).reshape(_IN**2, rows * along, channels)


def _times(matrix, x):
    return jnp.matmul(jnp.asarray(matrix, x.dtype), x, precision="highest")
