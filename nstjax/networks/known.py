"""Published files of VGG-19, known by their hash, and its original weights, known by their first filter."""

import dataclasses
from collections.abc import Mapping

import numpy as np


@dataclasses.dataclass(frozen=True)
class Published:
    """A file as it was published.

    Attributes:
      file: its name.
      digest: "md5:hex" or "sha256:hex". A file that is downloaded has the full digest; the first eight
        digits, which its name gives, are enough to recognise one.
      preprocessing: one of `nstjax.networks.vgg.PREPROCESSINGS`.
      size: in bytes, a bound of the download.
      url: where it is downloaded from, or "".
    """

    file: str
    digest: str
    preprocessing: str
    size: int = 0
    url: str = ""


# References: https://keras.io/api/applications/vgg, https://pytorch.org/vision/stable/models/vgg.html,
# https://github.com/jcjohnson/pytorch-vgg
KERAS = Published(
    "vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5",
    "md5:253f8cb515780f3b799900260a226db6",
    "caffe",
    80134624,
    "https://storage.googleapis.com/tensorflow/keras-applications/vgg19/"
    "vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5",
)
TORCHVISION = Published(
    "vgg19-dcbb9e9d.pth",
    "sha256:dcbb9e9dad569fff7a846263a77324fc34978fea2bfb039c012d710e1776ae44",
    "torchvision",
    574673361,
    "https://download.pytorch.org/models/vgg19-dcbb9e9d.pth",
)
JCJOHNSON = Published("vgg19-d01eb7cb.pth", "sha256:d01eb7cb", "caffe")
FILES = (KERAS, TORCHVISION, JCJOHNSON)

# The first filter of conv1_1 of the original weights, [channel, 3, 3] in the order BGR, and its bias.
_FILTER = np.array(
    [
        [[0.341, 0.340, -0.045], [0.232, 0.090, -0.303], [-0.073, -0.247, -0.337]],
        [[0.464, 0.418, -0.048], [0.305, 0.104, -0.373], [-0.076, -0.311, -0.465]],
        [[0.394, 0.377, -0.046], [0.267, 0.100, -0.341], [-0.076, -0.280, -0.416]],
    ]
)
_BIAS = 0.730
_ALIKE = 0.999


def preprocessing_of(sha256: str, params: Mapping) -> str:
    """The preprocessing of weights that are known: "caffe", "torchvision", or "" for all others.

    Args:
      sha256: of their file. Weights that were saved anew have another, and are known by what they hold.
      params: {conv: {"kernel": [3, 3, i, o], "bias": [o]}}.
    """
    for published in FILES:
        algorithm, digest = published.digest.split(":")
        if algorithm == "sha256" and sha256.startswith(digest):
            return published.preprocessing
    return "caffe" if is_original(params) else ""


def is_original(params: Mapping) -> bool:
    """Whether conv1_1 is that of the original Caffe weights.

    They are known by the direction of their first filter with its bias, which rounding hardly changes and
    Gatys' weight normalisation not at all.
    """
    kernel, bias = params["conv1_1"]["kernel"][..., 0], params["conv1_1"]["bias"][0]
    expected = _FILTER.transpose(1, 2, 0)
    return kernel.shape == expected.shape and _cosine([*kernel.flat, bias], [*expected.flat, _BIAS]) > _ALIKE


def is_mirrored(kernel: np.ndarray) -> bool | None:
    """Whether the kernel [3, 3, i, o] of the original conv1_1 is turned by 180 degrees; None of another."""
    expected = _FILTER.transpose(1, 2, 0)
    if kernel.shape[:3] != expected.shape:
        return None
    for mirrored, turned in ((False, kernel), (True, kernel[::-1, ::-1])):
        if _cosine(turned[..., 0].ravel(), expected.ravel()) > _ALIKE:
            return mirrored
    return None


def _cosine(x, y):
    x, y = np.float64(x), np.float64(y)
    return np.dot(x, y) / max(np.linalg.norm(x) * np.linalg.norm(y), 1e-30)
