"""Several processes, on one machine or more, that train one network: the first keeps the run folder."""

from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils


class Follower:
    """Takes the place of a run folder in every process but the first: nothing is kept there."""

    def resume(self):
        return None, None

    def open_metrics(self, size):
        pass

    def log(self, rows):
        pass

    def sync_metrics(self):
        return 0

    def save(self, *state):
        pass


def as_first(tree: Any) -> Any:
    """A pytree of arrays and numbers as the first process has it; every process calls this at once."""
    return tree if jax.process_count() == 1 else multihost_utils.broadcast_one_to_all(tree)


def to_host(tree: Any) -> Any:
    """The arrays of a pytree, the same on all devices, as numpy's."""
    return jax.tree.map(np.asarray, tree)
