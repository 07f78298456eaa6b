"""Perceptual losses: each public factory binds hyper-parameters and returns a `Loss`.

The tap `image` is the picture itself ([h, w, 3], sRGB in [0, 1]), so picture terms such as total
variation are ordinary losses.
"""

from nstjax.losses._base import Loss
from nstjax.losses._bures import wasserstein_gaussian
from nstjax.losses._cmd import cmd
from nstjax.losses._colour import colour_histogram, value_range
from nstjax.losses._contextual import contextual
from nstjax.losses._cross_gram import cross_gram
from nstjax.losses._feature import feature, feature_deep_photo, feature_sum
from nstjax.losses._gram import gram, gram_l1_normalised
from nstjax.losses._histogram_binned import histogram_binned
from nstjax.losses._laplacian import laplacian
from nstjax.losses._matting import matting
from nstjax.losses._mmd import mmd_linear, mmd_polynomial
from nstjax.losses._mmd_gaussian import mmd_gaussian, mmd_gaussian_paired
from nstjax.losses._mrf import mrf
from nstjax.losses._relaxed_emd import palette, relaxed_emd
from nstjax.losses._self_similarity import self_similarity
from nstjax.losses._shifted_gram import shifted_gram
from nstjax.losses._statistics import correlation, covariance, mean_std, moments_l1
from nstjax.losses._tv import tv_anisotropic, tv_corner, tv_isotropic, tv_nine_point
from nstjax.losses._wasserstein import histogram, sliced_wasserstein
from nstjax.losses._wct import wct_distance

__all__ = [
    "Loss",
    "cmd",
    "colour_histogram",
    "contextual",
    "correlation",
    "covariance",
    "cross_gram",
    "feature",
    "feature_deep_photo",
    "feature_sum",
    "gram",
    "gram_l1_normalised",
    "histogram",
    "histogram_binned",
    "laplacian",
    "matting",
    "mean_std",
    "mmd_gaussian",
    "mmd_gaussian_paired",
    "mmd_linear",
    "mmd_polynomial",
    "moments_l1",
    "mrf",
    "palette",
    "relaxed_emd",
    "self_similarity",
    "shifted_gram",
    "sliced_wasserstein",
    "tv_anisotropic",
    "tv_corner",
    "tv_isotropic",
    "tv_nine_point",
    "value_range",
    "wasserstein_gaussian",
    "wct_distance",
]
