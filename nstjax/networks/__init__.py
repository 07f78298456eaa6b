"""VGG-19 and its relatives: encoders with their weights, and decoders of their features."""

from nstjax.networks.formats import FAMILIES, Decoders, Weights, save, save_decoders
from nstjax.networks.normalise import normalise
from nstjax.networks.pretrained import load, load_decoders, make_encoder
from nstjax.networks.vgg import Encoder

__all__ = [
    "FAMILIES",
    "Decoders",
    "Encoder",
    "Weights",
    "load",
    "load_decoders",
    "make_encoder",
    "normalise",
    "save",
    "save_decoders",
]
