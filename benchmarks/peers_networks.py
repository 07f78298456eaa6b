"""The residual network in PyTorch, written as people write it there."""

import jax
import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

LAYOUTS = {"PyTorch": torch.contiguous_format, "PyTorch channels last": torch.channels_last}


class _Conv(nn.Module):
    def __init__(self, layer, stride=1):
        super().__init__()
        kernel = torch.tensor(np.array(layer["kernel"]).transpose(3, 2, 0, 1).copy())
        features, channels, size, _ = kernel.shape
        self.pad = nn.ReflectionPad2d(size // 2)
        self.conv = nn.Conv2d(channels, features, size, stride, bias="bias" in layer)
        self.conv.weight.data = kernel
        if "bias" in layer:
            self.conv.bias.data = torch.tensor(np.array(layer["bias"]))

    def forward(self, x):
        return self.conv(self.pad(x))


class _Up(_Conv):
    def forward(self, x):
        return super().forward(F.interpolate(x, scale_factor=2, mode="nearest"))


class _Block(nn.Module):
    def __init__(self, params, i):
        super().__init__()
        self.first, self.norm1 = _Conv(params[f"block{i}_1"]), _norm(params[f"norm{i}_1"])
        self.second, self.norm2 = _Conv(params[f"block{i}_2"]), _norm(params[f"norm{i}_2"])

    def forward(self, x):
        return x + self.norm2(self.second(F.relu(self.norm1(self.first(x)))))


def _norm(layer):
    made = nn.InstanceNorm2d(layer["scale"].shape[1], affine=True)
    made.weight.data, made.bias.data = (torch.tensor(np.array(layer[key][0])) for key in ("scale", "shift"))
    return made


def make_network(params, blocks, layout):
    """A function from a picture [H, W, 3] in [0, 1] to what the preset `pytorch_examples` makes of it.

    Args:
      params: of that preset, of one style.
      blocks: how many residual blocks.
      layout: of memory, one of `LAYOUTS`.
    """
    device = "cuda" if torch.cuda.is_available() and jax.devices()[0].platform == "gpu" else "cpu"
    layers = []
    for name, kind, options in (
        *(("first", _Conv, {}), ("down1", _Conv, {"stride": 2}), ("down2", _Conv, {"stride": 2})),
        *((f"{i}", _Block, {}) for i in range(1, blocks + 1)),
        *(("up1", _Up, {}), ("up2", _Up, {})),
    ):
        if kind is _Block:
            layers.append(_Block(params, int(name)))
        else:
            layers += [kind(params[name], **options), _norm(params[f"norm_{name}"]), nn.ReLU()]
    network = nn.Sequential(*layers, _Conv(params["last"])).eval().to(device, memory_format=layout)

    @torch.inference_mode()
    def run(picture):
        x = torch.tensor(picture.transpose(2, 0, 1)[None].copy()).to(device, memory_format=layout)
        return (network(255 * x)[0].permute(1, 2, 0) / 255).cpu().numpy()

    return run
