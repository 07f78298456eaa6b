"""The photorealistic filters of a config, which follow a finished picture."""

import jax
import jax.numpy as jnp
import numpy as np

from nstjax import images, photorealism
from nstjax.errors import UserError, check_choice
from nstjax.runs import terms


def build(config) -> tuple[photorealism.Filter, ...]:
    """The filters that `photorealistic` and `photorealistic_args` of a config say, in order.

    Raises:
      UserError: for an unknown name or argument, and for a config without content.
    """
    names = [name.strip() for name in config["photorealistic"].split(",") if name.strip()]
    given = config["photorealistic_args"]
    for name in names:
        check_choice("photorealistic", name, photorealism.NAMES)
    if names and not config["content"]:
        raise UserError("photorealistic is given, but content is empty; the filters follow a content")
    for name in given:
        check_choice("photorealistic_args", name, names)
    return tuple(
        terms.call_factory(f"photorealistic_args.{name}", photorealism, name, given.get(name, {}))
        for name in names
    )


def filtered(run, image) -> tuple[np.ndarray, dict[str, bytes]]:
    """(picture [H, W, 3] of a `Run` through its filters, {file: bytes} of the picture before them)."""
    filters = build(run.config)
    if not filters:
        return image, {}
    before, content = images.encode_png(image, run.label), images.resize(run.content.pixels, *image.shape[:2])
    image, content = jnp.clip(image, 0, 1), jnp.asarray(content)
    for follow in filters:
        image = jnp.clip(jax.jit(follow)(image, content), 0, 1)
    if not jnp.isfinite(image).all():
        raise UserError("photorealistic: the filtered picture is not finite; give other photorealistic_args")
    return np.asarray(image), {"unfiltered.png": before}
