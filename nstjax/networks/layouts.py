"""VGG-19 by the names that programs give its arrays, checked array by array."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from nstjax.errors import UserError
from nstjax.networks import vgg


class Layout(NamedTuple):
    """The arrays of a file by our names.

    Attributes:
      arrays: {"conv1_1/kernel": [3, 3, i, o], "conv1_1/bias": [o], ...}; what is no part of VGG-19 keeps
        its own name.
      preprocessing: what such files usually need, one of `nstjax.networks.vgg.PREPROCESSINGS`.
      kind: of the layout, for people.
    """

    arrays: dict[str, np.ndarray]
    preprocessing: str
    kind: str


_WIDEST = 1 << 12
_INDEX = (0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34)
_SEQUENTIAL = dict(zip(map(str, _INDEX), vgg.CONVS, strict=True))
_WRAPPER = re.compile(r"(?:(?:module|model|net|network|encoder|backbone|vgg|vgg19|_orig_mod)\.)*")
_CONV = re.compile(r"(?:features\.)?(?:module\.)?(?:(\d+)|(conv\d_\d))\.(weight|bias)")
_TOP = re.compile(r"(?:classifier|pre_logits|head|fc\d?)\..*")


def of_torch(state: Mapping[str, np.ndarray]) -> Layout:
    """The convolutions in a PyTorch state dict; fully connected layers are left out.

    Args:
      state: names are those of torchvision (`features.0.weight`), of a bare `Sequential` (`0.weight`) or of
        Gatys' program (`conv1_1.weight`), after the prefixes of wrappers (`module.`, `features.module.`).
    """
    arrays, named = {}, False
    for name, array in state.items():
        short = name[_WRAPPER.match(name).end() :]
        match = _CONV.fullmatch(short)
        conv = match and (match[2] or _SEQUENTIAL.get(match[1]))
        ours = f"{conv}/{'kernel' if match[3] == 'weight' else 'bias'}" if conv else name
        if _TOP.fullmatch(short):
            continue
        named = named or bool(match and match[2])
        ours = name if ours in arrays else ours
        arrays[ours] = array.transpose(2, 3, 1, 0) if array.ndim == 4 else array
    if named:
        return Layout(arrays, "caffe", "PyTorch, layers by their names")
    return Layout(arrays, "torchvision", "PyTorch, torchvision's numbers")


def check(name: str | Path, arrays: Mapping[str, np.ndarray], *, complete: bool) -> dict:
    """Params of arrays by our names.

    Args:
      name: of the file, for errors.
      arrays: as of `Layout`.
      complete: whether they must reach conv5_4.

    Returns:
      {conv: {"kernel": [3, 3, i, o], "bias": [o]}} float32.

    Raises:
      UserError: for another network, which is named where it is known, and for an array that is missing,
        extra, misshapen, or not of finite numbers.
    """
    try:
        return _params(name, arrays, complete)
    except UserError:
        if (other := _what(arrays)) in ("", "VGG-19"):
            raise
    raise UserError(f"weights {name}: this is {other}; expected VGG-19 without batch normalisation")


def _params(name, arrays, complete):
    expected = [f"{conv}/{part}" for conv in vgg.CONVS for part in ("kernel", "bias")]
    if extra := [key for key in arrays if key not in expected]:
        raise UserError(f"weights {name}: array {extra[0]!r} is not part of VGG-19")
    if not arrays:
        raise UserError(f"weights {name}: holds no convolutions of VGG-19")
    last = len(expected) if complete else max(map(expected.index, arrays)) // 2 * 2 + 2
    if missing := [key for key in expected[:last] if key not in arrays]:
        raise UserError(f"weights {name}: array {missing[0]!r} is missing")
    params, channels = {}, 3
    for conv in vgg.CONVS[: last // 2]:
        kernel, bias = arrays[f"{conv}/kernel"], arrays[f"{conv}/bias"]
        width = kernel.shape[-1] if conv.endswith("_1") and kernel.ndim == 4 else channels
        if not 1 <= width <= _WIDEST:
            raise UserError(f"weights {name}: {conv} has {width} filters, expected 1 to {_WIDEST}")
        params[conv] = {
            "kernel": finite(f"weights {name}", f"{conv}/kernel", kernel, (3, 3, channels, width)),
            "bias": finite(f"weights {name}", f"{conv}/bias", bias, (width,)),
        }
        channels = width
    return params


def finite(source: str, name: str, array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The array as float32.

    Args:
      source: "weights FILE" or "decoders FILE", for errors.
      name: of the array.
      array: of floating-point numbers.
      shape: as expected.

    Raises:
      UserError: for another shape, numbers of another kind, or one that is not finite as float32.
    """
    if array.shape != shape:
        raise UserError(f"{source}: array {name!r} has shape {array.shape}, expected {shape}")
    if array.dtype.kind != "f":
        raise UserError(f"{source}: array {name!r} holds {array.dtype}, expected floating-point numbers")
    with np.errstate(over="ignore"):
        array = np.asarray(array, np.float32)
    if not np.isfinite(array).all():
        raise UserError(f"{source}: array {name!r} has values that are not finite")
    return array


# Convolutions in each of the five blocks.
_DEPTHS = {
    "VGG-11": (1, 1, 2, 2, 2),
    "VGG-13": (2, 2, 2, 2, 2),
    "VGG-16": (2, 2, 3, 3, 3),
    "VGG-19": vgg.DEPTHS,
}
_NORMALISED = re.compile(r".*(running_mean|moving_mean|batch_?norm).*")


def _what(arrays):
    """The network of a file, where its convolutions tell: "VGG-16 with batch normalisation"; else ""."""
    shapes = [array.shape for array in arrays.values() if array.ndim == 4]
    normalised = any(_NORMALISED.fullmatch(name) for name in arrays)
    found = ""
    if shapes and all(shape[:2] == (3, 3) for shape in shapes):
        found = next((net for net, depths in _DEPTHS.items() if _is_chain(shapes, depths)), "")
    if normalised:
        return f"{found or 'a network'} with batch normalisation"
    return found


def _is_chain(shapes, depths):
    """Whether kernels [3, 3, i, o], in any order, are those of blocks of so many convolutions each."""
    if len(shapes) != sum(depths):
        return False
    widths = sorted(shape[3] for shape in shapes)
    of_blocks = [widths[sum(depths[:block])] for block in range(5)]
    outs = [width for width, depth in zip(of_blocks, depths, strict=True) for _ in range(depth)]
    ins = [3, *outs[:-1]]
    return sorted(shape[2:] for shape in shapes) == sorted(zip(ins, outs, strict=True))
