"""Universal style transfer: its PSNR against PyTorch in float64, its time beside PyTorch in float32."""

import statistics
import time
from pathlib import Path

import numpy as np

from nstjax import images, transforms, universal
from nstjax.errors import UserError
from nstjax.images import read_aloud
from nstjax.universal import levels

ORDER, ALPHA = (5, 4, 3, 2, 1), 0.6


def measure(folder, content, style, rounds):
    """Rows {"what", "seconds", "ratio"} or {"what", "psnr"}; seconds are medians, of rounds in turns.

    "ratio" is the median of multiples of our seconds.

    Args:
      folder: of the wct16x files.
      content, style: names of pictures, 384 pixels wide, cut to sides that need no rounding.
      rounds: how many, after one that compiles.
    """
    try:
        import torch

        from benchmarks import peers_universal
    except ImportError:
        raise UserError("universal compares with PyTorch; install nstjax[oracle]") from None
    content, style = (_load(name) for name in (content, style))
    loaded, transform = levels.load(folder).levels, transforms.wct()
    down = [loaded[level] for level in ORDER]

    def ours():
        return np.asarray(
            universal.stylize(down, transform, content, [universal.StyleRegion(style)], alpha=ALPHA)
        )

    chains = {
        dtype: peers_universal.make_chain(Path(folder), ORDER, ALPHA, getattr(torch, dtype))
        for dtype in ("float32", "float64")
    }
    programs = {"nstjax": ours}
    programs |= {f"PyTorch {dtype}": lambda run=run: run(content, style) for dtype, run in chains.items()}
    seconds, made = {name: [] for name in programs}, {}
    for name in list(programs) * (rounds + 1):
        start = time.perf_counter()
        made[name] = programs[name]()
        seconds[name].append(time.perf_counter() - start)
    rows = [
        {
            "what": name,
            "seconds": statistics.median(values),
            "ratio": statistics.median(a / b for a, b in zip(values, seconds["nstjax"][1:], strict=True)),
        }
        for name, (_, *values) in seconds.items()
    ]
    for name in ("nstjax", "PyTorch float32"):
        rows.append({"what": f"{name} against float64", "psnr": _psnr(made[name], made["PyTorch float64"])})
    for row in rows:
        print(*row.values(), flush=True)
    return rows


def _load(name):
    pixels = read_aloud(name).pixels
    height, width = images.fit_size(*pixels.shape[:2], 384)
    return images.resize(pixels, height, width)[: height // 16 * 16, : width // 16 * 16]


def _psnr(image, expected):
    """In dB, of pictures clipped to [0, 1]."""
    return float(-10 * np.log10(np.mean((np.clip(image, 0, 1) - np.clip(expected, 0, 1)) ** 2)))
