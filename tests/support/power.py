"""A loss of power, imitated: of a folder only what was synced is there afterwards."""

import contextlib
import os
import stat
from pathlib import Path
from unittest import mock


class PowerLoss(BaseException):
    """Ends a process at a moment that it does not choose."""


class Disk:
    """What a disk holds for certain: of each file and folder its content when it was last synced.

    Attributes:
      syncs: the number of calls of `os.fsync` so far.
    """

    def __init__(self):
        self.syncs, self._files, self._folders = 0, {}, {}

    @contextlib.contextmanager
    def until(self, last=None):
        """Records what is synced; the call of `os.fsync` after the last one is a `PowerLoss`."""
        sync = os.fsync

        def recorded(descriptor):
            if self.syncs == last:
                raise PowerLoss
            sync(descriptor)
            self.syncs += 1
            status = os.fstat(descriptor)
            if stat.S_ISDIR(status.st_mode):
                entries = {e.name: (e.inode(), e.is_dir()) for e in os.scandir(descriptor)}
                self._folders[status.st_ino] = entries
            else:
                self._files[status.st_ino] = Path(f"/proc/self/fd/{descriptor}").read_bytes()

        with mock.patch.object(os, "fsync", recorded):
            yield

    def write(self, folder, place):
        """Writes what is certain of a folder to another place."""
        self._write(os.stat(folder).st_ino, place)

    def _write(self, inode, place):
        place.mkdir()
        for name, (child, is_folder) in self._folders.get(inode, {}).items():
            if is_folder:
                self._write(child, place / name)
            else:
                (place / name).write_bytes(self._files.get(child, b""))
