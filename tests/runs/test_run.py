"""Runs in a run folder: kill them at any moment, and the bytes are those of a run never killed."""

import json
import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]
CONFIG = """
from nstjax.config import default_config, term

def get_config():
    config = default_config()
    config.content, config.style = "content.png", "style.png"
    config.weights, config.size = "random-tiny", 40
    config.terms.content = term("feature", "relu2_1", reference="content")
    config.terms.style = term("gram", ("relu1_1", "relu3_1"), weight=3.0)
    config.steps_per_call, config.log_every = 5, 10
    config.checkpoint_every, config.preview_every = 20, 30
    config.ema = 0.5
    config.stages = (
        {"size": 24, "steps": STEPS},
        {"size": 40, "steps": STEPS, "optimizer": "OPTIMIZER"},
    )
    config.lock()
    return config
"""


@pytest.fixture
def place(tmp_path):
    """A folder with two pictures and a config of two stages; L-BFGS follows Adam in the second."""
    rng = np.random.default_rng(0)
    for name, shape in (("content", (33, 40, 3)), ("style", (50, 40, 3))):
        Image.fromarray(rng.integers(0, 255, shape, np.uint8)).save(tmp_path / f"{name}.png")
    (tmp_path / "config.py").write_text(CONFIG.replace("STEPS", "60").replace("OPTIMIZER", "lbfgs"))
    return tmp_path


def start(place, workdir, *flags):
    command = [sys.executable, "-m", "experiments.stylize", "--config=config.py", f"--workdir={workdir}"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [*command, *flags],
        cwd=place,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process):
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    return out, err


def outcome(folder):
    """The image bytes, and the metrics without their clock."""
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    for row in rows:
        del row["seconds"]
    return (folder / "image.png").read_bytes(), rows


def killed_and_resumed(place, kills, seed):
    finish(start(place, "whole"))
    expected = outcome(place / "whole")
    assert [row["step"] for row in expected[1]] == [*range(0, 120, 10), 120]
    rng, moments = random.Random(seed), []
    for i in range(kills):
        workdir = place / f"killed{i}"
        process = start(place, workdir.name)
        if i % 2:
            # Somewhere behind the first checkpoint: after a random number of lines of metrics.
            lines = rng.randrange(4, 12)
            while process.poll() is None and _lines(workdir / "metrics.jsonl") < lines:
                time.sleep(0.001)
            time.sleep(rng.random() * 0.05)
        else:
            time.sleep(rng.uniform(0.5, 12))
        process.kill()
        process.communicate()
        moments.append(_lines(workdir / "metrics.jsonl"))
        assert i % 2 == 0 or any(path.name.isdigit() for path in (workdir / "checkpoints").iterdir())
        out, _ = finish(start(place, workdir.name))
        assert outcome(workdir) == expected, f"kill {i} after {moments[-1]} lines"
        assert (workdir / "report.html").exists() and "image.png" in out
        shutil.rmtree(workdir)
    return moments


def _lines(path):
    return path.read_text().count("\n") if path.exists() else 0


def test_a_kill(place):
    killed_and_resumed(place, 1, seed=1)


@pytest.mark.slow
def test_ten_kills(place):
    moments = killed_and_resumed(place, 10, seed=2)
    assert len(set(moments)) > 3
