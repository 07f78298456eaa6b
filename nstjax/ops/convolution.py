"""Convolutions of stride 1, their borders, and 2 x 2 pooling."""

import functools

import jax
import jax.numpy as jnp
from jax import lax

from nstjax.ops import winograd
from nstjax.ops.arithmetic import safe_sqrt


def pad(
    x: jax.Array, mode: str, border: int = 1, size: tuple[jax.Array, jax.Array] | None = None
) -> jax.Array:
    """Features [..., h, w, c] with a border of positions: [..., h + 2 border, w + 2 border, c].

    Args:
      x: [..., h, w, c].
      mode: of `jax.numpy.pad`; "reflect" repeats the one row or column where there is no other.
      border: positions on every side.
      size: rows and columns of `x` that there are features in, traced; the border begins after them. The mode
        is then "reflect" or "edge". None for all.
    """
    if size is not None:
        for axis, n in zip((-3, -2), size, strict=True):
            x = jnp.take(x, _within(x.shape[axis], border, mode, n), axis)
        return x
    rows, columns = ("edge" if n == 1 else mode for n in x.shape[-3:-1])
    batch, sides = [(0, 0)] * (x.ndim - 3), (border, border)
    x = jnp.pad(x, (*batch, sides, (0, 0), (0, 0)), mode=rows)
    return jnp.pad(x, (*batch, (0, 0), sides, (0, 0)), mode=columns)


def _within(rows, border, mode, n):
    """The row, of n, that each of some rows with a border repeats."""
    at = jnp.arange(-border, rows + border)
    if mode == "reflect":
        at = at % jnp.maximum(2 * n - 2, 1)  # to and fro
        at = jnp.minimum(at, 2 * n - 2 - at)
    return jnp.clip(at, 0, n - 1)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def convolve(
    x: jax.Array, kernel: jax.Array, border: int, turned: winograd.Turned | None = None
) -> jax.Array:
    """Convolution of stride 1 after a border of zeros.

    The derivatives are those of the convolution. The input's cotangent is written as a plain convolution with
    the flipped kernel: inside a compiled loop on a CPU, XLA runs the transposed convolution that it would
    otherwise derive several times slower (`python -m benchmarks`, derived transpose). There, the cotangent of
    the kernel is a sum of matrix products over strips of a large input.

    Args:
      x: [..., h, w, c].
      kernel: [n, n, c, k], n at least 2.
      border: how many positions of zeros on every side, 0 to n - 1.
      turned: `winograd.turn` of a 3 x 3 kernel, to use that algorithm, equal to about 1e-5; it is taken as a
        constant.

    Returns:
      [..., h + 2 border - n + 1, w + 2 border - n + 1, k].
    """
    if turned is not None:
        return winograd.convolve(_bordered(x, border), turned.forward)
    plain = functools.partial(_convolution, border=(border, border))
    on_cpu = functools.partial(_on_cpu, border=border)
    return lax.platform_dependent(x, kernel, cpu=on_cpu, default=plain)


def _convolution(x, kernel, border):
    padding, layout = [(n, n) for n in border], ("NHWC", "HWIO", "NHWC")
    batch = x.reshape(-1, *x.shape[-3:])
    y = lax.conv_general_dilated(batch, kernel, (1, 1), padding, dimension_numbers=layout)
    return y.reshape(*x.shape[:-3], *y.shape[1:])


# With at most 4 input or output channels, XLA's CPU convolution is up to 30 times slower than the forms
# below: products with all taps of a small kernel, and with the columns of a large one.
_FEW, _SMALL = 4, 3


def _on_cpu(x, kernel, border):
    """The convolution in the form that XLA is fast at on a CPU."""
    size, _, channels, features = kernel.shape
    if channels <= _FEW and size <= _SMALL:
        return _of_few_channels(x, kernel, border)
    if features <= _FEW:
        return (_to_few_channels if size <= _SMALL else _by_columns)(x, kernel, border)
    if channels < _FEW:
        missing = (0, _FEW - channels)
        x = jnp.pad(x, [(0, 0)] * (x.ndim - 1) + [missing])
        kernel = jnp.pad(kernel, [(0, 0), (0, 0), missing, (0, 0)])
    return _with_bordered_rows(x, kernel, border, border)


def _of_few_channels(x, kernel, border):
    """The neighbours of two positions of a row side by side, times all taps of the kernel, for both."""
    size, _, channels, features = kernel.shape
    x = _bordered(x, border)
    width = x.shape[-2] - size + 1
    pairs, taps = -(-width // 2), size // 2 + 1
    x = jnp.pad(x, [(0, 0)] * (x.ndim - 2) + [(0, 2 * (pairs + taps - 1) - x.shape[-2]), (0, 0)])
    shifted = [jnp.pad(kernel, ((0, 0), (i, 2 * taps - size - i), (0, 0), (0, 0))) for i in (0, 1)]
    near = _neighbourhoods(x.reshape(*x.shape[:-2], -1, 2 * channels), size, taps)
    y = near @ jnp.stack(shifted, 3).reshape(-1, 2 * features)
    return y.reshape(*y.shape[:-2], -1, features)[..., :width, :]


def _to_few_channels(x, kernel, border):
    """Every position times all taps of the kernel, then the sum over neighbours."""
    size, _, channels, _ = kernel.shape
    products = _bordered(x, border) @ kernel.transpose(2, 0, 1, 3).reshape(channels, -1)
    parts = jnp.split(products, size * size, -1)
    return sum(_shifted(part, size, size, *divmod(i, size)) for i, part in enumerate(parts))


def _by_columns(x, kernel, border):
    """A convolution by each column of the kernel, then the sum over neighbours in a row."""
    size, _, channels, features = kernel.shape
    x = jnp.pad(x, [(0, 0)] * (x.ndim - 2) + [(border, border), (0, 0)])
    columns = kernel.swapaxes(1, 2).reshape(size, 1, channels, size * features)
    parts = jnp.split(_with_bordered_rows(x, columns, border, 0), size, -1)
    width = x.shape[-2] - size + 1
    return sum(lax.slice_in_dim(part, i, i + width, axis=x.ndim - 2) for i, part in enumerate(parts))


def _bordered(x, border):
    return jnp.pad(x, [(0, 0)] * (x.ndim - 3) + [(border, border)] * 2 + [(0, 0)])


def _neighbourhoods(x, rows, columns):
    """Of [..., h + m - 1, w + n - 1, c], the m x n positions from each on: [..., h, w, m n c]."""
    near = [_shifted(x, rows, columns, *divmod(i, columns)) for i in range(rows * columns)]
    return jnp.concatenate(near, -1)


def _shifted(x, rows, columns, row, column):
    """Of [..., h + m - 1, w + n - 1, c], the [..., h, w, c] from a row and a column on."""
    h, w = x.shape[-3] - rows + 1, x.shape[-2] - columns + 1
    return x[..., row : row + h, column : column + w, :]


def _with_bordered_rows(x, kernel, rows, columns):
    """The convolution with a border of rows at least, cut: XLA on a CPU has a faster algorithm for it."""
    y = _convolution(x, kernel, (max(rows, 1), columns))
    return y if rows else lax.slice_in_dim(y, 1, y.shape[-3] - 1, axis=y.ndim - 3)


def _convolve_forward(x, kernel, border, turned):
    return convolve(x, kernel, border, turned), (x, kernel, turned)


def _convolve_backward(border, residuals, g):
    x, kernel, turned = residuals
    size = kernel.shape[0]

    def derived(x, g):
        return jax.vjp(lambda kernel: _convolution(x, kernel, (border, border)), kernel)[1](g)[0]

    def on_cpu(x, g):
        if g.size // g.shape[-1] * kernel[..., 0].size < _LARGE:
            return derived(x, g)
        x, g = (y.reshape(-1, *y.shape[-3:]) for y in (_bordered(x, border), g))
        return _kernel_cotangent(x, g, size).astype(kernel.dtype)

    back = None if turned is None else winograd.Turned(turned.backward, turned.forward)
    dx = convolve(g, jnp.flip(kernel, (0, 1)).swapaxes(2, 3), size - 1 - border, back)
    return dx, lax.platform_dependent(x, g, cpu=on_cpu, default=derived), None


convolve.defvjp(_convolve_forward, _convolve_backward)

# On a CPU, XLA is slow once the neighbourhoods of all positions are more numbers than its caches hold; those
# of a strip of positions are not.
_LARGE, _STRIP = 6_000_000, 512


def _kernel_cotangent(x, g, size):
    """The cotangent [n, n, c, k] of the kernel, of inputs [b, h + n - 1, w + n - 1, c] and g [b, h, w, k]."""
    (batch, h, w, features), channels = g.shape, x.shape[-1]
    if features < channels:  # The neighbourhoods of fewer channels are collected.
        return jnp.flip(_kernel_cotangent(_bordered(g, size - 1), x, size), (0, 1)).swapaxes(2, 3)
    rows, pictures = max(1, min(h, _STRIP // w)), max(1, min(batch, _STRIP // (h * w)))
    down, along = -(-h // rows), -(-batch // pictures)
    missing = [(0, along * pictures - batch), (0, down * rows - h), (0, 0), (0, 0)]
    x, g = jnp.pad(x, missing), jnp.pad(g, missing)

    def add(total, i):
        corner = (i // down * pictures, i % down * rows, 0, 0)
        near = lax.dynamic_slice(x, corner, (pictures, rows + size - 1, w + size - 1, channels))
        here = lax.dynamic_slice(g, corner, (pictures, rows, w, features)).reshape(-1, features)
        columns = _neighbourhoods(near, size, size).reshape(-1, size * size * channels)
        return total + columns.T @ here, None

    start = jnp.zeros((size * size * channels, features), jnp.promote_types(g.dtype, jnp.float32))
    total, _ = lax.scan(add, start, jnp.arange(down * along))
    return total.reshape(size, size, channels, features)


def pool(x: jax.Array, kind: str, size: str = "floor") -> jax.Array:
    """2 x 2 pooling with stride 2.

    Args:
      x: [..., h, w, c].
      kind: "max", "average" or "l2".
      size: "floor" drops an odd last row or column, unless it is the only one; "ceil" pools it alone.

    Returns:
      [..., h / 2, w / 2, c], rounded as `size` says, at least 1.
    """
    for axis in (-3, -2):
        n = x.shape[axis]
        if n % 2 and (n == 1 or size == "ceil"):
            x = jnp.concatenate([x, lax.slice_in_dim(x, n - 1, n, axis=x.ndim + axis)], axis)
        else:
            x = lax.slice_in_dim(x, 0, n // 2 * 2, axis=x.ndim + axis)
    *batch, h, w, c = x.shape
    windows = x.reshape(*batch, h // 2, 2, w // 2, 2, c)
    # Not a reduction over two axes, for which XLA on a CPU writes out what a fused ReLU compares with.
    parts = [windows[..., i, :, j, :] for i in (0, 1) for j in (0, 1)]
    if kind == "max":
        return functools.reduce(jnp.maximum, parts)
    if kind == "average":
        return functools.reduce(jnp.add, parts) / 4
    return safe_sqrt(functools.reduce(jnp.add, map(jnp.square, parts)))
