"""Closed-form transforms of features and pictures: each public factory binds hyper-parameters and returns
a `Transform`.
"""

from nstjax.transforms.adain import adain
from nstjax.transforms.base import Transform
from nstjax.transforms.colour import colour, luminance
from nstjax.transforms.histogram import histogram
from nstjax.transforms.mean_shift import mean_shift
from nstjax.transforms.wct import wct

__all__ = ["Transform", "adain", "colour", "histogram", "luminance", "mean_shift", "wct"]
