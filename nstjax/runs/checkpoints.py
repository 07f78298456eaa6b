"""The content of a checkpoint: the arrays of a pytree in one file, and a dict of JSON beside it.

Orbax keeps the checkpoints, each whole or not there. Its own handlers write for the first of several
processes alone, where here each has checkpoints of its own.
"""

import dataclasses
import json
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp


def manager(path):
    """An orbax manager that keeps the last checkpoint in a folder that is there, saved by `Save`."""
    alone = ocp.options.MultiprocessingOptions(
        primary_host=jax.process_index(),
        active_processes={jax.process_index()},
        barrier_sync_key_prefix=f"process-{jax.process_index()}",
    )
    options = ocp.CheckpointManagerOptions(
        max_to_keep=1, create=False, enable_async_checkpointing=False, multiprocessing_options=alone
    )
    return ocp.CheckpointManager(path, options=options)


class Handler(ocp.CheckpointHandler):
    """Writes and reads a checkpoint's two files."""

    def save(self, directory, args):
        np.savez(directory / "arrays.npz", *map(np.asarray, jax.tree.leaves(args.tree)))
        (directory / "progress.json").write_text(json.dumps(args.progress))

    def restore(self, directory, args):
        if args.like is None:
            return json.loads((directory / "progress.json").read_text())
        leaves, structure = jax.tree.flatten(args.like)
        with np.load(directory / "arrays.npz", allow_pickle=False) as file:
            saved = [file[name] for name in file.files]
        if [(a.shape, a.dtype) for a in saved] != [(a.shape, a.dtype) for a in leaves]:
            raise ValueError("its arrays are not those of this run")
        return jax.tree.unflatten(structure, map(jnp.asarray, saved))


@ocp.args.register_with_handler(Handler, for_save=True)
@dataclasses.dataclass
class Save(ocp.args.CheckpointArgs):
    """To save a pytree of arrays and a dict."""

    tree: Any
    progress: dict


@ocp.args.register_with_handler(Handler, for_restore=True)
@dataclasses.dataclass
class Restore(ocp.args.CheckpointArgs):
    """To read the arrays, as the pytree `like`; or the dict, where that is None."""

    like: Any = None
