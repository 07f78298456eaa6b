"""The pictures of folders as training data: read when they are needed, and kept while there is room."""

import math
import os
import threading
from collections import OrderedDict
from collections.abc import Sequence

import numpy as np
from PIL import Image

from nstjax import images
from nstjax.errors import UserError, notify

_NAMED = 5  # pictures left out that are named one by one


def find(data: str, held_out: Sequence[str] = ()) -> tuple[list[str], list[str]]:
    """(to train on, held out): paths of the pictures in folders and the folders in them, sorted.

    Args:
      data: folders, separated by commas; "" for the examples.
      held_out: names of pictures, without suffixes.

    Raises:
      UserError: for a folder that does not exist, or holds no picture; where none is left to train on; and
        for a name that no picture has.
    """
    folders = list(filter(None, map(str.strip, data.split(","))))
    found = [str(path) for folder in folders for path in images.picture_files(folder, deep=True)]
    found = found or [f"example:{name}" for name in images.example_names()]
    names = {path: os.path.splitext(os.path.basename(path))[0].removeprefix("example:") for path in found}
    for name in held_out:
        if name not in names.values():
            raise UserError(f"held_out: no picture of data has the name {name!r}")
    kept = [path for path in found if names[path] not in held_out]
    if not kept:
        raise UserError("held_out: all pictures of data are held out, and none is left to train on")
    return kept, [path for path in found if names[path] in held_out]


class _Kept:
    """Pictures in one piece of memory, each over the oldest that are in its way.

    Pieces of their own, given back one by one, leave gaps that memory grows by.
    """

    def __init__(self, room):
        self._memory, self._end = np.empty(room, np.uint8), 0
        self._places: OrderedDict[int, tuple[int, tuple[int, ...]]] = OrderedDict()  # the oldest first

    def __len__(self):
        return len(self._places)

    def get(self, key):
        """A copy of a picture, or None."""
        if key not in self._places:
            return None
        start, shape = self._places[key]
        return self._memory[start : start + math.prod(shape)].reshape(shape).copy()

    def add(self, key, picture):
        """Keeps a picture [H, W, 3] uint8, if there is room for it."""
        size = picture.size
        if key in self._places or size > len(self._memory):
            return
        if self._end + size > len(self._memory):
            self._forget(self._end, len(self._memory))
            self._end = 0
        self._forget(self._end, self._end + size)
        self._memory[self._end : self._end + size] = picture.reshape(-1)
        self._places[key] = self._end, picture.shape
        self._end += size

    def _forget(self, start, end):
        """Forgets the oldest pictures as long as they begin in a part of the memory."""
        while self._places:
            key, (at, _) = next(iter(self._places.items()))
            if not start <= at < end:
                break
            del self._places[key]


class Pictures:
    """A sequence of pictures [H, W, 3] uint8, as `grain.MapDataset.source` takes it; may be read by threads.

    The place of a picture that cannot be used is taken by the next one that can.

    Attributes:
      left_out: {path: reason} of those that could not be used, as far as is known.
    """

    def __init__(self, paths: Sequence[str], *, least: int, side: int, room: int = 2**29):
        """Keeps the paths; nothing is read yet.

        Args:
          paths: of the pictures, or `example:NAME`.
          least: the least shorter side in pixels.
          side: shorter sides above it are reduced to it.
          room: bytes of pictures that are kept.
        """
        self._paths, self._least, self._side = list(paths), least, side
        self._kept, self._lock = _Kept(room), threading.Lock()
        self.left_out: dict[str, str] = {}

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, index: int) -> np.ndarray:
        """The picture at a place, or the next that can be used.

        Raises:
          UserError: where none can be used.
        """
        for offset in range(len(self)):
            at = (index + offset) % len(self)
            if self._paths[at] in self.left_out:
                continue
            with self._lock:
                if (kept := self._kept.get(at)) is not None:
                    return kept
            try:
                picture = self._read(self._paths[at])
            except UserError as error:
                self._leave_out(self._paths[at], str(error))
                continue
            with self._lock:
                self._kept.add(at, picture)
            return picture
        raise UserError(
            f"data: none of {len(self)} pictures can be used; the first: {next(iter(self.left_out.values()))}"
        )

    def _read(self, path):
        pixels = images.load_picture(path).pixels
        shorter = min(pixels.shape[:2])
        if shorter < self._least:
            h, w = pixels.shape[:2]
            raise UserError(f"picture {path}: {w} x {h} pixels are less than a crop of {self._least}")
        if shorter > self._side:
            h, w = (round(n * self._side / shorter) for n in pixels.shape[:2])
            pixels = np.asarray(Image.fromarray(pixels).resize((w, h), Image.Resampling.LANCZOS))
        return pixels

    def _leave_out(self, path, reason):
        with self._lock:
            if path in self.left_out:
                return
            self.left_out[path] = reason
            count = len(self.left_out)
        if count <= _NAMED:
            notify(f"note: left out: {reason}")
        elif count & (count - 1) == 0:  # Powers of two, as a folder may hold thousands.
            notify(f"note: {count} of {len(self)} pictures are left out by now")
