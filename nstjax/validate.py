"""Checks of a config's values."""

import inspect
import math
from collections.abc import Mapping

import jax
from ml_collections import ConfigDict

from nstjax.errors import UserError, check_at_least, check_choice, nearest
from nstjax.networks import windows
from nstjax.networks.vgg import CONVOLUTIONS, PADDINGS, POOLING_SIZES, POOLINGS, PREPROCESSINGS

# Of a config, to those of `jax.default_matmul_precision`.
PRECISIONS = {"": None, "highest": "float32", "high": "tensorfloat32", "bfloat16": "bfloat16"}
LARGEST_SEED = 2**32 - 1
_LARGEST = 3.4e38  # in float32
_LARGEST_COUNT = 2**31 - 1
_LARGEST_CALL = 10**6  # steps whose rows are held at a time


def as_config(config):
    """The config as a ConfigDict, of which a plain dict is made.

    Raises:
      UserError: for anything else.
    """
    if isinstance(config, ConfigDict):
        return config
    if isinstance(config, Mapping):
        return ConfigDict(config)
    raise UserError(f"the config must be a ConfigDict or a dict; got {type(config).__name__}")


def needs_keys(config, needed, example):
    """Raises UserError for a config without a key that configs of its method have."""
    for key in needed:
        if key not in config:
            raise UserError(f"the config has no key {key!r}; expected that of {example}")


def completed(config, like):
    """The config with the keys that it lacks of an example, such as one that was written before they were.

    Raises:
      UserError: for a config that has an unknown key instead, which may be one of them mistyped.
    """
    missing = {key: value for key, value in like.items() if key not in config}
    if not missing:
        return config
    unknown = [key for key in config if key not in like]
    if unknown:
        raise UserError(f"the config's key {unknown[0]!r} is unknown{nearest(unknown[0], list(missing))}")
    made = config.copy_and_resolve_references()
    with made.unlocked():
        made.update(missing)
    return made


def stage_values(config):
    """Raises UserError for a value of a stage that is out of range, or not among the valid names."""
    at_least = {
        "seed": 0,
        "row_devices": 0,
        "size": 1,
        "style_size": 0,
        "steps": 0,
        "max_evaluations": 0,
        "max_seconds": 0,
        "noise_scale": 0,
        "steps_per_call": 1,
        "log_every": 1,
        "preview_every": 1,
        "checkpoint_every": 1,
    }
    for key, least in at_least.items():
        check_at_least(key, config[key], least)
        most = {"seed": LARGEST_SEED, "steps_per_call": _LARGEST_CALL}.get(key, _LARGEST_COUNT)
        at_most(key, config[key], most)
    if config.learning_rate is not None:
        check_at_least("learning_rate", config.learning_rate, 0)
    if not 0 <= config.ema < 1:
        raise UserError(f"ema must be in [0, 1); got {config.ema}")
    check_choice("preprocessing", config.preprocessing, ("", *PREPROCESSINGS))
    check_choice("beyond_weights", config.beyond_weights, ("refuse", "drop"))
    check_choice("pooling", config.pooling, POOLINGS)
    check_choice("pooling_size", config.pooling_size, POOLING_SIZES)
    check_choice("padding", config.padding, tuple(PADDINGS))
    convolutions(config)
    if config.tile < 0 or config.tile % windows.STEP:
        raise UserError(f"tile must be a multiple of {windows.STEP}, or 0; got {config.tile}")
    row_devices(config)
    for key in ("style_angles", "style_scales"):
        numbers(key, config[key])
    for scale in config.style_scales:
        if not scale > 0:
            raise UserError(f"style_scales must be above 0; got {scale}")


def convolutions(config):
    """Raises UserError for a conv or a precision that is unknown, and for two that do not go together."""
    check_choice("conv", config.conv, CONVOLUTIONS)
    check_choice("precision", config.precision, PRECISIONS)
    if config.conv == "winograd" and config.precision == "bfloat16":
        raise UserError("conv=winograd is for features in float32; got precision=bfloat16")


def row_devices(config):
    """Raises UserError for more devices than there are, and for what is not divided among several."""
    there = jax.local_device_count()
    if config.row_devices > there:
        raise UserError(f"row_devices must be at most {there}, the devices here; got {config.row_devices}")
    if (config.row_devices or there) > 1:
        for key, whole in (("conv", "winograd"), ("tile", config.tile or None)):
            if config[key] == whole:
                raise UserError(f"{key}={whole} is for one device; got row_devices={config.row_devices}")


def built(key, given, build):
    """What `build(given)` returns, of a dict of values that a config gives under a key.

    Raises:
      UserError: where it fails, with the one of the values without which it would not.
    """
    try:
        return build(given)
    except UserError as error:
        if str(error).startswith(key):
            raise
        reason = str(error)
    except Exception as error:  # What libraries refuse can be of any kind.
        first = str(error).strip().partition("\n")[0]
        reason = first if isinstance(error, ValueError) else f"{type(error).__name__}: {first}"
    unnamed = {} if any(name in reason for name in given) else given
    for name, value in unnamed.items():
        if _builds(build, {other: given[other] for other in given if other != name}):
            raise UserError(f"{key}.{name}: {value!r} cannot be used ({reason})") from None
    raise UserError(f"{key}: {reason}") from None


def _builds(build, given):
    try:
        build(given)
        return True
    except Exception:
        return False


def at_most(key, value, most):
    """Raises UserError for a number above the most."""
    if value > most:
        raise UserError(f"{key} must be at most {most}; got {value}")


def kinds(config, like, prefix=""):
    """Raises UserError for a value of another type than that of an example.

    Args:
      config: a ConfigDict.
      like: {key: a value of the type wanted}; None takes a number or None, a float any number.
      prefix: of the keys, for the message.
    """
    for key, example in like.items():
        value, kind = config.get(key, example), type(example)
        if isinstance(example, (tuple, list)):
            fits, name = isinstance(value, (tuple, list)), "tuple"
        elif isinstance(example, Mapping | ConfigDict):
            fits, name = isinstance(value, Mapping | ConfigDict), "dict"
        elif example is None or kind is float:
            fits, name = _is_number(value) or example is value, "float"
        else:
            fits, name = type(value) is kind, kind.__name__
        if not fits:
            raise UserError(f"{prefix}{key} must be of type {name}; got {value!r}")


def of_signature(function, given, prefix):
    """Raises UserError for an argument of another type than a function says: bool, int, float or str."""
    example = {bool: False, int: 0, float: 0.0, str: ""}
    parameters = inspect.signature(function).parameters
    like = {key: example[kind] for key in given if (kind := parameters[key].annotation) in example}
    kinds(given, like, prefix)


def _is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def numbers(key, values):
    """Raises UserError where one of the values is no number."""
    for value in values:
        if not _is_number(value):
            raise UserError(f"{key}: expected a number; got {value!r}")


def finite(key, value):
    """Raises UserError for a number anywhere in nested dicts and lists that is not finite in float32."""
    if isinstance(value, dict):
        for name, item in value.items():
            finite(f"{key}.{name}" if key else name, item)
    elif isinstance(value, (tuple, list)):
        for item in value:
            finite(key, item)
    elif isinstance(value, float) and not math.isfinite(value):
        raise UserError(f"{key} must be finite; got {value}")
    elif isinstance(value, (int, float)) and abs(value) > _LARGEST:
        raise UserError(f"{key} must be at most {_LARGEST:g}, as float32 can hold; got {value}")


def known_keys(name, given, config):
    """Raises UserError for a key of nested dicts that the config does not have."""
    for key, value in given.items():
        if key not in config:
            raise UserError(f"{name}.{key} is unknown{nearest(key, list(config))}")
        if hasattr(value, "items") and hasattr(config[key], "items"):
            known_keys(f"{name}.{key}", value, config[key])
