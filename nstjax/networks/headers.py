"""The headers of safetensors files: parsed, and checked field by field."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import safetensors
import safetensors.numpy

from nstjax.errors import UserError, check_choice
from nstjax.networks import vgg
from nstjax.networks.decoder import LEVELS

ORDERS = ("rgb", "bgr")
_WIDEST = 1 << 16
_LARGEST, _LEAST = 1e30, 1e-30  # Within float32.


def parse_safetensors(name: str | Path, data: bytes) -> tuple[dict[str, np.ndarray], dict]:
    """({name: array}, header) of the bytes of a safetensors file.

    The header is {} unless `nstjax.networks.save` wrote the file; its label and about are strings then.

    Raises:
      UserError: for anything else.
    """
    try:
        arrays = safetensors.numpy.load(data)
        length = int.from_bytes(data[:8], "little")
        metadata = json.loads(data[8 : 8 + length]).get("__metadata__") or {}
        header = json.loads(metadata.get("nstjax", "{}"))
    except KeyError as error:
        raise UserError(f"weights {name}: holds numbers of type {error}, expected F32, F16 or F64") from None
    except (safetensors.SafetensorError, OSError, ValueError, TypeError, RecursionError) as error:
        raise UserError(f"weights {name}: not a readable safetensors file ({error})") from None
    if header == {}:
        return arrays, {}
    if not isinstance(header, dict):
        raise UserError(f"weights {name}: header: expected a dict, found {header!r:.40}")
    about = header.setdefault("about", {})
    if not isinstance(header.get("label"), str):
        raise UserError(f"weights {name}: header: label must be a text; got {header.get('label')!r:.40}")
    if not isinstance(about, dict) or not all(isinstance(text, str) for text in about.values()):
        raise UserError(f"weights {name}: header: about must be a dict of texts; got {about!r:.40}")
    return arrays, header


def preprocessing_of(name: str | Path, header: Mapping) -> vgg.Preprocessing:
    """The preprocessing that a header states.

    Raises:
      UserError: where it states none, or a field is missing, unknown or of a wrong value.
    """
    fields = header.get("preprocessing")
    if fields is None:
        raise UserError(f"weights {name}: has no nstjax header that states its preprocessing")
    names = ("order", "scale", "mean", "std")
    if not isinstance(fields, dict) or set(fields) != set(names):
        raise UserError(
            f"weights {name}: header: preprocessing must have {', '.join(names)}; got {fields!r:.60}"
        )
    try:
        check_choice("preprocessing.order", fields["order"], ORDERS)
    except UserError as error:
        raise UserError(f"weights {name}: header: {error}") from None
    scale = _numbers(name, "scale", [fields["scale"]], 1)[0]
    mean, std = (_numbers(name, key, fields[key], 3) for key in ("mean", "std"))
    if min(scale, *std) < _LEAST:
        raise UserError(f"weights {name}: header: preprocessing.scale and std must be above 0")
    return vgg.Preprocessing(fields["order"], scale, mean, std)


def decoder_of(name: str | Path, header: Mapping) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """(widths, levels) that the header of a file of decoders states.

    Raises:
      UserError: where it states none, or others than whole numbers in their range.
    """
    if "widths" not in header:
        raise UserError(f"decoders {name}: the file holds no decoders")
    widths, levels = header["widths"], header.get("levels", list(LEVELS))
    if not _integers(levels, LEVELS[-1]) or len(set(levels)) < len(levels):
        raise UserError(f"decoders {name}: header: levels must be some of {LEVELS}; got {levels!r:.60}")
    if not _integers(widths, _WIDEST) or not max(levels) <= len(widths) <= len(LEVELS):
        raise UserError(
            f"decoders {name}: header: widths must be {max(levels)} to {len(LEVELS)} numbers of channels; "
            f"got {widths!r:.60}"
        )
    return tuple(widths), tuple(levels)


def _numbers(name, key, values, count):
    def is_number(value):
        return type(value) in (int, float) and abs(value) <= _LARGEST

    if not isinstance(values, list) or len(values) != count or not all(map(is_number, values)):
        expected = "a finite number" if count == 1 else f"{count} finite numbers"
        raise UserError(f"weights {name}: header: preprocessing.{key} must be {expected}; got {values!r:.60}")
    return tuple(map(float, values))


def _integers(values, most):
    """Whether a value is a list, not empty, of whole numbers from 1 on."""
    return (
        isinstance(values, list)
        and len(values) > 0
        and all(type(value) is int and 1 <= value <= most for value in values)
    )
