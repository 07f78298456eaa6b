"""A run folder: the outputs of a run, written so that it can be killed at any moment."""

import contextlib
import fcntl
import hashlib
import json
import logging
import os
import re

import jax
import numpy as np

from nstjax import files
from nstjax.errors import UserError
from nstjax.runs import checkpoints


def hold(path):
    """Makes a folder where there is none and locks it, until the file that is returned is closed.

    Raises:
      UserError: where it cannot be written, or another process holds it.
    """
    with files.writing(path):
        if path.exists() and not path.is_dir():
            raise UserError(f"{path} is a file; expected a folder, or the name for one")
        path.mkdir(parents=True, exist_ok=True)
        lock = open(path / ".lock", "a")  # noqa: SIM115
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.close()
        if isinstance(error, BlockingIOError):
            raise UserError(f"{path} is in use by another run; give this one another workdir") from None
        raise UserError(f"cannot lock {path}: {error.strerror}; give another workdir") from None
    return lock


class RunFolder:
    """The folder of one run. Only one process at a time may hold it.

    It holds `config.json`, `provenance.json`, `metrics.jsonl`, `preview.png`, `checkpoints/`, and when
    the run has finished `weights.json` (those of its last stage, after calibration), `image.png` and
    `report.html`.

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
        self.path = files.user_path(path)
        if any("\ud800" <= c <= "\udfff" for c in str(self.path)):
            raise UserError(
                f"{self.path}: the name is not text, as checkpoints need it; give another workdir"
            )
        self._lock = hold(self.path)
        try:
            self._claim(config, provenance)
        except BaseException:
            self._lock.close()
            raise
        self.finished = (self.path / "image.png").is_file()
        self._logs = None
        self._manager = None

    def _claim(self, config, provenance):
        config = json.loads(json.dumps(config))
        provenance = json.loads(json.dumps(provenance))
        if (self.path / "config.json").exists():
            before = files.read_json(self.path / "config.json")
            if before != config:
                raise UserError(
                    f"{self.path} holds a run with another config ({_first_difference(before, config)}); "
                    "give this one another workdir"
                )
            if (self.path / "provenance.json").exists():
                before = files.read_json(self.path / "provenance.json").get("inputs", {})
                now = provenance["inputs"]
                if before != now:
                    raise UserError(
                        f"{self.path} holds a run with other inputs ({_first_difference(before, now)}); "
                        "give this one another workdir"
                    )
                return
        files.write_json(self.path / "config.json", config)
        files.write_json(self.path / "provenance.json", provenance)

    def latest(self):
        """Number of the last checkpoint, or None."""
        return self._checkpoints().latest_step()

    def save(self, number, state, progress):
        """Saves a pytree and a dict of JSON numbers as checkpoint `number`, with the metrics so far.

        Raises:
          UserError: where there is no room for it.
        """
        with files.writing(self.path / "metrics.jsonl"):
            size = 0
            if self._logs is not None:
                os.fsync(self._logs.fileno())
                size = self._logs.tell()
        progress = {**progress, "metrics_bytes": size, "sha256": _digest(state)}
        manager = self._checkpoints()
        try:
            manager.save(number, args=checkpoints.Save(state, progress))
            manager.wait_until_finished()
        except (OSError, ValueError) as error:
            raise UserError(f"cannot write {self.path / 'checkpoints'}: {_reason(error)}") from None

    def progress(self, number):
        """The dict saved with checkpoint `number`.

        Raises:
          UserError: where the checkpoint is damaged.
        """
        with self._restoring(number):
            return self._checkpoints().restore(number, args=checkpoints.Restore())

    def restore(self, number, like):
        """The pytree saved as checkpoint `number`, with the structure and shapes of `like`.

        Raises:
          UserError: where the checkpoint is damaged.
        """
        with self._restoring(number):
            state = self._checkpoints().restore(number, args=checkpoints.Restore(like))
            if _digest(state) != self.progress(number)["sha256"]:
                raise ValueError("its content is not what was saved")
            return state

    @contextlib.contextmanager
    def _restoring(self, number):
        try:
            yield
        except Exception as error:  # Orbax fails in any way on damaged files.
            path = self.path / "checkpoints" / str(number)
            raise UserError(
                f"cannot read {path} ({_reason(error)}); without it the run starts anew"
            ) from None

    def open_metrics(self, size):
        """Makes `metrics.jsonl` ready for lines after its first `size` bytes; what follows is dropped.

        Raises:
          UserError: where those bytes are not lines of JSON, or there is no room.
        """
        path = self.path / "metrics.jsonl"
        if size:
            files.read_json_lines(path, size)
        with files.writing(path):
            self._logs = open(path, "ab")  # noqa: SIM115
            self._logs.truncate(size)
            self._logs.seek(size)

    def log(self, rows):
        """Appends dicts to `metrics.jsonl`, one a line."""
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        with files.writing(self.path / "metrics.jsonl"):
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
            logging.getLogger("absl").setLevel(logging.CRITICAL)  # What it says is raised as well.
            with files.writing(self.path / "checkpoints"):
                (self.path / "checkpoints").mkdir(exist_ok=True)
                self._manager = checkpoints.manager(self.path / "checkpoints")
        return self._manager


def _digest(state):
    """SHA-256 of a pytree's arrays."""
    digest = hashlib.sha256()
    for array in jax.tree.leaves(state):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _first_difference(before, now, prefix=""):
    """The first key, dotted, at which two nested dicts differ, with both values."""
    if not (isinstance(before, dict) and isinstance(now, dict)):
        return f"{prefix}: {before!r} there, {now!r} here"
    key = min(k for k in before.keys() | now.keys() if before.get(k) != now.get(k))
    return _first_difference(before.get(key), now.get(key), f"{prefix}.{key}" if prefix else key)


def _reason(error):
    """The cause of an error of orbax: the operating system's words where they can be had."""
    if number := re.search(r"os_error_code='(\d+)'", str(error)):
        return os.strerror(int(number[1]))
    return getattr(error, "strerror", None) or str(error).strip().split("\n")[0][:200]
