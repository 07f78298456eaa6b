"""Pictures: files to arrays and back, label pictures, contact sheets, textures, examples."""

from nstjax.images._arrays import load, save
from nstjax.images.decode import PHOTOGRAPHS, example_names, open_png
from nstjax.images.encode import encode, encode_png, label_of
from nstjax.images.picture import (
    Picture,
    calibration_images,
    fit_size,
    load_picture,
    picture_files,
    read_aloud,
    resize,
    resize_to_cover,
    rotate,
    say_notes,
    to_uint8,
)

__all__ = [
    "PHOTOGRAPHS",
    "Picture",
    "calibration_images",
    "encode",
    "encode_png",
    "example_names",
    "fit_size",
    "label_of",
    "load",
    "load_picture",
    "open_png",
    "picture_files",
    "read_aloud",
    "resize",
    "resize_to_cover",
    "rotate",
    "save",
    "say_notes",
    "to_uint8",
]
