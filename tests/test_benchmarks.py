"""The benchmark of an accelerator, which runs on a CPU as it would there."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import bench_gpu

ROOT = Path(__file__).parents[1]


def rows(out, *words):
    line = [sys.executable, "-m", "benchmarks", "gpu", "--sizes=32", f"--out={out}", *words]
    done = subprocess.run(line, cwd=ROOT, env=os.environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads((out / "gpu.json").read_text())["rows"]


@pytest.mark.slow
def test_it_measures_everything_once(tmp_path):
    made = rows(tmp_path, "--budget=3000")
    assert {row["what"] for row in made} >= {"right", "product", "step", "sweep", "training", "start"}
    assert not any("left out" in row for row in made)
    assert made[0]["gradient"] == 0
    assert all(0 < row["share of peak"] < 2 for row in made if row["what"] == "step")


@pytest.mark.slow
def test_what_there_is_no_time_for_is_said(tmp_path):
    first, *others = rows(tmp_path, "--budget=1")
    assert "gradient" in first and all(row["left out"] for row in others[3:])


def test_the_operations_of_a_step_are_those_of_the_network():
    per_pixel = [
        3 * 64,
        64 * 64,
        64 * 32,
        128 * 32,
        128 * 16,
        *[256 * 16] * 3,
        256 * 8,
        *[512 * 8] * 3,
        512 * 2,
    ]
    assert bench_gpu.flops(64) == 4 * 9 * 64**2 * sum(per_pixel)
