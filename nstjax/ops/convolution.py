"""3 x 3 convolutions, their borders, and 2 x 2 pooling."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax

from nstjax.ops.arithmetic import safe_sqrt


def pad(x: jax.Array, mode: str) -> jax.Array:
    """Features [..., h, w, c] with a border of one position: [..., h + 2, w + 2, c]."""
    rows, columns = ("edge" if n == 1 else mode for n in x.shape[-3:-1])
    batch = [(0, 0)] * (x.ndim - 3)
    x = jnp.pad(x, (*batch, (1, 1), (0, 0), (0, 0)), mode=rows)
    return jnp.pad(x, (*batch, (0, 0), (1, 1), (0, 0)), mode=columns)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def conv3x3(x: jax.Array, kernel: jax.Array, border: int) -> jax.Array:
    """Convolution with a 3 x 3 kernel after a border of zeros.

    The derivative is that of the convolution, with the input's cotangent written as a plain convolution
    with the flipped kernel: inside a compiled loop on a CPU, XLA runs the transposed convolution that
    it would otherwise derive several times slower (`python -m benchmarks`, derived transpose).

    Args:
      x: [..., h, w, c].
      kernel: [3, 3, c, k].
      border: how many positions of zeros on every side, 0 to 2.

    Returns:
      [..., h + 2 border - 2, w + 2 border - 2, k].
    """
    plain = functools.partial(_convolution, border=(border, border))
    few_in, few_out = (channels <= _FEW for channels in kernel.shape[2:])
    on_cpu: Callable
    if few_in or few_out:
        on_cpu = functools.partial(_of_few_channels if few_in else _to_few_channels, border=border)
    elif border == 0:
        on_cpu = _without_border
    else:
        return plain(x, kernel)
    return lax.platform_dependent(x, kernel, cpu=on_cpu, default=plain)


# With at most 4 input or output channels, XLA's CPU convolution is up to 30 times slower than the matrix
# product below, which has 9 * _FEW channels.
_FEW = 4


def _convolution(x, kernel, border):
    padding, layout = [(n, n) for n in border], ("NHWC", "HWIO", "NHWC")
    batch = x.reshape(-1, *x.shape[-3:])
    y = lax.conv_general_dilated(batch, kernel, (1, 1), padding, dimension_numbers=layout)
    return y.reshape(*x.shape[:-3], *y.shape[1:])


def _without_border(x, kernel):
    """The convolution with a border of rows, cut: XLA on a CPU has a faster algorithm for it."""
    y = _convolution(x, kernel, (1, 0))
    return lax.slice_in_dim(y, 1, y.shape[-3] - 1, axis=y.ndim - 3)


def _of_few_channels(x, kernel, border):
    """The nine neighbours of a position side by side, times all taps of the kernel."""
    x = _bordered(x, border)
    near = jnp.concatenate([_shifted(x, *at) for at in _TAPS_3X3], -1)
    return near @ kernel.reshape(-1, kernel.shape[3])


def _to_few_channels(x, kernel, border):
    """Every position times all taps of the kernel, then the sum over neighbours."""
    taps = kernel.transpose(2, 0, 1, 3).reshape(kernel.shape[2], -1)
    parts = jnp.split(_bordered(x, border) @ taps, 9, -1)
    return sum(_shifted(part, *at) for part, at in zip(parts, _TAPS_3X3, strict=True))


_TAPS_3X3 = tuple((row, column) for row in range(3) for column in range(3))


def _bordered(x, border):
    return jnp.pad(x, [(0, 0)] * (x.ndim - 3) + [(border, border)] * 2 + [(0, 0)])


def _shifted(x, row, column):
    """Of [..., h + 2, w + 2, c], the [..., h, w, c] from a row and a column on."""
    return x[..., row : x.shape[-3] - 2 + row, column : x.shape[-2] - 2 + column, :]


def _conv3x3_forward(x, kernel, border):
    return conv3x3(x, kernel, border), (x, kernel)


def _conv3x3_backward(border, residuals, g):
    x, kernel = residuals
    dx = conv3x3(g, jnp.flip(kernel, (0, 1)).swapaxes(2, 3), 2 - border)
    _, kernel_vjp = jax.vjp(lambda kernel: _convolution(x, kernel, (border, border)), kernel)
    return dx, kernel_vjp(g)[0]


conv3x3.defvjp(_conv3x3_forward, _conv3x3_backward)


def pool(x: jax.Array, kind: str) -> jax.Array:
    """2 x 2 pooling with stride 2 of [..., h, w, c]: [..., max(h // 2, 1), max(w // 2, 1), c]."""
    for axis in (-3, -2):
        n = x.shape[axis]
        x = jnp.repeat(x, 2, axis) if n == 1 else lax.slice_in_dim(x, 0, n // 2 * 2, axis=x.ndim + axis)
    *batch, h, w, c = x.shape
    windows = x.reshape(*batch, h // 2, 2, w // 2, 2, c)
    if kind == "max":
        return jnp.max(windows, (-4, -2))
    if kind == "average":
        return jnp.mean(windows, (-4, -2))
    return safe_sqrt(jnp.sum(jnp.square(windows), (-4, -2)))
