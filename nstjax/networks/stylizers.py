"""Trained networks that stylize: what they were taught, and their files."""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import safetensors.numpy
from flax.traverse_util import flatten_dict, unflatten_dict

from nstjax import files
from nstjax.errors import UserError, check_choice, nearest
from nstjax.networks import headers, layouts, shipped
from nstjax.networks.transformer import NORMS, OUTPUTS, PADDINGS, UPSAMPLINGS, Condition, Transformer

SHIPPED = ("paintings",)
CHOICES = {"norm": NORMS, "padding": PADDINGS, "upsampling": UPSAMPLINGS, "output": OUTPUTS}
_FIELDS = ("widths", "blocks", *CHOICES, "amplitude", "styles", "strengths")


@dataclasses.dataclass(frozen=True)
class Stylizer:
    """A trained `Transformer`.

    Attributes:
      network: the `Transformer`.
      variables: {"params": ..., "statistics": ... of batch norm}, float32.
      styles: names of its styles, in order.
      strengths: {term: (least, largest)} of the factors of loss weights that it was trained with, in order.
      label: of outputs.
      sha256: of the file.
      about: licence, origin and the like, texts by name.
    """

    network: Transformer
    variables: dict[str, Any]
    styles: tuple[str, ...]
    strengths: Mapping[str, tuple[float, float]]
    label: str
    sha256: str = ""
    about: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def condition(
        self, styles: str | Mapping[str, float] = "", strengths: Mapping[str, float] | None = None
    ) -> Condition:
        """What the network is told of styles by name and of loss weights.

        Args:
          styles: a name, or {name: weight} to blend, which are divided by their sum; "" for the first.
          strengths: {term: factor of its weight}; 1 where none is given.

        Raises:
          UserError: for a style or a term that the network was not trained with, a weight below 0, and a
            factor out of the range of training.
        """
        weights = {styles or self.styles[0]: 1.0} if isinstance(styles, str) else dict(styles)
        for name, weight in weights.items():
            check_choice("style", name, self.styles)
            if not 0 <= weight < np.inf:
                raise UserError(f"style {name}: its weight must be a number from 0 on; got {weight}")
        if not sum(weights.values()) > 0:
            raise UserError("the weights of the styles must add up to more than 0")
        shares = np.asarray([weights.get(name, 0.0) for name in self.styles], np.float32)
        given = dict(strengths or {})
        for name, factor in given.items():
            if name not in self.strengths:
                known = f"has {', '.join(self.strengths)}" if self.strengths else "has none"
                raise UserError(f"strength of {name}: the network was not trained with it; it {known}")
            least, most = self.strengths[name]
            if not least <= factor <= most:
                raise UserError(
                    f"strength of {name} must be in [{least:g}, {most:g}], as in training; got {factor}"
                )
        factors = [float(np.log2(given.get(name, 1.0))) for name in self.strengths]
        return Condition(jnp.asarray(shares / shares.sum()), jnp.asarray(factors, jnp.float32))


def encode(stylizer: Stylizer, dtype: Any = np.float32) -> bytes:
    """A trained network as the bytes of a safetensors file, with what it was taught in the header.

    Raises:
      UserError: for a value that is not finite in that dtype.
    """
    network = {name: getattr(stylizer.network, name) for name in _FIELDS}
    header = {
        "label": stylizer.label,
        "about": dict(stylizer.about),
        "preprocessing": dataclasses.asdict(stylizer.network.preprocessing),
        "network": network,
        "styles": stylizer.styles,
        "strengths": dict(stylizer.strengths),
    }
    flat = {}
    for name, array in flatten_dict(stylizer.variables, sep="/").items():
        with np.errstate(over="ignore"):
            flat[name] = np.asarray(array, dtype)
        if not np.isfinite(flat[name]).all():
            raise UserError(f"array {name!r} has values that are not finite as {np.dtype(dtype).name}")
    return safetensors.numpy.save(flat, metadata={"nstjax": json.dumps(header)})


def load(name: str | Path) -> Stylizer:
    """A trained network by the name of one that comes with the package, or by the path of a file of `encode`.

    Raises:
      UserError: for a file that is missing, truncated, or holds none; for an architecture that is not known,
        and an array that is missing, extra, misshapen or not finite.
    """
    if name in SHIPPED:
        return decode(name, shipped.read(f"{name}.safetensors"))
    place = files.user_path(name)
    if not files.is_file(place):
        near = files.near_file(place) or nearest(str(name), SHIPPED)
        raise UserError(f"network {name}: no such file or network of the package{near}")
    with files.reading(place):
        data = place.read_bytes()
    return decode(name, data)


def decode(name: str | Path, data: bytes) -> Stylizer:
    """The trained network in the bytes of a file; `name` is for errors, which are those of `load`."""
    arrays, header = headers.parse_safetensors(name, data)
    fields = header.get("network")
    if not isinstance(fields, dict) or set(fields) != set(_FIELDS):
        raise UserError(
            f"network {name}: the file holds no network that stylizes, as `experiments.train` writes"
        )
    try:
        network = _network(fields, headers.preprocessing_of(name, header))
        styles = tuple(str(style) for style in header["styles"])
        strengths = {str(k): (float(low), float(high)) for k, (low, high) in header["strengths"].items()}
        if len(styles) != network.styles or len(strengths) != network.strengths:
            raise ValueError("as many styles and strengths as the network has")
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"network {name}: its header is damaged ({error})") from None
    variables = _checked(name, network, arrays)
    digest = hashlib.sha256(data).hexdigest()
    return Stylizer(network, variables, styles, strengths, header["label"], digest, header["about"])


def _network(fields, preprocessing):
    for key, valid in CHOICES.items():
        check_choice(key, fields[key], valid)
    numbers = (*fields["widths"], fields["blocks"], fields["styles"], fields["strengths"])
    if len(fields["widths"]) != 3 or not all(type(n) is int and 0 <= n < 2**16 for n in numbers):
        raise ValueError("sizes that are whole numbers")
    return Transformer(**{**fields, "widths": tuple(fields["widths"]), "preprocessing": preprocessing})


def _checked(name, network, arrays):
    """The variables of a network, nested, from the arrays of a file."""
    arrays, found = dict(arrays), {}
    condition = Condition(jnp.zeros(network.styles), jnp.zeros(network.strengths))
    wanted = jax.eval_shape(network.init, jax.random.key(0), jnp.zeros((8, 8, 3)), condition)
    for key, like in flatten_dict(wanted, sep="/").items():
        array = arrays.pop(key, None)
        if array is None:
            raise UserError(f"network {name}: array {key!r} is missing, expected shape {like.shape}")
        found[key] = layouts.finite(f"network {name}", key, array, like.shape)
    if arrays:
        raise UserError(f"network {name}: array {next(iter(arrays))!r} is not part of the network")
    return unflatten_dict(found, sep="/")
