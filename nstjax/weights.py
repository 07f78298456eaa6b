"""Named weight sets: source, hash and preprocessing bound together."""

import dataclasses
import json
import os
import re
import tempfile
from pathlib import Path

import h5py
import jax
import jax.numpy as jnp
import numpy as np
import safetensors
import safetensors.numpy

from nstjax import fetch, torch_file, vgg
from nstjax.errors import UserError, nearest


@dataclasses.dataclass(frozen=True)
class Weights:
    """A weight set.

    Attributes:
      params: {conv name: {"kernel": [3, 3, i, o], "bias": [o]}} float32.
      preprocessing: what the set expects of its input.
      label: what outputs are labelled with, e.g. "vgg19" or "random (seed 0)".
      sha256: of the file, or "" for random weights.
    """

    params: dict
    preprocessing: vgg.Preprocessing
    label: str
    sha256: str = ""


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
RANDOM = {
    "random": vgg.WIDTHS,
    "random-slim": vgg.SLIM_WIDTHS,
    "random-tiny": vgg.TINY_WIDTHS,
}
NAMES = (*PUBLISHED, *RANDOM)
_TORCHVISION_INDEX = dict(
    zip(
        vgg.CONVS,
        (0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34),
        strict=True,
    )
)


def load(name, *, seed=0):
    """A weight set by name, path or mirror.

    Args:
      name: one of `NAMES`; or a path to a file `.h5` (Keras layout, Caffe weights), `.pth` (torchvision
        layout) or `.safetensors` (written by `save`), which may end before conv5_4; or a URL whose last
        part is the file name of a published set, which is then fetched from there.
      seed: of random weights.

    Returns:
      `Weights`. Published sets are fetched once and verified; later calls work offline.

    Raises:
      UserError: for an unknown name, or a file that is missing, broken or not such a weight set.
    """
    if name in RANDOM:
        label = f"{name} (seed {seed})"
        return Weights(vgg.random_params(seed, RANDOM[name]), vgg.TORCHVISION, label)
    if name in PUBLISHED:
        published = PUBLISHED[name]
        return _read(fetch.fetch(published.url, digest=published.digest), name, complete=True)
    if re.match(r"https?://", name):
        file = name.rsplit("/", 1)[-1]
        mirrored = {p.url.rsplit("/", 1)[-1]: (known, p.digest) for known, p in PUBLISHED.items()}
        if file not in mirrored:
            raise UserError(
                f"weights {name!r}: a mirror must serve {' or '.join(mirrored)}, which have known hashes"
            )
        known, digest = mirrored[file]
        return _read(fetch.fetch(name, digest=digest), known, complete=True)
    path = Path(name).expanduser()
    if path.is_file():
        return _read(path, path.name, complete=False)
    if path.suffix in _READERS or os.sep in name:
        raise UserError(f"weights {name!r}: no such file")
    raise UserError(f"weights {name!r}: no such file or weight set{nearest(name, NAMES)}")


def save(path, weights):
    """Writes a weight set as safetensors with its preprocessing in the header, atomically."""
    flat = {
        f"{conv}/{part}": np.asarray(array)
        for conv, parts in weights.params.items()
        for part, array in parts.items()
    }
    header = {
        "nstjax": json.dumps(
            {"preprocessing": dataclasses.asdict(weights.preprocessing), "label": weights.label}
        )
    }
    path = Path(path)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        part = Path(folder) / path.name
        safetensors.numpy.save_file(flat, part, metadata=header)
        os.replace(part, path)


def normalise(weights, images, *, pooling="average", padding="zero"):
    r"""Scales every filter so that its mean activation over `images` is 1 (Gatys et al. 2015).

    .. math:: m_{li} = \overline{\mathrm{relu}(\mathrm{conv}_l)_i}, \quad
              W_l[..., j, i] \mathrel{*}= m_{l-1,j} / m_{li}, \quad b_l[i] \mathrel{/}= m_{li}

    ReLU and all three poolings are positively homogeneous, so the taps of layer l become the old ones
    divided by m_l and nothing else changes. The mean runs over positions and pictures, weighted by
    positions. Filters that never fire keep their scale.

    Args:
      weights: `Weights`.
      images: a sequence of [H, W, 3] float32 sRGB in [0, 1], sizes may differ.
      pooling: of the network to be used; the means depend on it.
      padding: likewise.

    Returns:
      `Weights` with a label that says so.
    """
    encoder = vgg.make_encoder(weights.params, weights.preprocessing, pooling=pooling, padding=padding)
    convs = [tap for tap in encoder.taps if tap.startswith("conv")]

    @jax.jit
    def activations(params, image):
        features = encoder.apply(params, image, tuple(c.replace("conv", "relu") for c in convs))
        return [(jnp.sum(f, (0, 1)), f.shape[0] * f.shape[1]) for f in features.values()]

    per_image = [activations(encoder.params, jnp.asarray(image)) for image in images]
    params, before = {}, np.ones(3, np.float32)
    for i, conv in enumerate(convs):
        total = sum(np.asarray(stats[i][0]) for stats in per_image)
        mean = total / sum(stats[i][1] for stats in per_image)
        mean = np.where(mean > 0, mean, 1).astype(np.float32)
        kernel, bias = (np.asarray(weights.params[conv][part]) for part in ("kernel", "bias"))
        params[conv] = {"kernel": kernel * before[:, None] / mean, "bias": bias / mean}
        before = mean
    label = f"{weights.label}, normalised for {pooling} pooling on {len(images)} pictures"
    return dataclasses.replace(weights, params=params, label=label)


def _read(path, label, *, complete):
    if path.suffix not in _READERS:
        kinds = ", ".join(_READERS)
        raise UserError(f"weights {path}: the file name must end in one of {kinds}")
    arrays, preprocessing, origin = _READERS[path.suffix](path)
    params = _check(path, arrays, complete)
    label = f"{label} ({origin})" if origin else label
    return Weights(params, preprocessing, label, fetch.file_hash(path, "sha256"))


def _check(path, arrays, complete):
    """Nested params of {"conv1_1/kernel": array}: nothing missing, extra or misshapen, or UserError."""
    expected = [f"{conv}/{part}" for conv in vgg.CONVS for part in ("kernel", "bias")]
    if extra := [name for name in arrays if name not in expected]:
        raise UserError(f"weights {path}: array {extra[0]!r} is not part of VGG-19")
    if not arrays:
        raise UserError(f"weights {path}: holds no convolutions of VGG-19")
    last = len(expected) if complete else max(map(expected.index, arrays)) // 2 * 2 + 2
    if missing := [name for name in expected[:last] if name not in arrays]:
        raise UserError(f"weights {path}: array {missing[0]!r} is missing")
    params, channels = {}, 3
    for name in expected[:last]:
        conv, part = name.split("/")
        array = arrays[name]
        width = arrays[f"{conv}/kernel"].shape[-1] if arrays[f"{conv}/kernel"].ndim == 4 else 0
        shape = (3, 3, channels, width) if part == "kernel" else (width,)
        if array.shape != shape:
            raise UserError(f"weights {path}: array {name!r} has shape {array.shape}, expected {shape}")
        if not np.isfinite(array).all():
            raise UserError(f"weights {path}: array {name!r} has values that are not finite")
        params.setdefault(conv, {})[part] = np.asarray(array, np.float32)
        if part == "bias":
            channels = width
    return params


def _read_keras(path):
    arrays = {}
    try:
        with h5py.File(path) as file:
            root = file.get("model_weights", file)
            for layer, group in root.items():
                match = re.fullmatch(r"block(\d)_conv(\d)", layer)
                for name in _datasets(group):
                    part = "bias" if re.search(r"_b(_\d+)?:0$|bias:0$", name) else "kernel"
                    conv = f"conv{match[1]}_{match[2]}" if match else layer
                    arrays[f"{conv}/{part}"] = group[name][()]
    except OSError as error:
        raise UserError(f"weights {path}: not a readable HDF5 file ({error})") from None
    return arrays, vgg.CAFFE, ""


def _datasets(group):
    names = []
    group.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
    return names


def _read_torchvision(path):
    state = torch_file.read_state_dict(path)
    arrays = {}
    for conv, index in _TORCHVISION_INDEX.items():
        for part, torch_part in (("kernel", "weight"), ("bias", "bias")):
            array = state.pop(f"features.{index}.{torch_part}", None)
            if array is not None:
                arrays[f"{conv}/{part}"] = array.transpose(2, 3, 1, 0) if array.ndim == 4 else array
    extra = {name: array for name, array in state.items() if not name.startswith("classifier.")}
    return arrays | extra, vgg.TORCHVISION, ""


def _read_safetensors(path):
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            header = json.loads((file.metadata() or {}).get("nstjax", "null"))
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (safetensors.SafetensorError, OSError, ValueError) as error:
        raise UserError(f"weights {path}: not a readable safetensors file ({error})") from None
    if not header:
        raise UserError(f"weights {path}: has no nstjax header that states its preprocessing")
    fields = header["preprocessing"]
    mean, std = tuple(fields.pop("mean")), tuple(fields.pop("std"))
    return arrays, vgg.Preprocessing(**fields, mean=mean, std=std), header["label"]


_READERS = {".h5": _read_keras, ".pth": _read_torchvision, ".safetensors": _read_safetensors}
