"""Independent transcriptions: VGG-19 in float64 NumPy and in PyTorch."""

import math

import numpy as np

BLOCKS = (2, 2, 4, 4, 4)
PAD_MODES = {"zero": "constant", "reflect": "reflect", "replicate": "edge"}


def numpy_vgg(params, x, pooling="max", padding="zero", rounding=math.floor):
    """Every tap of VGG-19 in float64, from a preprocessed input [h, w, 3], in plain loops over offsets."""
    taps, x = {}, np.asarray(x, np.float64)
    for block, convs in enumerate(BLOCKS, 1):
        for i in range(1, convs + 1):
            name = f"conv{block}_{i}"
            if name not in params:
                return taps
            y = numpy_conv(x, params[name]["kernel"], params[name]["bias"], padding)
            x = np.maximum(y, 0)
            taps[name], taps[f"relu{block}_{i}"] = y, x
        x = _pool(x, pooling, rounding)
        taps[f"pool{block}"] = x
    return taps


def numpy_conv(x, kernel, bias, padding):
    """Convolution of [h, w, i] with [3, 3, i, o] that keeps the size, in float64."""
    kernel, (h, w, _) = np.asarray(kernel, np.float64), x.shape
    padded = _pad(x, PAD_MODES[padding])
    y = np.zeros((h, w, kernel.shape[-1])) + np.asarray(bias, np.float64)
    for dy in range(3):
        for dx in range(3):
            y += np.einsum("hwi,io->hwo", padded[dy : dy + h, dx : dx + w], kernel[dy, dx])
    return y


def _pad(x, mode):
    for axis in (0, 1):
        width = [(0, 0)] * 3
        width[axis] = (1, 1)
        x = np.pad(x, width, mode="edge" if mode == "reflect" and x.shape[axis] == 1 else mode)
    return x


def _pool(x, pooling, rounding):
    h, w, c = x.shape
    out = np.zeros((max(rounding(h / 2), 1), max(rounding(w / 2), 1), c))
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            # A row or column without a neighbour is pooled as if it stood there twice.
            rows = [min(2 * i, h - 1), min(2 * i + 1, h - 1)]
            columns = [min(2 * j, w - 1), min(2 * j + 1, w - 1)]
            window = x[np.ix_(rows, columns)].reshape(4, c)
            if pooling == "max":
                out[i, j] = window.max(0)
            elif pooling == "average":
                out[i, j] = window.mean(0)
            else:
                out[i, j] = np.sqrt((window**2).sum(0))
    return out


def torch_vgg(params, x, pooling="max", padding="zero", up=False):
    """Every tap of VGG-19 by PyTorch in float64, from a preprocessed input [h, w, 3]."""
    import torch
    import torch.nn.functional as F

    mode = {"zero": "constant", "reflect": "reflect", "replicate": "replicate"}[padding]
    pools = {
        "max": lambda x: F.max_pool2d(x, 2, ceil_mode=up),
        "average": lambda x: F.avg_pool2d(x, 2, ceil_mode=up),
        "l2": lambda x: F.lp_pool2d(x, 2.0, 2, ceil_mode=up),
    }
    taps, x = {}, torch.tensor(np.asarray(x, np.float64)).permute(2, 0, 1)[None]

    def keep(name, value):
        taps[name] = value[0].permute(1, 2, 0).numpy()

    for block, convs in enumerate(BLOCKS, 1):
        for i in range(1, convs + 1):
            name = f"conv{block}_{i}"
            if name not in params:
                return taps
            kernel = torch.tensor(np.asarray(params[name]["kernel"], np.float64)).permute(3, 2, 0, 1)
            bias = torch.tensor(np.asarray(params[name]["bias"], np.float64))
            x = F.conv2d(F.pad(x, (1, 1, 1, 1), mode=mode), kernel, bias)
            keep(name, x)
            x = F.relu(x)
            keep(f"relu{block}_{i}", x)
        x = pools[pooling](x)
        keep(f"pool{block}", x)
    return taps


def relative_error(value, expected):
    """Largest difference over the largest magnitude expected."""
    expected = np.asarray(expected, np.float64)
    return np.abs(np.asarray(value, np.float64) - expected).max() / max(np.abs(expected).max(), 1e-12)
