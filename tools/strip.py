"""Composes docs/strip.jpg from the photograph `example:chelsea` and the cells of docs/demo.jpg, a sheet of

    python -m experiments.gallery --config=configs/demo.py --columns=2 --workdir=... \\
        --styles=example:stained_glass,example:brushwork,example:mosaic,example:woodblock

python -m tools.strip
"""

import pathlib

from PIL import Image

from nstjax import images

DOCS = pathlib.Path(__file__).parents[1] / "docs"
CELLS, COLUMNS, GAP = 4, 2, 6  # of docs/demo.jpg
SIDE, BETWEEN = 213, 8  # of the strip: squares, and the white between them
CENTRE = 0.5  # of the squares, as a share of a picture's width: the face of the cat


def main():
    sheet = Image.open(DOCS / "demo.jpg")
    width = (sheet.width - (COLUMNS - 1) * GAP) // COLUMNS
    height = (sheet.height - (CELLS // COLUMNS - 1) * GAP) // (CELLS // COLUMNS)
    pictures = [Image.fromarray(images.to_uint8(images.load("example:chelsea", size=width)))]
    for i in range(CELLS):
        left, top = i % COLUMNS * (width + GAP), i // COLUMNS * (height + GAP)
        pictures.append(sheet.crop((left, top, left + width, top + height)))
    strip = Image.new("RGB", (len(pictures) * (SIDE + BETWEEN) - BETWEEN, SIDE), "white")
    for i, picture in enumerate(pictures):
        left = round(CENTRE * width - height / 2)
        square = picture.crop((left, 0, left + height, height)).resize((SIDE, SIDE), Image.Resampling.LANCZOS)
        strip.paste(square, (i * (SIDE + BETWEEN), 0))
    strip.save(DOCS / "strip.jpg", quality=88, optimize=True)


if __name__ == "__main__":
    main()
