"""Closed-form transforms of features and pictures: each public factory binds hyper-parameters and returns
a `Transform`.
"""

from nstjax.transforms._adain import adain
from nstjax.transforms._base import Transform
from nstjax.transforms._colour import colour, luminance
from nstjax.transforms._histogram import histogram
from nstjax.transforms._mean_shift import mean_shift
from nstjax.transforms._wct import wct

__all__ = ["Transform", "adain", "colour", "histogram", "luminance", "mean_shift", "wct"]
