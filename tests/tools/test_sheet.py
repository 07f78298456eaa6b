"""Sheets for pages: pictures stand row after row, each as wide as is asked for."""

import subprocess
import sys

import numpy as np
from PIL import Image

COLOURS = [(200, 0, 0), (0, 200, 0), (0, 0, 200), (90, 90, 90)]


def make(tmp_path, *arguments):
    for i, colour in enumerate(COLOURS):
        Image.new("RGB", (64, 32), colour).save(tmp_path / f"{i}.png")
    pictures = ",".join(str(tmp_path / f"{i}.png") for i in range(len(COLOURS)))
    line = [sys.executable, "-m", "tools.sheet", f"--pictures={pictures}", f"--out={tmp_path / 'a.jpg'}"]
    return subprocess.run([*line, *arguments], capture_output=True, text=True)


def test_pictures_stand_row_after_row(tmp_path):
    done = make(tmp_path, "--columns=2", "--width=96", "--labels=left,right")
    assert done.returncode == 0, done.stderr
    sheet = np.asarray(Image.open(tmp_path / "a.jpg")).astype(int)
    rows, columns = sheet.shape[:2]
    assert columns >= 2 * 96 and rows >= 2 * 48
    label = rows // 2 - 48  # each row has a line for its labels above
    places = [(y + label + 24, x + 48) for y in (0, rows // 2) for x in (0, columns // 2)]
    for place, colour in zip(places, COLOURS, strict=True):
        np.testing.assert_allclose(sheet[place], colour, atol=8)


def test_labels_that_are_not_one_for_each_column_are_refused(tmp_path):
    done = make(tmp_path, "--columns=2", "--labels=a,b,c")
    assert done.returncode == 1 and "3 labels; expected 2" in done.stderr
    assert not (tmp_path / "a.jpg").exists()
