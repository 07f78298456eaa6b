"""A trained network as one file that JAX runs without this package."""

import importlib
from types import ModuleType

import jax
import jax.numpy as jnp

from nstjax.errors import UserError
from nstjax.networks.stylizers import Stylizer
from nstjax.networks.transformer import Condition

PLATFORMS = ("cpu", "cuda", "rocm", "tpu")
_LEAST = 16  # quarters of the shorter side, more than a network reflects at its start


def to_jax(stylizer: Stylizer) -> bytes:
    """A network for JAX alone, on `PLATFORMS`.

    `jax.export.deserialize(bytearray(data)).call(image, styles, strengths)` runs it: image [H, W, 3] float32
    sRGB in [0, 1], H and W multiples of 4 from 64 on; styles [S], shares that add up to 1; strengths [K],
    log2 of factors; the result is as `image`.

    Raises:
      UserError: if flatbuffers is not installed.
    """
    import_library("flatbuffers")
    export = importlib.import_module("jax.export")
    bounds = [f"{side} >= {_LEAST}" for side in "hw"]
    h, w = export.symbolic_shape("h, w", constraints=bounds)
    shapes = [(4 * h, 4 * w, 3), (stylizer.network.styles,), (stylizer.network.strengths,)]

    def run(image, styles, strengths):
        return jnp.clip(stylizer.network.apply(stylizer.variables, image, Condition(styles, strengths)), 0, 1)

    arguments = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes]
    return bytes(export.export(jax.jit(run), platforms=PLATFORMS)(*arguments).serialize())


def import_library(name: str) -> ModuleType:
    """A library that only the extra `export` installs.

    Raises:
      UserError: if it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError:
        raise UserError(
            f"export needs the package {name}, which is not installed; install nstjax[export]"
        ) from None
