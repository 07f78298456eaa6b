"""Composes docs/strip.jpg from the photograph `example:coffee` and cells of docs/coffee.jpg.

python -m tools.strip
"""

import pathlib

from PIL import Image

from nstjax import images

DOCS = pathlib.Path(__file__).parents[1] / "docs"
CELL, GAP, COLUMNS = (320, 213), 8, 3  # of docs/coffee.jpg
SHEET = ("brushwork", "hatching", "mosaic", "stained_glass", "watercolour", "woodblock")
CHOSEN = ("brushwork", "stained_glass", "mosaic", "woodblock")
LEFT = 45  # of the square that holds the cup


def main():
    (width, height), sheet = CELL, Image.open(DOCS / "coffee.jpg")
    cells = [Image.fromarray(images.to_uint8(images.load("example:coffee", size=width)))]
    for name in CHOSEN:
        row, column = divmod(SHEET.index(name), COLUMNS)
        left, top = column * (width + GAP), row * (height + GAP)
        cells.append(sheet.crop((left, top, left + width, top + height)))
    strip = Image.new("RGB", (len(cells) * (height + GAP) - GAP, height), "white")
    for i, cell in enumerate(cells):
        strip.paste(cell.crop((LEFT, 0, LEFT + height, height)), (i * (height + GAP), 0))
    strip.save(DOCS / "strip.jpg", quality=88, optimize=True)


if __name__ == "__main__":
    main()
