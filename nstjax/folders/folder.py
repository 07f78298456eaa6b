"""A run folder: the outputs of a run, written so that it can be killed at any moment."""

import contextlib
import errno
import json
import logging
import os
import re
import shutil

from nstjax import files
from nstjax.errors import CannotWrite, UserError, notify
from nstjax.folders import checkpoints


def hold(path, *, shared=False):
    """Makes a folder where there is none and locks it, until the file that is returned is closed.

    Args:
      path: the folder.
      shared: whether it may be shared with others that say so.

    Raises:
      UserError: where it cannot be written, another process holds it, or it is to be shared on a file system
        without locks.
    """
    with files.writing(path):
        if path.exists() and not path.is_dir():
            raise UserError(f"{path} is a file; expected a folder, or the name for one")
        path.mkdir(parents=True, exist_ok=True)
        if (path / ".lock").exists() and not (path / ".lock").is_file():
            raise UserError(f"{path / '.lock'} is no file; remove it, or give another workdir")
        open(path / ".lock", "a").close()
    try:
        lock = files.lock(path / ".lock", shared=shared)
    except OSError as error:
        if shared:
            raise UserError(
                f"{path} cannot be locked ({error.strerror}), so that it cannot be shared; expected a folder "
                "of a file system with locks"
            ) from None
        notify(f"note: {path} cannot be locked ({error.strerror}): see that no other run uses it")
        return open(path / ".lock", "a")
    if lock is None:
        raise UserError(f"{path} is in use by another run; give this one another workdir")
    return lock


# As orbax names a checkpoint that is being written, and a process that is killed leaves it.
_BEGUN_CHECKPOINT = ".orbax-checkpoint-tmp"
# What the system says of files that are not there, beside which all else is a refusal to read.
_GONE = (errno.ENOENT, errno.ENOTDIR, errno.EISDIR)
# What a run leaves before its first checkpoint, or where it failed; and at its end.
_BEGUN = (
    *("config.json", "provenance.json", "metrics.jsonl", "preview.png", "last_good.png", "validation"),
    *("best.safetensors", "checkpoints"),
)
_OUTPUTS = (
    *(*_BEGUN, "weights.json", "cost.json", "network.safetensors"),
    *("unfiltered.png", "image.png", "report.html"),
)


class RunFolder:
    """The folder of one run. Only one process at a time may hold it.

    It holds `config.json`, `provenance.json`, `metrics.jsonl`, `preview.png`, `checkpoints/`, and when
    the run has finished, in the place of those, `weights.json` (those of its last stage, after calibration),
    `image.png` and `report.html`.

    Attributes:
      path: the folder.
      finished: whether `image.png` was there.
    """

    def __init__(self, path, config, provenance, *, restart=None):
        """Opens or makes the folder.

        Args:
          path: the folder.
          config: the resolved config, a dict for JSON.
          provenance: a dict for JSON whose entry "inputs" says what the result depends on.
          restart: whether to remove what is there of a run; None where nobody can ask for it.

        Raises:
          UserError: where it cannot be written, another process holds it, or it has a result or a checkpoint
            of a run with another config or other inputs.
        """
        self.path = files.user_path(path)
        if any("\ud800" <= c <= "\udfff" for c in str(self.path)):
            raise UserError(
                f"{self.path}: the name is not text, as checkpoints need it; give another workdir"
            )
        self._lock = hold(self.path)
        try:
            files.remove_parts(self.path, _OUTPUTS)
            self._claim(config, provenance, restart)
        except BaseException:
            self._lock.close()
            raise
        self.finished = (self.path / "image.png").is_file()
        self._logs = None
        self._manager = None

    def _claim(self, config, provenance, restart):
        config = json.loads(json.dumps(config))
        provenance = json.loads(json.dumps(provenance))
        if not (self.path / "config.json").exists():
            for name in _OUTPUTS:
                if (self.path / name).exists():
                    raise UserError(f"{self.path} holds {name} and no run; give this one another workdir")
        elif restart:
            self._clear()
        elif other := self._difference(config, provenance):
            if self._has_results():
                offered = "" if restart is None else ", or replace that one with --restart"
                raise UserError(
                    f"{self.path} holds a run with {other}; give this one another workdir{offered}"
                )
            self._clear()
        if not (self.path / "provenance.json").exists():
            files.write_json(self.path / "config.json", config)
            files.write_json(self.path / "provenance.json", provenance)

    def _difference(self, config, provenance):
        """What sets the run in the folder apart, or None."""
        for name, key, now in (("config", None, config), ("provenance", "inputs", provenance["inputs"])):
            path = self.path / f"{name}.json"
            before = files.read_json(path) if path.exists() else None
            before = before.get(key, {}) if before and key else before
            if before is not None and before != now:
                return f"{'other inputs' if key else 'another config'} ({_first_difference(before, now)})"
        return None

    def _has_results(self):
        """Whether there is something that a run from the start would lose."""
        there = {path.name for path in self.path.iterdir()} - {*_BEGUN, ".lock"}
        return bool(there) or any((self.path / "checkpoints").glob("[0-9]*"))

    def _clear(self):
        """Removes what a run leaves."""
        for name in _OUTPUTS:
            path = self.path / name
            with files.writing(path):
                shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)

    def resume(self):
        """(number, dict) of the last checkpoint and what was saved with it, or (None, None).

        A checkpoint that is damaged, as after a loss of power, is removed, and the one before it serves.

        Raises:
          UserError: where one cannot be read, damaged or not (no permission, no memory).
        """
        manager = self._checkpoints()
        for number in sorted(manager.all_steps(), reverse=True):
            path = self.path / "checkpoints" / str(number)
            try:
                return number, checkpoints.read(path)
            except Exception as error:  # A damaged file can fail in any way.
                code = getattr(error, "errno", None)
                if isinstance(error, MemoryError) or code not in (None, *_GONE):
                    raise UserError(f"cannot read {path}: {_reason(error)}") from None
                notify(f"note: {path} is damaged and left out ({_reason(error)})")
                with files.writing(path):
                    shutil.rmtree(path)
                manager.reload()
        return None, None

    def save(self, number, state, progress, metrics_bytes=None):
        """Saves a pytree and a dict of JSON numbers as checkpoint `number`, with the metrics so far.

        It outlasts a loss of power, and so does the one before it.

        Args:
          number: of the checkpoint, above those that are there.
          state: the pytree.
          progress: the dict.
          metrics_bytes: what `sync_metrics` returned, where lines have been added since.

        Raises:
          CannotWrite: where there is no room for it.
        """
        size = self.sync_metrics() if metrics_bytes is None else metrics_bytes
        place, manager = self.path / "checkpoints", self._checkpoints()
        try:
            with _quiet_orbax():
                manager.save(number, args=checkpoints.Save(state, {**progress, "metrics_bytes": size}))
                manager.wait_until_finished()
            files.sync_tree(place / str(number))
        except (OSError, ValueError) as error:
            raise CannotWrite(f"cannot write {place}: {_reason(error)}") from None

    def sync_metrics(self):
        """Makes the metrics so far outlast a loss of power; returns their size in bytes.

        Raises:
          CannotWrite: where the disk refuses.
        """
        if self._logs is None:
            return 0
        path = self.path / "metrics.jsonl"
        with files.writing(path):
            self._logs.flush()
            files.sync(path)
            files.sync(self.path)
            return self._logs.tell()

    def restore(self, number, like):
        """The pytree saved as checkpoint `number`, with the structure and shapes of `like`.

        Raises:
          UserError: where it is that of another run.
        """
        path = self.path / "checkpoints" / str(number)
        try:
            return checkpoints.read(path, like)
        except (OSError, ValueError) as error:
            raise UserError(f"cannot read {path}: {_reason(error)}") from None

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

    def finish(self):
        """Removes what a finished run needs no more: its checkpoints, which can be large."""
        if self._manager is not None:
            self._manager.close()
            self._manager = None
        place = self.path / "checkpoints"
        for path in place.glob("[0-9]*"):
            shutil.rmtree(path, ignore_errors=True)
        with contextlib.suppress(OSError):  # Files of others may be there.
            place.rmdir()

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
            place = self.path / "checkpoints"
            with files.writing(place):
                place.mkdir(exist_ok=True)
                for path in place.iterdir():
                    if _BEGUN_CHECKPOINT in path.name:
                        shutil.rmtree(path)
                with _quiet_orbax():
                    self._manager = checkpoints.manager(place)
        return self._manager


@contextlib.contextmanager
def _quiet_orbax():
    """What orbax logs through absl is raised as well."""
    logger = logging.getLogger("absl")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)


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
