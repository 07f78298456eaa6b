"""Named weight sets: source, hash and preprocessing bound together."""

import dataclasses
import hashlib
import importlib.resources
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path

import h5py
import jax
import jax.numpy as jnp
import numpy as np
import safetensors
import safetensors.numpy
from flax.traverse_util import flatten_dict, unflatten_dict

from nstjax import fetch, io, nets, torch_file, vgg
from nstjax.errors import UserError, nearest


@dataclasses.dataclass(frozen=True)
class Weights:
    """A weight set.

    Attributes:
      params: {conv name: {"kernel": [3, 3, i, o], "bias": [o]}} float32.
      preprocessing: what the set expects of its input.
      label: what outputs are labelled with, e.g. "vgg19" or "random (seed 0)".
      sha256: of the file, or "" for random weights.
      about: more that the file says of itself: how it was made, from what, under which licence.
    """

    params: dict
    preprocessing: vgg.Preprocessing
    label: str
    sha256: str = ""
    about: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Decoders:
    """The decoders of a weight set.

    Attributes:
      params: {"decoder1": {conv name: {"kernel", "bias"}}, ...} for some of `nets.LEVELS`, float32.
      widths: channels of the blocks of the encoder.
      label: as of the weight set.
      sha256: of the file.
      about: as of `Weights`.
    """

    params: dict
    widths: tuple[int, ...]
    label: str
    sha256: str = ""
    about: Mapping[str, str] = dataclasses.field(default_factory=dict)


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
# SHA-256 of the files in `nstjax/trained`.
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
NAMES = (*SHIPPED, *PUBLISHED, *RANDOM)
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
      `Weights`. `mini` comes with the package. Published sets are fetched once and verified; later calls
      work offline.

    Raises:
      UserError: for an unknown name, or a file that is missing, broken or not such a weight set.
    """
    if name in RANDOM:
        label = f"{name} (seed {seed})"
        return Weights(vgg.random_params(seed, RANDOM[name]), vgg.TORCHVISION, label)
    if name in SHIPPED:
        data = _shipped(f"{name}.safetensors", SHIPPED[name])
        arrays, header = parse_safetensors(name, data)
        return _weights(name, arrays, header, SHIPPED[name])
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


def load_decoders(name):
    """The decoders of a weight set, by its name or as a path to a file that `save_decoders` wrote.

    Returns:
      `Decoders`.

    Raises:
      UserError: for a weight set without decoders, or a file that is missing, broken or holds none.
    """
    if name in SHIPPED_DECODERS:
        digest = SHIPPED_DECODERS[name]
        arrays, header = parse_safetensors(name, _shipped(f"{name}_decoders.safetensors", digest))
    else:
        path = Path(name).expanduser()
        if not path.is_file():
            valid = nearest(name, SHIPPED_DECODERS)
            raise UserError(f"decoders {name!r}: no such file or weight set with decoders{valid}")
        with io.reading(path):
            data = path.read_bytes()
        digest = hashlib.sha256(data).hexdigest()
        arrays, header = parse_safetensors(path, data)
    if "widths" not in header:
        raise UserError(f"decoders {name}: the file holds no decoders")
    widths = tuple(header["widths"])
    params = _check_decoders(name, arrays, widths, header.get("levels", nets.LEVELS))
    return Decoders(params, widths, header["label"], digest, header.get("about", {}))


def save(path, weights, *, dtype=np.float32):
    """Writes a weight set as safetensors with its preprocessing in the header, atomically."""
    header = {"preprocessing": dataclasses.asdict(weights.preprocessing)}
    _save(path, weights, header, dtype)


def save_decoders(path, decoders, *, dtype=np.float32):
    """Writes decoders as safetensors, atomically."""
    levels = [level for level in nets.LEVELS if f"decoder{level}" in decoders.params]
    _save(path, decoders, {"widths": decoders.widths, "levels": levels}, dtype)


def _save(path, weights, header, dtype):
    header |= {"label": weights.label, "about": dict(weights.about)}
    flat = {}
    for name, array in flatten_dict(weights.params, sep="/").items():
        with np.errstate(over="ignore"):
            flat[name] = np.asarray(array, dtype)
        if not np.isfinite(flat[name]).all():
            raise UserError(
                f"cannot save {path}: array {name!r} has values that are not finite as {np.dtype(dtype).name}"
            )
    data = safetensors.numpy.save(flat, metadata={"nstjax": json.dumps(header)})
    io.write_atomic(path, data)


_LEAST_MEAN = 0.03


def normalise(weights, images, *, pooling="average", padding="zero"):
    r"""Scales every filter so that its mean activation over `images` is 1 (Gatys et al. 2015).

    .. math:: m_{li} = \overline{\mathrm{relu}(\mathrm{conv}_l)_i}, \quad
              W_l[..., j, i] \mathrel{*}= m_{l-1,j} / m_{li}, \quad b_l[i] \mathrel{/}= m_{li}

    ReLU and all three poolings are positively homogeneous, so the taps of layer l become the old ones
    divided by m_l and nothing else changes. The mean runs over positions and pictures, weighted by
    positions.

    Differs from the paper: m_li is at least 0.03 times the median over the filters i. Those that hardly ever
    fire, as over 15 % of relu5_1 of `mini`, would else outweigh all others and paint noise wherever they do.
    Of blocks 1 to 3 of VGG-19 none is below that with average pooling, on the pictures that experiments
    calibrate with; one of relu2_1 is with max (0.017) or L2 pooling (0.028).

    Args:
      weights: `Weights`.
      images: a sequence of [H, W, 3] float32 sRGB in [0, 1], sizes may differ.
      pooling: of the network to be used; the means depend on it.
      padding: likewise.

    Returns:
      `Weights` with a label that says so.
    """
    means = mean_activations(weights, images, pooling=pooling, padding=padding)
    means = {conv: np.maximum(mean, _LEAST_MEAN * np.median(mean)) for conv, mean in means.items()}
    params = rescale(weights.params, {conv: 1 / np.where(mean > 0, mean, 1) for conv, mean in means.items()})
    label = f"{weights.label}, normalised for {pooling} pooling on {len(images)} pictures"
    return dataclasses.replace(weights, params=params, label=label)


def mean_activations(weights, images, *, pooling, padding):
    """{conv: [o]}: the mean of every filter's activation after the ReLU; arguments as of `normalise`."""
    encoder = vgg.make_encoder(weights.params, weights.preprocessing, pooling=pooling, padding=padding)
    convs = [tap for tap in encoder.taps if tap.startswith("conv")]

    @jax.jit
    def activations(params, image):
        features = encoder.apply(params, image, tuple(c.replace("conv", "relu") for c in convs))
        return [(jnp.sum(f, (0, 1)), f.shape[0] * f.shape[1]) for f in features.values()]

    per_image = [activations(encoder.params, jnp.asarray(image)) for image in images]
    means = {}
    for i, conv in enumerate(convs):
        total = sum(np.asarray(stats[i][0]) for stats in per_image)
        means[conv] = total / sum(stats[i][1] for stats in per_image)
    return means


def rescale(params, scales):
    """Multiplies every filter of a chain of convolutions and divides what reads it.

    Args:
      params: {conv: {"kernel": [3, 3, i, o], "bias": [o]}}.
      scales: {conv: [o]} above 0. Between two convolutions there may be whatever is positively
        homogeneous: ReLU, any pooling.

    Returns:
      Params whose features at conv are the old ones times its scale.
    """
    rescaled, before = {}, np.ones(3, np.float32)
    for conv in (conv for conv in vgg.CONVS if conv in params):
        scale = np.asarray(scales[conv], np.float32)
        kernel, bias = (np.asarray(params[conv][part]) for part in ("kernel", "bias"))
        rescaled[conv] = {"kernel": kernel / before[:, None] * scale, "bias": bias * scale}
        before = scale
    return rescaled


def _read(path, label, *, complete):
    if path.suffix not in _READERS:
        kinds = ", ".join(_READERS)
        raise UserError(f"weights {path}: the file name must end in one of {kinds}")
    digest = fetch.file_hash(path, "sha256")
    if path.suffix == ".safetensors":
        arrays, header = parse_safetensors(path, path.read_bytes())
        loaded = _weights(path, arrays, header, digest)
        return dataclasses.replace(loaded, label=f"{label} ({loaded.label})")
    arrays, preprocessing = _READERS[path.suffix](path)
    return Weights(_check(path, arrays, complete), preprocessing, label, digest)


def _weights(name, arrays, header, digest):
    """`Weights` of what a file written by `save` holds."""
    if "preprocessing" not in header:
        raise UserError(f"weights {name}: has no nstjax header that states its preprocessing")
    fields = header["preprocessing"]
    mean, std = tuple(fields.pop("mean")), tuple(fields.pop("std"))
    preprocessing = vgg.Preprocessing(**fields, mean=mean, std=std)
    params = _check(name, arrays, complete=False)
    return Weights(params, preprocessing, header["label"], digest, header.get("about", {}))


def _shipped(file, digest):
    """Bytes of a file of the package, which may be in a zip archive."""
    try:
        data = (importlib.resources.files("nstjax") / "trained" / file).read_bytes()
    except FileNotFoundError:
        raise UserError(f"{file} is not in the installed package; install nstjax again") from None
    if (found := hashlib.sha256(data).hexdigest()) != digest:
        raise UserError(
            f"{file} of the installed package is damaged: its SHA-256 is {found[:12]}..., expected "
            f"{digest[:12]}...; install nstjax again"
        )
    return data


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


def _check_decoders(name, arrays, widths, levels):
    """Nested params of {"decoder1/conv1_1/kernel": array}, of which none is missing, extra or misshapen."""
    arrays, params = dict(arrays), {}
    for level in levels:
        features = jnp.zeros((2, 2, widths[level - 1]))
        shapes = jax.eval_shape(nets.Decoder(level, widths).init, jax.random.key(0), features)["params"]
        for (conv, part), like in flatten_dict(shapes).items():
            array = arrays.pop(f"decoder{level}/{conv}/{part}", None)
            if array is None or array.shape != like.shape:
                found = "is missing" if array is None else f"has shape {array.shape}"
                raise UserError(
                    f"decoders {name}: array 'decoder{level}/{conv}/{part}' {found}, "
                    f"expected shape {like.shape}"
                )
            params[f"decoder{level}", conv, part] = np.asarray(array, np.float32)
    if arrays:
        raise UserError(f"decoders {name}: array {next(iter(arrays))!r} is not part of a decoder")
    return unflatten_dict(params)


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
    return arrays, vgg.CAFFE


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
    return arrays | extra, vgg.TORCHVISION


def parse_safetensors(name, data):
    """({name: array}, header) of the bytes of a safetensors file; {} where we did not write it."""
    try:
        arrays = safetensors.numpy.load(data)
        length = int.from_bytes(data[:8], "little")
        metadata = json.loads(data[8 : 8 + length]).get("__metadata__", {})
        return arrays, json.loads(metadata.get("nstjax", "{}"))
    except (safetensors.SafetensorError, OSError, ValueError) as error:
        raise UserError(f"weights {name}: not a readable safetensors file ({error})") from None


_READERS = {".h5": _read_keras, ".pth": _read_torchvision, ".safetensors": None}
