"""The step of `benchmarks/bench_steps.py` in PyTorch, written as people write it there."""

import jax
import numpy as np
import torch
import torch.nn.functional as F

from nstjax.networks import vgg

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
LAYOUTS = {"PyTorch": torch.contiguous_format, "PyTorch channels last": torch.channels_last}


def make_network(params, dtype, device, layout):
    """A function of a network's input [1, 3, h, w] and of the taps to go through: {tap: float32 features}."""
    kernels = {
        conv: (
            torch.tensor(p["kernel"].transpose(3, 2, 0, 1).copy()).to(device, dtype, memory_format=layout),
            torch.tensor(p["bias"]).to(device, dtype),
        )
        for conv, p in params.items()
    }

    def features(x, taps):
        found, x = {}, x.to(dtype)
        for tap in taps:
            if tap.startswith("conv"):
                x = F.conv2d(x, *kernels[tap], padding=1)
            elif tap.startswith("relu"):
                x = F.relu(x)
            else:
                x = F.max_pool2d(x, 2)
            found[tap] = x.float()
        return found

    return features


def gram(x):
    """The Gram matrix [c, c] of features [1, c, h, w], a mean over positions."""
    flat = x.flatten(2)[0]
    return flat @ flat.T / flat.shape[1]


def make_steps(
    params, picture, style_taps, content_tap, steps, layout, *, precision="highest", compiled=False
):
    """A function that makes Adam steps on a picture [H, W, 3] and returns the last loss.

    Content, Gram and total variation through VGG-19 with max pooling; on the GPU where JAX uses one, with
    products in float32 ("highest"), in TensorFloat-32 ("high") or features in "bfloat16".
    """
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = precision == "high"
    dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
    device = "cuda" if torch.cuda.is_available() and jax.devices()[0].platform == "gpu" else "cpu"
    mean, std = (torch.tensor(v, device=device).view(3, 1, 1) for v in (_MEAN, _STD))
    network = make_network(params, dtype, device, layout)
    deepest = max(map(vgg.TAPS.index, (*style_taps, content_tap)))

    def features(image):
        return network((image - mean) / std, vgg.TAPS[: deepest + 1])

    start = torch.tensor(np.ascontiguousarray(picture.transpose(2, 0, 1)[None]))
    start = start.to(device, memory_format=layout)
    with torch.no_grad():
        content = features(start.flip(2))[content_tap]
        mirrored = features(start.flip(3))
        style = {tap: gram(mirrored[tap]) for tap in style_taps}

    def objective(image):
        found = features(image)
        loss = F.mse_loss(found[content_tap], content)
        loss = loss + sum(F.mse_loss(gram(found[tap]), style[tap]) for tap in style_taps)
        return loss + (image.diff(dim=2) ** 2).mean() + (image.diff(dim=3) ** 2).mean()

    objective = torch.compile(objective) if compiled else objective

    def run():
        image = start.clone().requires_grad_(True)
        adam = torch.optim.Adam([image], lr=0.02)
        for _ in range(steps):
            loss = objective(image)
            adam.zero_grad()
            loss.backward()
            adam.step()
            with torch.no_grad():
                image.clamp_(0, 1)
        return loss.item()

    return run
