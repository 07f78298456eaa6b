"""Runs in a run folder: kill them at any moment, and the bytes are those of a run never killed."""

import json
import os
import random
import runpy
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nstjax import runs

ROOT = Path(__file__).parents[2]
# L-BFGS follows Adam in the third stage.
CONFIG = """
from nstjax.config import default_config, term

def get_config(arg=None):
    config = default_config()
    config.content, config.style = "content.png", "style.png"
    config.weights, config.size = "random-tiny", 40
    config.terms.content = term("feature", "relu2_1", reference="content")
    config.terms.style = term("gram", ("relu1_1", "relu3_1"), weight=3.0)
    config.steps_per_call, config.log_every = 5, 10
    config.checkpoint_every, config.preview_every = 20, 30
    config.ema = 0.5
    config.stages = (
        {"size": 24, "steps": 40},
        {"size": 32, "steps": 40},
        {"size": 40, "steps": 40, "optimizer": "lbfgs"},
    )
    config.lock()
    return config
"""
# Ends the process, unasked, at the n-th call of a function: before it does anything, or when it has returned.
KILL = """
import os, runpy, signal, sys
from nstjax import files, runs
from nstjax.folders import folder

owner = {"write_atomic": files}.get(sys.argv[1], folder.RunFolder)
name, number, moment, workdir = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]
function, calls = getattr(owner, name), []

def counted(*args, **options):
    calls.append(name)
    if (len(calls), moment) == (number, "before"):
        os.kill(os.getpid(), signal.SIGKILL)
    result = function(*args, **options)
    if (len(calls), moment) == (number, "after"):
        os.kill(os.getpid(), signal.SIGKILL)
    return result

setattr(owner, name, counted)
runs.run(runpy.run_path("config.py")["get_config"](), workdir)
"""
EVENTS = [
    ("save", 2, "before"),  # lines of metrics that no checkpoint knows
    ("log", 4, "after"),
    ("save", 2, "after"),  # after a checkpoint, at the end of a stage or within one
    ("save", 1, "before"),
    ("write_atomic", 2, "before"),  # a preview, or a result
]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with two pictures and a config of two stages, and the run of it that was not killed."""
    folder, rng = tmp_path_factory.mktemp("place"), np.random.default_rng(0)
    for name, shape in (("content", (33, 40, 3)), ("style", (50, 40, 3))):
        Image.fromarray(rng.integers(0, 255, shape, np.uint8)).save(folder / f"{name}.png")
    (folder / "config.py").write_text(CONFIG)
    run(folder, "whole")
    rows = outcome(folder / "whole")[1]
    assert [row["step"] for row in rows] == [*range(0, 120, 10), 120]
    assert [row["evaluations"] for row in rows][:9] == [*range(0, 90, 10)]  # Adam's, over its stages
    assert np.all(np.diff([row["evaluations"] for row in rows]) >= 10)
    return folder


def run(place, workdir):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        return runs.run(runpy.run_path("config.py")["get_config"](), workdir)


def outcome(folder):
    """The image bytes, and the metrics without their clock."""
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    for row in rows:
        del row["seconds"]
    return (folder / "image.png").read_bytes(), rows


def killed(place, workdir, event):
    """Starts or goes on with a run until an event; False where it came to its end before."""
    line = [sys.executable, "-c", KILL, *map(str, event), workdir]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(line, cwd=place, env=environment, capture_output=True, text=True)
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done.returncode != 0


def check(place, workdir):
    outputs = run(place, workdir)
    assert outcome(place / workdir) == outcome(place / "whole")
    assert outputs["report"].exists() and [p.name for p in (place / workdir).rglob(".*")] == [".lock"]
    shutil.rmtree(place / workdir)


def test_a_kill_behind_a_checkpoint(place):
    assert killed(place, "once", EVENTS[0])
    assert [path.name for path in (place / "once" / "checkpoints").iterdir()] == ["20"]
    assert not (place / "once" / "image.png").exists()
    check(place, "once")


@pytest.mark.slow
def test_a_kill_at_every_event(place):
    assert [killed(place, "often", event) for event in EVENTS] == [True] * len(EVENTS)
    check(place, "often")


@pytest.mark.slow
def test_ten_kills_at_random(place):
    rng, environment = random.Random(2), {**os.environ, "PYTHONPATH": str(ROOT)}
    line = [sys.executable, "-m", "experiments.stylize", "--config=config.py", "--workdir=random"]
    for i in range(10):
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        with subprocess.Popen(line, cwd=place, env=environment, **quiet) as process:
            time.sleep(rng.uniform(0.5, 12))
            process.kill()
        if i % 3 == 2:
            check(place, "random")
    check(place, "random")
