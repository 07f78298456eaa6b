"""Pictures: files to arrays and back, label pictures, contact sheets, textures, examples."""

from nstjax.images._arrays import load, save
from nstjax.images.picture import (
    PHOTOGRAPHS,
    Picture,
    calibration_images,
    encode_png,
    example_names,
    fit_size,
    load_picture,
    picture_files,
    resize,
    resize_to_cover,
    rotate,
    to_uint8,
)

__all__ = [
    "PHOTOGRAPHS",
    "Picture",
    "calibration_images",
    "encode_png",
    "example_names",
    "fit_size",
    "load",
    "load_picture",
    "picture_files",
    "resize",
    "resize_to_cover",
    "rotate",
    "save",
    "to_uint8",
]
