"""A run folder: what an experiment leaves behind, written so that it can be killed at any moment."""

import contextlib
import fcntl
import json
import logging
import os
from pathlib import Path

import jax
import orbax.checkpoint as ocp

from nstjax import io
from nstjax.errors import UserError


class RunFolder:
    """The folder of one run. Only one process at a time may hold it.

    It holds `config.json`, `provenance.json`, `metrics.jsonl`, `preview.png`, `checkpoints/`, and when
    the run has finished `image.png` and `report.html`.

    Attributes:
      path: the folder.
      finished: whether `image.png` was there.
    """

    def __init__(self, path, config, provenance):
        """Opens or makes the folder.

        Args:
          path: the folder.
          config: the resolved config, a dict for JSON.
          provenance: a dict for JSON whose entry "inputs" says what the result depends on.

        Raises:
          UserError: where it cannot be written, another process holds it, or it belongs to a run with
            another config or other inputs.
        """
        self.path = Path(path).expanduser().absolute()
        with io.writing(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock = open(self.path / ".lock", "a")  # noqa: SIM115
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UserError(f"{self.path} is in use by another run; give it another workdir") from None
        self._claim(config, provenance)
        self.finished = (self.path / "image.png").exists()
        self._logs = None
        self._manager = None

    def _claim(self, config, provenance):
        config = json.loads(json.dumps(config))
        provenance = json.loads(json.dumps(provenance))
        if (self.path / "config.json").exists():
            before = self.read_json("config.json")
            if before != config:
                raise UserError(
                    f"{self.path} holds a run with another config ({_first_difference(before, config)}); "
                    "give this one another workdir"
                )
            if (self.path / "provenance.json").exists():
                before, now = self.read_json("provenance.json")["inputs"], provenance["inputs"]
                if before != now:
                    raise UserError(
                        f"{self.path} holds a run with other inputs ({_first_difference(before, now)}); "
                        "give this one another workdir"
                    )
                return
        io.write_json(self.path / "config.json", config)
        io.write_json(self.path / "provenance.json", provenance)

    def read_json(self, name):
        """The content of a JSON file of the folder."""
        return json.loads((self.path / name).read_text())

    def latest(self):
        """Number of the last checkpoint, or None."""
        return self._checkpoints().latest_step()

    def save(self, number, state, progress):
        """Saves a pytree and a dict of JSON numbers as checkpoint `number`, with the metrics so far.

        Raises:
          UserError: where there is no room for it.
        """
        with io.writing(self.path / "metrics.jsonl"):
            size = 0
            if self._logs is not None:
                os.fsync(self._logs.fileno())
                size = self._logs.tell()
        args = ocp.args.Composite(
            state=ocp.args.StandardSave(state),
            progress=ocp.args.JsonSave({**progress, "metrics_bytes": size}),
        )
        try:
            self._checkpoints().save(number, args=args)
            self._checkpoints().wait_until_finished()
        except (OSError, ValueError) as error:
            raise UserError(f"cannot write {self.path / 'checkpoints'}: {_one_line(error)}") from None

    def progress(self, number):
        """The dict saved with checkpoint `number`."""
        args = ocp.args.Composite(progress=ocp.args.JsonRestore())
        return self._checkpoints().restore(number, args=args).progress

    def restore(self, number, like):
        """The pytree saved as checkpoint `number`, with the structure and shapes of `like`."""
        abstract = jax.tree.map(ocp.utils.to_shape_dtype_struct, like)
        args = ocp.args.Composite(state=ocp.args.StandardRestore(abstract))
        return self._checkpoints().restore(number, args=args).state

    def open_metrics(self, size):
        """Makes `metrics.jsonl` ready for lines after its first `size` bytes; what follows is dropped."""
        with io.writing(self.path / "metrics.jsonl"):
            self._logs = open(self.path / "metrics.jsonl", "ab")  # noqa: SIM115
            self._logs.truncate(size)
            self._logs.seek(size)

    def log(self, rows):
        """Appends dicts to `metrics.jsonl`, one a line."""
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        with io.writing(self.path / "metrics.jsonl"):
            self._logs.write(lines.encode())
            self._logs.flush()

    def close(self):
        """Gives the folder up."""
        if self._manager is not None:
            self._manager.close()
        if self._logs is not None:
            with contextlib.suppress(OSError):
                self._logs.close()
        self._lock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _checkpoints(self):
        if self._manager is None:
            logging.getLogger("absl").setLevel(logging.ERROR)
            options = ocp.CheckpointManagerOptions(max_to_keep=1, enable_async_checkpointing=False)
            with io.writing(self.path / "checkpoints"):
                self._manager = ocp.CheckpointManager(self.path / "checkpoints", options=options)
        return self._manager


def _first_difference(before, now, prefix=""):
    """The first key, dotted, at which two nested dicts differ, with both values."""
    for key in sorted(before.keys() | now.keys()):
        a, b = before.get(key), now.get(key)
        if a != b:
            if isinstance(a, dict) and isinstance(b, dict):
                return _first_difference(a, b, f"{prefix}{key}.")
            return f"{prefix}{key}: {a!r} there, {b!r} here"
    return ""


def _one_line(error):
    return str(error).strip().split("\n")[0][:200]
