"""Contact sheets: pictures side by side on white, labelled."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

from PIL import Image, ImageDraw, ImageFont

_GAP, _LINE = 6, 22


def flow(pictures: Sequence[tuple[str, Image.Image]], columns: int) -> Image.Image:
    """A sheet of (label, picture) pairs, row after row; without labels it has no lines for them."""
    columns = min(columns, len(pictures))
    width, _ = _largest(picture for _, picture in pictures)
    line = _LINE if any(label for label, _ in pictures) else 0
    rows = [pictures[i : i + columns] for i in range(0, len(pictures), columns)]
    heights = [_largest(picture for _, picture in row)[1] + line for row in rows]
    size = columns * (width + _GAP) - _GAP, sum(heights) + len(rows) * _GAP - _GAP
    sheet, top = Image.new("RGB", size, "white"), 0
    for row, height in zip(rows, heights, strict=True):
        for left, (label, picture) in zip(range(0, size[0] + _GAP, width + _GAP), row, strict=False):
            _write(sheet, label, left, top, width)
            sheet.paste(picture, (left, top + line))
        top += height + _GAP
    return sheet


def grid(
    cells: Mapping[tuple[str, str], Image.Image],
    rows: Sequence[str],
    columns: Sequence[str],
    width: int = 256,
) -> Image.Image:
    """A sheet of pictures along two labelled axes.

    Args:
      cells: {(row, column): picture}; missing cells stay white.
      rows, columns: labels, in order.
      width: of a cell in pixels, at most; larger pictures are reduced to it.
    """
    small = {at: picture.copy() for at, picture in cells.items()}
    for picture in small.values():
        picture.thumbnail((width, width), Image.Resampling.LANCZOS)
    width = max((picture.size[0] for picture in small.values()), default=width)
    heights = [
        max((picture.size[1] for (at, _), picture in small.items() if at == row), default=0) for row in rows
    ]
    size = len(columns) * (width + _GAP) - _GAP, _LINE + sum(heights) + len(rows) * (_LINE + _GAP) - _GAP
    sheet, top = Image.new("RGB", size, "white"), _LINE
    for i, column in enumerate(columns):
        _write(sheet, column, i * (width + _GAP), 0, width)
    for row, height in zip(rows, heights, strict=True):
        _write(sheet, row, 0, top, size[0])
        for i, column in enumerate(columns):
            if (row, column) in small:
                sheet.paste(small[row, column], (i * (width + _GAP), top + _LINE))
        top += _LINE + height + _GAP
    return sheet


def encode(sheet: Image.Image, kind: str, **options: Any) -> bytes:
    """Bytes of a picture in a file format.

    Args:
      sheet: the picture.
      kind: "PNG" or "JPEG".
      options: of Pillow's `save`, such as quality.
    """
    buffer = io.BytesIO()
    sheet.save(buffer, kind, **options)
    return buffer.getvalue()


def _largest(pictures):
    return tuple(max(sizes) for sizes in zip(*(picture.size for picture in pictures), strict=True))


def _write(sheet, text, left, top, width):
    font = ImageFont.load_default(15)
    while text and font.getlength(text) > width - 4:
        text = text[:-2] + "…" if len(text) > 2 else ""
    ImageDraw.Draw(sheet).text((left + 2, top + 1), text, "black", font)
