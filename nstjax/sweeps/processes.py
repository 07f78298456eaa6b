"""Several processes of `jax.distributed`: which points each takes, and where they wait."""

from collections.abc import Mapping
from typing import Any

import jax
from jax.experimental import multihost_utils


def local_shard(points: Mapping[str, Any]) -> dict[str, Any]:
    """The points that this process takes."""
    return {name: points[name] for name in [*points][jax.process_index() :: jax.process_count()]}


def barrier(reached: str) -> None:
    """Waits until every process has come so far."""
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices(reached)
