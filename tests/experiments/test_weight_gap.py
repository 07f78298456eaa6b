"""The gap between two weight sets: what is measured, by sets that differ by a known amount."""

import dataclasses
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from nstjax import files, networks

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_sets_that_differ_by_a_factor(tmp_path):
    """Filters of conv1_1 a tenth larger: of all features a tenth, as biases are 0."""
    exact = networks.load("random-tiny")
    larger = {**exact.params, "conv1_1": jax.tree.map(lambda x: np.float32(1.1) * x, exact.params["conv1_1"])}
    for name, params in (("exact", exact.params), ("larger", larger)):
        networks.save(tmp_path / f"{name}.safetensors", dataclasses.replace(exact, params=params, label=name))
    line = [sys.executable, "-m", "experiments.weight_gap", f"--config={ROOT}/configs/demo.py:smoke"]
    line += [f"--config.weights={tmp_path}/larger.safetensors", f"--reference={tmp_path}/exact.safetensors"]
    # Calibrated, the two sets would paint the same picture.
    line += ["--config.size=32", "--config.calibrate=", "--pictures=example:mosaic", f"--out={tmp_path}/out"]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = files.read_json(tmp_path / "out" / "gap.json")
    np.testing.assert_allclose(list(found["features"].values()), 0.1, rtol=1e-3)
    assert set(found["losses"]) >= {"content/relu4_2", "style/relu1_1"} and 20 < found["psnr"] < 80
    assert (tmp_path / "out" / "gap.md").read_text() in done.stdout
