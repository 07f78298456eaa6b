"""Up-sampling by 2 and the convolution after it, in one at the smaller size."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from nstjax.ops.convolution import convolve

# Rows of the kernel of each kind that meet, in a result's even rows, the rows before and at the same place,
# and in its odd rows those at the same place and after.
MEETINGS = {
    "transposed3": (((), (1,)), ((2,), (0,))),
    "transposed4": (((3,), (1,)), ((2,), (0,))),
    "nearest": (((0,), (1, 2)), ((0, 1), (2,))),
}


def doubled(x: jax.Array, kernel: jax.Array, kind: str = "nearest") -> jax.Array:
    """Features of twice the size, with fewer multiplications than there.

    Args:
      x: [..., h + 2, w + 2, c], features with a border of one position. Repeated positions ("edge") are, of
        "nearest", reflection at the larger size.
      kernel: [n, n, c, k].
      kind: "nearest" (every position repeated, then a 3 x 3 convolution), "transposed3" and "transposed4"
        (transposed convolutions of 3 x 3 and 4 x 4 with stride 2).

    Returns:
      [..., 2 h, 2 w, k].
    """
    features = kernel.shape[3]
    y = convolve(x, _phases(kernel, kind), 0)
    *batch, h, w, _ = y.shape
    y = y.reshape(*batch, h, w, 2, 2, features)
    rows = [[y[..., i : i + h - 1, j : j + w - 1, i, j, :] for j in (0, 1)] for i in (0, 1)]
    y = jnp.stack([jnp.stack(row, -2) for row in rows], -3)
    return spread(y.reshape(*batch, h - 1, w - 1, 4 * features))


def _phases(kernel, kind):
    """The 2 x 2 kernel [2, 2, c, 4 k] that gives the four positions of a result which share their inputs."""
    meets = np.zeros((2, 2, kernel.shape[0]), np.float32)  # even or odd, before or after, row of the kernel
    for phase, sides in enumerate(MEETINGS[kind]):
        for side, rows in enumerate(sides):
            meets[phase, side, list(rows)] = 1
    phases = jnp.einsum("pas,qbt,stck->abcpqk", meets, meets, kernel, precision=lax.Precision.HIGHEST)
    return phases.reshape(2, 2, kernel.shape[2], -1)


def spread(x: jax.Array) -> jax.Array:
    """[..., h, w, 4 c], the channels of a square of four positions, to [..., 2 h, 2 w, c]."""
    *batch, h, w, c = x.shape
    return x.reshape(*batch, h, w, 2, 2, c // 4).swapaxes(-4, -3).reshape(*batch, 2 * h, 2 * w, c // 4)
