"""Gatys' weight normalisation: every filter scaled to a mean activation of 1."""

import dataclasses
import functools
from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from nstjax.networks import pretrained, vgg
from nstjax.networks.formats import Weights

_LEAST_MEAN = 0.03


def normalise(
    weights: Weights,
    images: Sequence,
    *,
    pooling: str = "average",
    padding: str = "zero",
    pooling_size: str = "floor",
) -> Weights:
    r"""Scales every filter so that its mean activation over `images` is 1 (Gatys et al. 2015).

    .. math:: m_{li} = \overline{\mathrm{relu}(\mathrm{conv}_l)_i}, \quad
              W_l[..., j, i] \mathrel{*}= m_{l-1,j} / m_{li}, \quad b_l[i] \mathrel{/}= m_{li}

    ReLU and all three poolings are positively homogeneous, so the taps of layer l become the old ones
    divided by m_l and nothing else changes. The mean runs over positions and pictures, weighted by
    positions.

    Differs from the paper: m_li is at least 0.03 times the median over the filters i. Filters that hardly
    ever fire, over 15 % of relu5_1 of `mini`, would otherwise outweigh all others and paint noise wherever
    they do. Of the 5504 filters of VGG-19 (`vgg19-8bit`), on the calibration pictures, the bound holds
    back three with average pooling (one of conv4_1, two of conv5_4), four with max and three with L2 pooling.

    Args:
      weights: `Weights`.
      images: a sequence of [H, W, 3] float32 sRGB in [0, 1], sizes may differ.
      pooling: "max", "average" or "l2", of the network to be used; the means depend on it.
      padding: "zero", "reflect" or "replicate", likewise.
      pooling_size: "floor" or "ceil", likewise.

    Returns:
      `Weights` whose label tells the pooling and the number of pictures.
    """
    how = {"pooling": pooling, "padding": padding, "pooling_size": pooling_size}
    means = mean_activations(weights, images, **how)
    means = {conv: np.maximum(mean, _LEAST_MEAN * np.median(mean)) for conv, mean in means.items()}
    params = rescale(weights.params, {conv: 1 / np.where(mean > 0, mean, 1) for conv, mean in means.items()})
    label = f"{weights.label}, normalised for {pooling} pooling on {len(images)} pictures"
    return dataclasses.replace(weights, params=params, label=label, normalised=True)


def mean_activations(
    weights: Weights, images: Sequence, *, pooling: str, padding: str, pooling_size: str = "floor"
) -> dict[str, np.ndarray]:
    """The mean activation of every filter after its ReLU, over positions and pictures.

    Args: as of `normalise`.

    Returns:
      {conv: [o]}.
    """
    how = {"pooling": pooling, "padding": padding, "pooling_size": pooling_size}
    encoder = pretrained.make_encoder(weights, **how)
    convs = [tap for tap in encoder.taps if tap.startswith("conv")]
    taps = tuple(conv.replace("conv", "relu") for conv in convs)
    per_image = [_activations(encoder.apply, encoder.params, jnp.asarray(image), taps) for image in images]
    means = {}
    for i, conv in enumerate(convs):
        total = sum(np.asarray(stats[i][0]) for stats in per_image)
        means[conv] = total / sum(stats[i][1] for stats in per_image)
    return means


@functools.partial(jax.jit, static_argnames=("apply", "taps"))
def _activations(apply, params, image, taps):
    """[(sum over positions [o], number of positions)] of each tap."""
    features = apply(params, image, taps)
    return [(jnp.sum(f, (0, 1)), f.shape[0] * f.shape[1]) for f in features.values()]


def rescale(params: Mapping, scales: Mapping) -> dict:
    """Multiplies every filter of a chain of convolutions and divides the kernel that reads it.

    Args:
      params: {conv: {"kernel": [3, 3, i, o], "bias": [o]}}.
      scales: {conv: [o]} above 0. Between two convolutions any positively homogeneous layer may stand:
        ReLU, any pooling.

    Returns:
      Params whose features at conv are the old ones times its scale.
    """
    rescaled, before = {}, np.ones(3, np.float32)
    for conv in (conv for conv in vgg.CONVS if conv in params):
        scale = np.asarray(scales[conv], np.float32)
        kernel, bias = (np.asarray(params[conv][part]) for part in ("kernel", "bias"))
        rescaled[conv] = {"kernel": kernel / before[:, None] * scale, "bias": bias * scale}
        before = scale
    return rescaled
