"""Measures of finished pictures: structure, detail and colour, compared with a content or a style.

Pictures are [h, w, 3] float32 sRGB in [0, 1], one at a time (`jax.vmap` for more), and every measure is a
scalar, or scalars by name. Pictures of fewer bits are measured in float32, the result is of their dtype;
integers are a ValueError. Luminance is Y' = 0.299 R + 0.587 G + 0.114 B (Rec. 601) of the sRGB values.
"""

from nstjax.metrics._colour import clipped, colour_gaps, saturation
from nstjax.metrics._features import channel_gaps, gram_gap
from nstjax.metrics._structure import checkerboard, edge_ssim, high_frequency, matting_energy, ssim

__all__ = [
    "channel_gaps",
    "checkerboard",
    "clipped",
    "colour_gaps",
    "edge_ssim",
    "gram_gap",
    "high_frequency",
    "matting_energy",
    "saturation",
    "ssim",
]
