"""One picture on several devices, which divide its rows among them."""

import jax
import numpy as np
from jax import lax
from jax.sharding import Mesh, NamedSharding, PartitionSpec


def divided(devices: int, tree):
    """A pytree, inside a compiled function, whose pictures [..., H, W, C] are divided by rows.

    What is computed of them is divided too: XLA gives a convolution the rows at its neighbours' borders and
    adds up sums over positions.

    Args:
      devices: how many of the local ones; of 1, the tree as it is.
      tree: of arrays; those of fewer than three axes stay whole.
    """
    return _constrained(devices, tree, lambda ndim: (*[None] * (ndim - 3), "rows") if ndim >= 3 else ())


def whole(devices: int, tree):
    """A pytree, inside a compiled function, of which each device has all rows again."""
    return _constrained(devices, tree, lambda ndim: ())


def _constrained(devices, tree, spec):
    if devices == 1:
        return tree
    mesh = Mesh(np.array(jax.local_devices()[:devices]), ("rows",))

    def constrained(x):
        return lax.with_sharding_constraint(x, NamedSharding(mesh, PartitionSpec(*spec(x.ndim))))

    return jax.tree.map(constrained, tree)
