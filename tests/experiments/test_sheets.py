"""Drivers that run a config several times: what they leave, and that flags reach every run."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nstjax import images

ROOT = Path(__file__).parents[2]
SMALL = ["--config.weights=random-tiny", "--config.size=16"]


def drive(name, *arguments):
    line = [sys.executable, "-m", f"experiments.{name}", *arguments, *SMALL]
    return subprocess.run(line, cwd=ROOT, capture_output=True, text=True)


@pytest.mark.slow
def test_losses_are_painted_side_by_side(tmp_path):
    losses = "gram,colour_histogram,tv_corner"
    done = drive(
        "losses_sheet", "--config=configs/one_loss.py:smoke", f"--losses={losses}", f"--workdir={tmp_path}"
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith(f"sheet: {tmp_path}/losses.jpg\n") and done.stdout.count(" -> ") == 3
    for loss in losses.split(","):
        config = json.loads((tmp_path / loss / "config.json").read_text())
        assert loss in [term["loss"] for term in config["terms"].values()] and config["size"] == 16
    assert Image.open(tmp_path / "losses.jpg").size[0] > 3 * 16


@pytest.mark.slow
def test_seeds_are_compared(tmp_path):
    arguments = ["--config=configs/risser2017.py:texture,smoke", "--variants=histogram=false,histogram=true"]
    done = drive("seeds", *arguments, "--seeds=2", f"--workdir={tmp_path}")
    assert done.returncode == 0, done.stderr
    table = json.loads((tmp_path / "seeds.json").read_text())
    assert list(table) == ["histogram=false", "histogram=true"]
    seeds = [
        json.loads((tmp_path / f"histogram=true_{s}" / "config.json").read_text())["seed"] for s in (0, 1)
    ]
    assert seeds == [0, 1]
    style = images.load_picture("example:brushwork").pixels
    style = images.resize(style, *images.fit_size(*style.shape[:2], 16))
    made = [
        images.load_picture(str(tmp_path / f"histogram=false_{s}" / "image.png")).pixels / 255 for s in (0, 1)
    ]
    means = np.stack([picture.mean((0, 1)) for picture in made]) / np.sqrt(style.var((0, 1)).mean())
    spread = np.sqrt(np.mean((means - means.mean(0)) ** 2))
    assert list(table["histogram=false"]) == ["image", "relu1_1", "relu2_1", "relu3_1", "relu4_1"]
    found = table["histogram=false"]["image"]
    np.testing.assert_allclose(found["spread of mean"], spread, rtol=1e-3)
    assert spread > 0 and found["error of mean"] > found["spread of mean"]
    assert done.stdout.count("`histogram=true`") == 4
