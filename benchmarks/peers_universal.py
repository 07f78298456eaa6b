"""Universal style transfer in PyTorch: the published networks layer by layer, and the paper's transform."""

import numpy as np
import safetensors.numpy
import torch
import torch.nn.functional as F


def make_chain(folder, order, alpha, dtype=torch.float64):
    """A function (content, style) -> [H, W, 3] of pictures [H, W, 3], with sides that need no rounding.

    Args:
      folder: of wct16x_{1..5}s{e,d}.safetensors, each of the order read once.
      order: of the levels.
      alpha: a number.
      dtype: of all arithmetic.
    """
    networks = {
        level: [
            {
                name: torch.tensor(array.astype(np.float64)).to(dtype)
                for name, array in safetensors.numpy.load_file(
                    folder / f"wct16x_{level}s{kind}.safetensors"
                ).items()
            }
            for kind in "ed"
        ]
        for level in order
    }

    def transfer(content, style):
        x, s = (
            torch.tensor(np.asarray(image, np.float64)).to(dtype).permute(2, 0, 1)[None]
            for image in (content, style)
        )
        with torch.no_grad():
            for level in order:
                encoder, decoder = networks[level]
                features, known = _encode(encoder, x, level), _encode(encoder, s, level)
                flat = features.reshape(features.shape[1], -1)
                moved = alpha * _wct(flat, known.reshape(known.shape[1], -1)) + (1 - alpha) * flat
                x = _decode(decoder, moved.reshape(features.shape), level)
        return x[0].permute(1, 2, 0).numpy()

    return transfer


def _conv(x, arrays, name):
    weight, bias = arrays[f"{name}.weight"], arrays[f"{name}.bias"]
    x = x if weight.shape[-1] == 1 else F.pad(x, (1, 1, 1, 1), mode="reflect")
    return F.conv2d(x, weight, bias)


def _names(level):
    convs = [f"conv{b}{i}" for b, n in enumerate((2, 2, 4, 4, 4), 1) for i in range(1, n + 1)]
    return convs[: convs.index(f"conv{level}1") + 1]


def _encode(arrays, x, level):
    x = _conv(x, arrays, "conv0")
    for name in _names(level):
        if name.endswith("1") and name != "conv11":
            x = F.max_pool2d(x, 2, ceil_mode=True)
        x = F.relu(_conv(x, arrays, name))
    return x


def _decode(arrays, x, level):
    for name in reversed(_names(level)):
        x = F.relu(_conv(x, arrays, name))
        if name.endswith("1") and name != "conv11":
            x = F.interpolate(x, scale_factor=2, mode="nearest")
    return x


def _power(x, exponent):
    _, e, v = torch.linalg.svd(x @ x.T / (x.shape[1] - 1))
    e, v = e[e >= 1e-5], v[e >= 1e-5].T
    return v @ torch.diag(e**exponent) @ v.T


def _wct(x, s):
    centred, style = x - x.mean(1, keepdim=True), s - s.mean(1, keepdim=True)
    return _power(style, 0.5) @ _power(centred, -0.5) @ centred + s.mean(1, keepdim=True)
