"""The training data of networks: how fast crops come, and what memory many files take."""

import io
import itertools
import os
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from nstjax.feedforward import data
from nstjax.training import data as training_data
from nstjax.training.pictures import Pictures, find

FILES = 100_000
SIDE = 64  # of the many pictures
SEEN = (1_000, 100_000, 200_000, 300_000)  # crops after which memory is looked at


def measure(folders, sizes):
    """Rows {"data", "files", "crop", "crops per second", "MB"}, printed as they come.

    Args:
      folders: of photographs, separated by commas; "" for the examples.
      sizes: of crops of these, in pixels.
    """
    rows = []

    def add(name, source, crop, count, seconds):
        memory = _memory()
        row = {"data": name, "files": len(source), "crop": crop, "crops": count}
        rows.append(row | {"crops per second": count / seconds, "MB": memory})
        print(
            f"{name:12s} {len(source):7d} files, {crop:4d} pixels, {count:7d} crops:"
            f" {count / seconds:8.1f} a second, {memory:7.0f} MB",
            flush=True,
        )

    for crop in sizes:
        source = Pictures(find(folders)[0], least=crop, side=round(data.LARGEST * crop))
        _time(source, crop, len(source))  # decodes them
        add("photographs", source, crop, 1000, _time(source, crop, 1000))
    with tempfile.TemporaryDirectory() as folder:
        _write(Path(folder))
        source = Pictures(find(folder)[0], least=SIDE // 2, side=SIDE)
        begun = time.perf_counter()
        for count, _ in enumerate(_batches(source, SIDE // 2), 1):
            if 4 * count in SEEN:
                add("many files", source, SIDE // 2, 4 * count, time.perf_counter() - begun)
            if 4 * count == SEEN[-1]:
                return rows


def _batches(source, crop):
    """Batches of four crops, as training reads them."""
    grain = training_data.import_grain()
    made = data.make_batches(source, crop=crop, batch=4, seed=0)
    threads = max(1, (os.cpu_count() or 2) - 1)
    return made.to_iter_dataset(grain.ReadOptions(num_threads=threads, prefetch_buffer_size=4 * threads))


def _time(source, crop, count):
    """Seconds for so many crops."""
    begun = time.perf_counter()
    for _ in itertools.islice(_batches(source, crop), count // 4):
        pass
    return time.perf_counter() - begun


def _write(folder):
    """Files of 100 different pictures, in folders of 1000."""
    rng, contents = np.random.default_rng(0), []
    for _ in range(100):
        buffer = io.BytesIO()
        Image.fromarray(rng.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)).save(buffer, "JPEG")
        contents.append(buffer.getvalue())
    for i in range(FILES):
        path = folder / f"{i // 1000:03d}" / f"{i:06d}.jpg"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(contents[i % 100])


def _memory():
    """Megabytes that the process has in memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
