"""Paints the style pictures of the package.

    python -m tools.paintings [--out=nstjax/images/examples] [--only=mosaic,hatching] [--size=768]

Six pictures take about a minute and a half on one core.
"""

import argparse
import os
import pathlib
import time

import numpy as np
from PIL import Image

from tools import paintings

# Height and width as fractions of the long side, and the seed.
PICTURES = {
    "brushwork": (5 / 6, 1.0, 2),
    "hatching": (19 / 24, 1.0, 2),
    "mosaic": (1.0, 1.0, 1),
    "stained_glass": (1.0, 5 / 6, 1),
    "watercolour": (35 / 48, 1.0, 6),
    "woodblock": (1.0, 3 / 4, 1),
}
EXAMPLES = pathlib.Path(__file__).parents[2] / "nstjax" / "images" / "examples"
QUALITY, LARGEST = 90, 300_000  # of a JPEG: the quality to begin with, and the bytes not to exceed


def save(picture, path):
    """Writes a picture [H, W, 3] in [0, 1] as JPEG in one step, at the best quality that fits."""
    image = Image.fromarray(np.round(picture * 255.0).astype(np.uint8))
    unfinished = path.with_name(path.name + ".part")
    for quality in range(QUALITY, 40, -2):
        image.save(unfinished, format="JPEG", quality=quality, optimize=True)
        if unfinished.stat().st_size <= LARGEST:
            break
    os.replace(unfinished, path)


def main(arguments=None):
    parser = argparse.ArgumentParser("python -m paintings", description="Paints style pictures.")
    parser.add_argument("--out", type=pathlib.Path, default=EXAMPLES, help="folder for the files")
    parser.add_argument("--only", default=",".join(PICTURES), help="names, separated by commas")
    parser.add_argument("--size", type=int, default=768, help="long side in pixels")
    args = parser.parse_args(arguments)
    names = args.only.split(",")
    unknown = sorted(set(names) - set(PICTURES))
    if unknown:
        parser.error(f"--only: expected some of {', '.join(PICTURES)}, got {', '.join(unknown)}")
    args.out.mkdir(parents=True, exist_ok=True)
    for name in names:
        *sides, seed = PICTURES[name]
        height, width = (round(side * args.size) for side in sides)
        began = time.perf_counter()
        picture = getattr(paintings, name).paint(height, width, seed)
        path = args.out / f"{name}.jpg"
        save(picture, path)
        seconds = time.perf_counter() - began
        print(f"{path}: {width}x{height}, {path.stat().st_size} bytes, {seconds:.1f} s")


if __name__ == "__main__":
    main()
