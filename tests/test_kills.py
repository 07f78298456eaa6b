"""Every driver that works for long, killed ten times: the bytes of one never killed, and nothing beside them.

A driver is started again after each kill, and goes on; the moments are random, up to the time that it takes.
"""

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[1]
KILLS = 10
COMMANDS = {
    "stylize": (
        "--config=configs/demo.py:smoke --config.weights=random-tiny --config.size=40 --config.steps=2000 "
        "--config.steps_per_call=10 --config.checkpoint_every=50 --config.log_every=50"
    ),
    "sweep": (
        "--config=configs/weights.py:smoke --config.weights=random-tiny --config.size=32 --config.steps=600 "
        "--config.checkpoint_every=50 --at_most=1 --nomeasure"
    ),
    "universal": "--config=configs/wct.py:smoke --config.size=48 --config.levels=3,2,1 --contents=frames",
    "train": (
        "--config=configs/decoder.py:smoke --config.levels=1,2 --config.decoder1.steps=120 "
        "--config.decoder2.steps=120 --config.checkpoint_every=10"
    ),
    "train:network": (
        "--config=configs/johnson2016.py:smoke --config.weights=random-tiny --config.steps=120 "
        "--config.data=frames --config.style=example:mosaic,example:woodblock --config.ema=0.9 "
        "--config.validate_every=40 --config.checkpoint_every=10"
    ),
}
CHANGING = ("seconds", "bytes")
# What holds times and command lines, and no result.
APART = ("provenance.json", "sweep.json", "cost.json", "report.html", ".lock")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with frames to paint."""
    folder = tmp_path_factory.mktemp("place")
    (folder / "frames").mkdir()
    for i in range(40):
        pixels = np.random.default_rng(i).integers(0, 255, (6, 8, 3), np.uint8)
        Image.fromarray(pixels).resize((64, 48), Image.Resampling.BICUBIC).save(
            folder / "frames" / f"{i:02}.png"
        )
    return folder


def start(driver, place, workdir):
    words = COMMANDS[driver].replace("configs/", f"{ROOT}/configs/").split()
    module = f"experiments.{driver.partition(':')[0]}"
    line = [sys.executable, "-m", module, *words, f"--workdir={workdir}"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        line, cwd=place, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )


def end(process):
    _, err = process.communicate()
    assert process.returncode == 0, err.decode()


def content(workdir):
    """{path: bytes} of every file: metrics without their times, and files of times empty."""
    found = {}
    for path in sorted(p for p in workdir.rglob("*") if p.is_file()):
        name = str(path.relative_to(workdir))
        if path.name == "metrics.jsonl":
            rows = [json.loads(line) for line in path.read_text().splitlines()]
            found[name] = [{k: v for k, v in row.items() if k not in CHANGING} for row in rows]
        else:
            found[name] = b"" if path.name in APART or "checkpoints" in path.parts else path.read_bytes()
    return found


@pytest.mark.slow
@pytest.mark.parametrize("driver", COMMANDS)
def test_ten_kills_change_nothing(place, tmp_path, driver):
    begun = time.monotonic()
    end(start(driver, place, tmp_path / "whole"))
    takes = time.monotonic() - begun
    expected, rng, kills, round_ = content(tmp_path / "whole"), random.Random(driver), 0, 0
    while kills < KILLS:
        workdir, round_ = tmp_path / f"killed{round_}", round_ + 1
        while kills < KILLS:
            process = start(driver, place, workdir)
            try:
                process.wait(rng.uniform(0.2, 0.9) * takes)
            except subprocess.TimeoutExpired:
                process.kill()
                kills += 1
            process.communicate()
            if process.returncode == 0:
                break
        end(start(driver, place, workdir))
        assert content(workdir) == expected
