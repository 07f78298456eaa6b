"""Checks of a config's values, and the configs of its stages."""

import math

from nstjax.errors import UserError, nearest
from nstjax.networks import vgg

_OF_THE_RUN = (
    "content",
    "style",
    "content_mask",
    "style_mask",
    "weights",
    "normalise",
    "seed",
    "init",
    "max_evaluations",
    "max_seconds",
    "stages",
)


def keys(config, needed, kind):
    """Raises UserError for a config without a key that configs of its kind have."""
    for key in needed:
        if key not in config:
            raise UserError(f"the config has no key {key!r}; expected that of {kind}")


def stages(config):
    """One ConfigDict a stage: the config with the stage's keys over it."""
    if not config.stages:
        return [config]
    merged_stages = []
    for i, stage in enumerate(config.stages):
        if not hasattr(stage, "items"):
            raise UserError(f"stages[{i}] must be a dict of config keys; got {stage!r}")
        _known(f"stages[{i}]", stage, config)
        merged = config.copy_and_resolve_references()
        try:
            merged.update(stage)
        except (KeyError, AttributeError, TypeError) as error:
            raise UserError(f"stages[{i}]: {str(error).splitlines()[0]}") from None
        for key in stage:
            if key in _OF_THE_RUN:
                raise UserError(f"stages[{i}].{key} cannot differ between stages")
        merged_stages.append(merged)
    return merged_stages


def values(config):
    """Raises UserError for a value out of its range, or one that is not among the valid names."""
    at_least = {
        "seed": 0,
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
        if config[key] < least:
            raise UserError(f"{key} must be at least {least}; got {config[key]}")
    for key, most in {"seed": 2**32 - 1, "steps": 2**31 - 1, "max_evaluations": 2**31 - 1}.items():
        if config[key] > most:
            raise UserError(f"{key} must be at most {most}; got {config[key]}")
    if config.learning_rate is not None and config.learning_rate < 0:
        raise UserError(f"learning_rate must be at least 0; got {config.learning_rate}")
    if not 0 <= config.ema < 1:
        raise UserError(f"ema must be in [0, 1); got {config.ema}")
    for key, valid in (("pooling", vgg.POOLINGS), ("padding", tuple(vgg.PADDINGS))):
        if config[key] not in valid:
            raise UserError(f"{key} {config[key]!r} is unknown{nearest(config[key], valid)}")
    for key in ("style_weights", "style_angles", "style_scales"):
        numbers(key, config[key])
    for scale in config.style_scales:
        if not scale > 0:
            raise UserError(f"style_scales must be above 0; got {scale}")
    if config.style_weights and not sum(config.style_weights) > 0:
        raise UserError(f"style_weights must add up to more than 0; got {config.style_weights}")


def numbers(key, values):
    """Raises UserError where one of the values is no number."""
    for value in values:
        if not isinstance(value, (int, float)):
            raise UserError(f"{key}: expected a number; got {value!r}")


def finite(key, value):
    """Raises UserError for a number anywhere in nested dicts and lists that is not finite."""
    if isinstance(value, dict):
        for name, item in value.items():
            finite(f"{key}.{name}" if key else name, item)
    elif isinstance(value, (tuple, list)):
        for item in value:
            finite(key, item)
    elif isinstance(value, float) and not math.isfinite(value):
        raise UserError(f"{key} must be finite; got {value}")


def _known(name, stage, config):
    """Raises UserError for a key of nested dicts that the config does not have."""
    for key, value in stage.items():
        if key not in config:
            raise UserError(f"{name}.{key} is unknown{nearest(key, list(config))}")
        if hasattr(value, "items") and hasattr(config[key], "items"):
            _known(f"{name}.{key}", value, config[key])
