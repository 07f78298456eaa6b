"""The driver of photorealistic transfer, on a case too small to be good."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nstjax import files

ROOT = Path(__file__).parents[2]


def run(*words):
    line = [sys.executable, "-m", "experiments.deep_photo", *words]
    return subprocess.run(line, cwd=ROOT, capture_output=True, text=True)


@pytest.fixture
def cases(tmp_path):
    rng, folder = np.random.default_rng(0), tmp_path / "cases" / "01"
    folder.mkdir(parents=True)
    halves = np.zeros((40, 60, 3), np.uint8)
    halves[:, 30:] = 255
    for name in ("content", "style", "author_result"):
        Image.fromarray(rng.integers(0, 256, (40, 60, 3), np.uint8)).save(folder / f"{name}.png")
    for name in ("content_mask", "style_mask"):
        Image.fromarray(halves).save(folder / f"{name}.png")
    return tmp_path / "cases"


@pytest.mark.slow
def test_cases_are_transferred_measured_and_shown(cases, tmp_path):
    for masks in (":masks,smoke", ":smoke"):
        words = [f"--config={ROOT}/configs/deep_photo.py{masks}", f"--cases={cases}"]
        done = run(*words, f"--workdir={tmp_path}/run{masks}")
        assert done.returncode == 0, done.stderr
        (row,) = files.read_json(tmp_path / f"run{masks}" / "cases.json")["rows"].values()
        assert list(row) == ["without the term", "with it", "smoothed", "author's"]
        for found in row.values():
            assert set(found) == {"edge_ssim", "matting_energy", "region_colour", "region_gram"}
        assert done.stdout.count("| 01 |") == 4
        width, height = Image.open(tmp_path / f"run{masks}" / "cases.jpg").size
        assert width > 6 * 60 and height > 40
        second = tmp_path / f"run{masks}" / "01" / "second"
        assert str(second.parent / "first") in (second / "config.json").read_text()
    done = run(*words, f"--workdir={tmp_path}/run:smoke", "--columns=smoothed")
    assert done.returncode == 0 and Image.open(tmp_path / "run:smoke" / "cases.jpg").size[0] < width / 4
    for word, line in (("--only=7", "no folder 7 there"), ("--columns=smooth", "did you mean 'smoothed'")):
        done = run(f"--config={ROOT}/configs/deep_photo.py:smoke", f"--cases={cases}", word, "--workdir=x")
        assert done.returncode == 2 and line in done.stderr
