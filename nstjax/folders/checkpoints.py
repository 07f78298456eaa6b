"""The content of a checkpoint: the arrays of a pytree in one file, and a dict of JSON beside it.

Orbax keeps the checkpoints, each whole or not there. Its own handlers write for the first of several
processes alone, where here each has checkpoints of its own.
"""

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp


def manager(path):
    """An orbax manager that keeps the last two checkpoints in a folder that is there, saved by `Save`."""
    alone = ocp.options.MultiprocessingOptions(
        primary_host=jax.process_index(),
        active_processes={jax.process_index()},
        barrier_sync_key_prefix=f"process-{jax.process_index()}",
    )
    options = ocp.CheckpointManagerOptions(
        max_to_keep=2, create=False, enable_async_checkpointing=False, multiprocessing_options=alone
    )
    return ocp.CheckpointManager(path, options=options)


class Handler(ocp.CheckpointHandler):
    """Writes a checkpoint's two files; the second has the hash of both contents."""

    def save(self, directory, args):
        arrays = [np.asarray(_numbers(leaf)) for leaf in jax.tree.leaves(args.tree)]
        np.savez(directory / "arrays.npz", *arrays)
        content = {"progress": args.progress, "sha256": _digest(arrays, args.progress)}
        (directory / "progress.json").write_text(json.dumps(content))

    def restore(self, directory, args=None):
        raise NotImplementedError("`read` reads; orbax guesses from other checkpoints how one is to be read")


def read(path, like=None):
    """The pytree of a checkpoint, as `like`; or the dict, where that is None.

    Args:
      path: of the checkpoint.
      like: a pytree of arrays.

    Raises:
      Exception: of any kind where it is damaged; ValueError where its arrays are not shaped as `like`.
    """
    folder = Path(path, ocp.checkpoint_manager.DEFAULT_ITEM_NAME)
    content = json.loads((folder / "progress.json").read_text())
    with np.load(folder / "arrays.npz", allow_pickle=False) as file:
        saved = [file[name] for name in file.files]
    if content["sha256"] != _digest(saved, content["progress"]):
        raise ValueError("its content is not what was saved")
    if like is None:
        return content["progress"]
    leaves, structure = jax.tree.flatten(like)
    numbers = [_numbers(leaf) for leaf in leaves]
    if [(a.shape, a.dtype) for a in saved] != [(a.shape, a.dtype) for a in numbers]:
        raise ValueError("its arrays are not those of this run")
    return jax.tree.unflatten(structure, map(_like, saved, leaves))


def _numbers(leaf):
    """An array, or the numbers that a PRNG key is made of."""
    return jax.random.key_data(leaf) if _is_key(leaf) else leaf


def _like(array, leaf):
    """The array as a leaf of the pytree that it was saved from."""
    array = jnp.asarray(array)
    return jax.random.wrap_key_data(array, impl=jax.random.key_impl(leaf)) if _is_key(leaf) else array


def _is_key(leaf):
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _digest(arrays, progress):
    """SHA-256 of arrays and a dict of JSON."""
    digest = hashlib.sha256(json.dumps(progress, sort_keys=True).encode())
    for array in arrays:
        digest.update(np.ascontiguousarray(array))
    return digest.hexdigest()


@ocp.args.register_with_handler(Handler, for_save=True, for_restore=True)
@dataclasses.dataclass
class Save(ocp.args.CheckpointArgs):
    """To save a pytree of arrays and a dict."""

    tree: Any
    progress: dict
