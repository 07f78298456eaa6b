"""The pictures that a config names."""

import os

from nstjax import images, validate
from nstjax.errors import UserError


def read(name, cache):
    """The `Picture` of a name, each once."""
    return cache(("picture", name), lambda: images.load_picture(name))


def read_styles(config, cache):
    """The `Picture`s of `style`.

    Raises:
      UserError: for a picture that cannot be read, and `style_weights` that do not suit them.
    """
    styles = tuple(read(name, cache) for name in names(config.style))
    validate.numbers("style_weights", config.style_weights)
    if config.style_weights and len(config.style_weights) != len(styles):
        raise UserError(
            f"style_weights has {len(config.style_weights)} numbers for {len(styles)} style pictures"
        )
    if config.style_weights and not sum(config.style_weights) > 0:
        raise UserError(f"style_weights must add up to more than 0; got {tuple(config.style_weights)}")
    return styles


def names(text):
    """The names in a text, separated by commas; a file whose own name has commas is one."""
    if os.path.isfile(os.path.expanduser(text)):
        return (text,)
    return tuple(filter(None, map(str.strip, text.split(","))))


def blend_weights(config, styles):
    """One blend weight per style, equal by default."""
    return tuple(config.style_weights) or (1.0,) * len(styles)
