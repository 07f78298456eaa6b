"""Gatys et al. 2016 by L-BFGS in PyTorch, in grey levels of an unbounded picture, as neural-style-pt does."""

import time

import numpy as np
import torch
import torch.nn.functional as F

from benchmarks import peers
from nstjax.networks import vgg

_MEAN = (103.939, 116.779, 123.68)


def run(params, content, style, terms, evaluations, layout):
    """A picture optimised from the content.

    Args:
      params: of the original VGG-19.
      content, style: [h, w, 3] sRGB in [0, 1].
      terms: {"content": {tap: weight}, "style": {tap: weight}}, of squared differences of features and of
        Gram matrices.
      evaluations: of the objective.
      layout: a memory format of PyTorch.

    Returns:
      `(picture [H, W, 3] float32, totals [evaluations], seconds)`; seconds are those of all evaluations and
      steps, without those of the targets.
    """
    network = peers.make_network(params, torch.float32, "cpu", layout)
    taps = vgg.TAPS[: 1 + max(vgg.TAPS.index(tap) for weights in terms.values() for tap in weights)]
    content, style = map(_levels, (content, style))
    with torch.no_grad():
        of_content, of_style = network(content, taps), network(style, taps)
        features = {tap: of_content[tap] for tap in terms["content"]}
        grams = {tap: peers.gram(of_style[tap]) for tap in terms["style"]}
    image, totals = content.clone().requires_grad_(True), []
    method = torch.optim.LBFGS(
        [image], max_iter=evaluations, max_eval=evaluations, tolerance_change=-1, tolerance_grad=-1
    )

    def evaluate():
        method.zero_grad()
        found = network(image.contiguous(memory_format=layout), taps)
        total = sum(w * F.mse_loss(found[tap], features[tap]) for tap, w in terms["content"].items())
        total = total + sum(
            w * F.mse_loss(peers.gram(found[tap]), grams[tap]) for tap, w in terms["style"].items()
        )
        total.backward()
        totals.append(total.item())
        return total

    begun = time.perf_counter()
    method.step(evaluate)
    seconds = time.perf_counter() - begun
    levels = image.detach()[0].permute(1, 2, 0).numpy() + np.float32(_MEAN)
    return np.ascontiguousarray(levels[..., ::-1] / 255), totals, seconds


def _levels(picture):
    """The input [1, 3, h, w] of the original network."""
    levels = 255 * np.asarray(picture)[..., ::-1] - np.float32(_MEAN)
    return torch.tensor(np.ascontiguousarray(levels.transpose(2, 0, 1)[None]))
