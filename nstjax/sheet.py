"""Contact sheets: pictures side by side on white, labelled."""

import io as bytes_io

from PIL import Image, ImageDraw, ImageFont

_GAP, _LINE = 6, 22


def flow(pictures, columns):
    """A sheet [PIL image] of (label, picture) pairs, row after row; no labels, no room for them."""
    columns = min(columns, len(pictures))
    width, height = _largest(picture for _, picture in pictures)
    line = _LINE if any(label for label, _ in pictures) else 0
    rows = -(-len(pictures) // columns)
    size = columns * (width + _GAP) - _GAP, rows * (height + line + _GAP) - _GAP
    sheet = Image.new("RGB", size, "white")
    for i, (label, picture) in enumerate(pictures):
        left, top = i % columns * (width + _GAP), i // columns * (height + line + _GAP)
        _write(sheet, label, left, top, width)
        sheet.paste(picture, (left, top + line))
    return sheet


def grid(cells, rows, columns, width=256):
    """A sheet of pictures along two labelled axes.

    Args:
      cells: {(row, column): picture}; what is not there stays white.
      rows, columns: labels, in order.
      width: of a cell at most; pictures are made smaller for it.
    """
    small = {at: picture.copy() for at, picture in cells.items()}
    for picture in small.values():
        picture.thumbnail((width, width), Image.Resampling.LANCZOS)
    width, height = _largest(small.values()) if small else (width, width)
    size = len(columns) * (width + _GAP) - _GAP, _LINE + len(rows) * (_LINE + height + _GAP) - _GAP
    sheet = Image.new("RGB", size, "white")
    for i, column in enumerate(columns):
        _write(sheet, column, i * (width + _GAP), 0, width)
        for j, row in enumerate(rows):
            top = _LINE + j * (_LINE + height + _GAP)
            if i == 0:
                _write(sheet, row, 0, top, size[0])
            if (row, column) in small:
                sheet.paste(small[row, column], (i * (width + _GAP), top + _LINE))
    return sheet


def encode(sheet, kind, **options):
    """Bytes of a picture, as "PNG" or "JPEG"."""
    buffer = bytes_io.BytesIO()
    sheet.save(buffer, kind, **options)
    return buffer.getvalue()


def _largest(pictures):
    return tuple(max(sizes) for sizes in zip(*(picture.size for picture in pictures), strict=True))


def _write(sheet, text, left, top, width):
    font = ImageFont.load_default(15)
    while text and font.getlength(text) > width - 4:
        text = text[:-2] + "…" if len(text) > 2 else ""
    ImageDraw.Draw(sheet).text((left + 2, top + 1), text, "black", font)
