"""The benchmark of an accelerator, which runs on a CPU as it would there; the ratios that are kept."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import bench_gpu, ratios

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


def test_ratios_that_are_kept_are_those_that_later_ones_are_compared_with(tmp_path):
    path, head = tmp_path / "bench.json", {"device": "cpu", "jax": "0"}
    rows = [{"size": 256, "program": name, "seconds": 9.0, "ratio": 2.0} for name in ("PyTorch", "mini")]
    found = ratios.ratios_of([*rows, {"size": 256, "program": "none", "ratio": None}, {"size": 1}])
    assert found == {"256 PyTorch": 2.0, "256 mini": 2.0}
    assert ratios.changed("steps", found, path) == []
    ratios.keep("steps", head, found, path)
    ratios.keep("sweep", head, {"128": 1.0}, path)
    near, far, new = 2.0 * (1 + ratios.MARGIN) - 0.01, 2.0 / (1 + ratios.MARGIN) - 0.01, 9.0
    later = {"256 PyTorch": near, "256 mini": far, "512 mini": new}
    assert ratios.changed("steps", later, path) == ["steps, 256 mini: 1.73, was 2.00"]
    ratios.keep("steps", head, {"512 mini": new}, path)
    kept = json.loads(path.read_text())["kinds"]
    assert kept["sweep"] == head | {"ratios": {"128": 1.0}} and kept["steps"]["ratios"] == found | {
        "512 mini": new
    }
    ratios.keep("steps", head | {"jax": "1"}, {"512 mini": new}, path)
    assert json.loads(path.read_text())["kinds"]["steps"]["ratios"] == {"512 mini": new}


def test_the_ratios_in_the_repository_are_those_of_kinds_that_there_are():
    kept = json.loads(ratios.KEPT.read_text())
    assert kept["margin"] == ratios.MARGIN
    from benchmarks.__main__ import _KINDS

    assert kept["kinds"].keys() <= _KINDS.keys()
