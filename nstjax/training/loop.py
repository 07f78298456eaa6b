"""The one loop that trains networks: compiled steps over batches, in a run folder."""

import concurrent.futures
import functools
import itertools
import math
import os
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jax.tree_util import Partial

from nstjax.errors import NotFiniteError
from nstjax.folders import RunFolder
from nstjax.networks.transformer import BATCH_AXIS
from nstjax.progress import progress_bar
from nstjax.training import data
from nstjax.training.processes import as_first

_MOST_THREADS = 14


class TrainState(NamedTuple):
    """The state of training between two steps; a pytree of arrays, and the whole content of a checkpoint.

    Attributes:
      params: of the network.
      optimizer: the optimiser's state.
      average: the exponential moving average of `params`, or None.
    """

    params: Any
    optimizer: Any
    average: Any = None

    @property
    def result(self) -> Any:
        """The average of the params where there is one, else the params."""
        return self.params if self.average is None else self.average


class Watch(NamedTuple):
    """What is looked at in the course of training.

    Attributes:
      every: steps between two looks; the last step is looked at as well.
      look: `look(step, params) -> {name: number}`, for a line of the metrics.
    """

    every: int
    look: Callable[[int, Any], dict[str, float]]


def train(
    folder: RunFolder,
    loss: Callable,
    params: Any,
    optimizer: optax.GradientTransformation,
    batches: Any,
    *,
    steps: int,
    log_every: int,
    checkpoint_every: int,
    average: float = 0.0,
    watch: Watch | None = None,
) -> TrainState:
    """Trains `params` from the last checkpoint of a run folder, or from the start.

    A batch is divided among the local devices, as many of them as divide it evenly; gradients are means over
    the devices of all processes. Checkpoints are written while the next steps are made.

    Args:
      folder: for `metrics.jsonl` and checkpoints; a `Follower` in every process but the first.
      loss: `loss(params, batch) -> (scalar, {name: scalar})`. The arrays of a `jax.tree_util.Partial` are
        arguments of the compiled step; those that a function closes over are compiled into it.
      params: a pytree of arrays.
      optimizer: a gradient transformation, such as of `nstjax.training.optimizers`.
      batches: a `grain.MapDataset` of pytrees of arrays, this process's share of them; batch i serves step i.
      steps: in all.
      log_every: steps between lines of metrics, each a mean over the steps since the last one.
      checkpoint_every: steps between checkpoints.
      average: the decay of an average of the params, which forgets its start faster: after n steps the decay
        is at most n / (9 + n). 0 for none.
      watch: a `Watch`, or None.

    Returns:
      The `TrainState` after the last step.

    Raises:
      NotFiniteError: if the loss is not finite; the last checkpoint is finite.
      UserError: if grain is not installed.
    """
    grain = data.import_grain()
    loss = loss if isinstance(loss, Partial) else Partial(loss)
    state = TrainState(params, optimizer.init(params), params if average else None)
    state = jax.tree.map(jnp.array, state)  # Steps donate their arrays, so that no two may be one.
    number, saved = folder.resume()
    saved = saved or {"step": 0, "seconds": 0.0, "metrics_bytes": 0}
    state = state if number is None else folder.restore(number, state)
    saved, state = as_first((saved, state))
    folder.open_metrics(saved["metrics_bytes"])
    first, seconds, start, rows = int(saved["step"]), float(saved["seconds"]), time.perf_counter(), []
    threads = max(1, min(_MOST_THREADS, (os.cpu_count() or 2) - 1))
    options = grain.ReadOptions(num_threads=threads, prefetch_buffer_size=4 * threads)
    mesh = _mesh(batches[0]) if first < steps else None
    loss, state = (_placed(mesh, tree, PartitionSpec()) for tree in (loss, state))
    stream = itertools.islice(batches[first:].to_iter_dataset(options), steps - first)
    bar = progress_bar(stream, total=steps, initial=first, unit="step")
    with _Saver(folder) as save:
        for step, batch in enumerate(bar, first + 1):
            placed = _placed(mesh, batch, PartitionSpec(BATCH_AXIS))
            decay = min(average, step / (9 + step))
            state, row = _step(optimizer, mesh, loss, decay, state, placed)
            rows.append(row)
            last = step == steps
            looked = watch is not None and (last or step % watch.every == 0)
            if step % log_every == 0 or last or looked or step % checkpoint_every == 0:
                means = jax.tree.map(lambda *values: float(np.mean(values)), *rows)
                if not np.isfinite(means["loss"]):
                    raise NotFiniteError(
                        f"the loss was not finite between steps {step - len(rows) + 1} and {step}; "
                        f"the last checkpoint in {folder.path} is finite: try a smaller learning rate"
                    )
                spent = seconds + time.perf_counter() - start
                found = watch.look(step, state.result) if looked else {}
                folder.log([{"step": step, "seconds": round(spent, 3), **means, **found}])
                bar.set_postfix_str(f"loss {means['loss']:.4g}", refresh=False)
                rows = []
            if step % checkpoint_every == 0 or last:
                save(step, state, spent)
    return state


class _Saver:
    """Writes checkpoints of a run folder in a thread, one at a time."""

    def __init__(self, folder):
        self._folder, self._pool = folder, concurrent.futures.ThreadPoolExecutor(1)
        self._writing = None

    def __call__(self, step, state, seconds):
        self._settle()
        size = self._folder.sync_metrics()
        # The next step gives the arrays of the state up.
        written = step, jax.tree.map(np.array, state), {"step": step, "seconds": seconds}
        self._writing = self._pool.submit(self._folder.save, *written, size)

    def _settle(self):
        writing, self._writing = self._writing, None
        if writing:
            writing.result()

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        self._pool.shutdown()
        if kind is None:
            self._settle()


def _mesh(batch):
    """The devices that a batch is divided among, or None for one."""
    size = jax.tree.leaves(batch)[0].shape[0]
    count = math.gcd(size, jax.local_device_count())
    each = [jax.local_devices(process)[:count] for process in range(jax.process_count())]
    devices = np.concatenate(each)
    return Mesh(devices, (BATCH_AXIS,)) if len(devices) > 1 else None


def _placed(mesh, tree, spec):
    """The arrays of a pytree on the devices of a mesh; of several processes, each gives its share."""
    if mesh is None:
        return jax.tree.map(jnp.asarray, tree)
    return jax.make_array_from_process_local_data(NamedSharding(mesh, spec), tree)


@functools.partial(jax.jit, static_argnums=(0, 1), donate_argnums=4)
def _step(optimizer, mesh, loss: Callable, decay, state, batch):
    def graded(loss, params, batch):
        found = jax.value_and_grad(loss, has_aux=True)(params, batch)
        return found if mesh is None else jax.lax.pmean(found, BATCH_AXIS)

    if mesh is not None:
        whole, shares = PartitionSpec(), PartitionSpec(BATCH_AXIS)
        specs = {"in_specs": (whole, whole, shares), "out_specs": whole}
        graded = jax.shard_map(graded, mesh=mesh, check_vma=False, **specs)
    (value, report), gradient = graded(loss, state.params, batch)
    updates, moments = optimizer.update(gradient, state.optimizer, state.params)
    params = optax.apply_updates(state.params, updates)
    slow = state.average
    slow = slow if slow is None else optax.incremental_update(params, slow, 1 - decay)
    return TrainState(params, moments, slow), {"loss": value, **report}
