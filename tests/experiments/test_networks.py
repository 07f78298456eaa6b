"""The drivers of networks, one after the other as a person runs them; what they say to a mistake."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from nstjax import files, images

ROOT = Path(__file__).parents[2]


def run(driver, *words, **settings):
    line = [sys.executable, "-m", f"experiments.{driver}", *words]
    return subprocess.run(line, cwd=ROOT, capture_output=True, text=True, env=os.environ | settings)


@pytest.mark.slow
def test_train_apply_export_and_the_worth_in_steps(tmp_path):
    smoke = [f"--config={ROOT}/configs/paintings.py:smoke", "--config.weights=random-tiny"]
    trained = run("train", *smoke, f"--workdir={tmp_path}/run")
    assert trained.returncode == 0, trained.stderr
    network = f"--network={tmp_path}/run/network.safetensors"
    told = ["--style=mosaic:2+woodblock:1", "--strength=0.5", "--inputs=example:coffee", "--size=64"]
    cache = {"NSTJAX_CACHE": str(tmp_path / "cache"), "JAX_COMPILATION_CACHE_DIR": ""}
    painted = run("apply", network, *told, f"--out={tmp_path}/coffee.png", **cache)
    assert painted.returncode == 0, painted.stderr
    assert list((tmp_path / "cache" / "programs").glob("jit__whole-*"))
    (tmp_path / "no folder").write_text("")
    nowhere = cache | {"NSTJAX_CACHE": str(tmp_path / "no folder")}
    again = run("apply", network, *told, f"--out={tmp_path}/again.png", **nowhere)
    assert again.returncode == 0 and "note: compiled programs are not kept: " in again.stderr
    exported = run("export", network, f"--out={tmp_path}/network.onnx")
    assert exported.returncode == 0, exported.stderr
    session = onnxruntime.InferenceSession(tmp_path / "network.onnx")
    styles = np.array([0, 0, 2, 0, 0, 1], np.float32) / 3
    given = {"image": images.load("example:coffee", 64), "styles": styles, "strengths": np.float32([-1])}
    (found,) = session.run(None, given)
    saved = images.load_picture(tmp_path / "coffee.png").pixels.astype(int)
    assert np.abs(images.to_uint8(found).astype(int) - saved).max() <= 1
    words = [
        "--photographs=example:coffee,example:chelsea",
        "--sizes=32",
        "--most=20",
        f"--out={tmp_path}/eq",
    ]
    worth = run("equals", f"--workdir={tmp_path}/run", *words)
    assert worth.returncode == 0, worth.stderr
    rows = files.read_json(tmp_path / "eq" / "equals.json")["rows"]
    assert [row["style"] for row in rows] == [0, 1] and "| 32 | lbfgs |" in worth.stdout
    words = ["--photographs=example:coffee", "--size=32", "--strengths=0.5,2", f"--alone=2:{tmp_path}/run"]
    strengths = run("strengths", f"--workdir={tmp_path}/run", *words, f"--out={tmp_path}/st")
    assert strengths.returncode == 0, strengths.stderr
    rows = files.read_json(tmp_path / "st" / "strengths.json")["rows"]
    assert [row["strength"] for row in rows] == [0.5, 2] and "| strength | total |" in strengths.stdout
    for row in rows:
        parts = row["content"] + row["strength"] * row["style"] + row["tv"]
        assert row["total"] == pytest.approx(parts, rel=1e-4)


@pytest.mark.slow
def test_mistakes_are_one_line(tmp_path):
    (tmp_path / "network.safetensors").write_bytes(b"no network")
    for driver, words, line in (
        ("apply", ["--inputs=example:coffee", f"--out={tmp_path}/out"], "not a readable safetensors file"),
        ("export", [f"--out={tmp_path}/x.tflite"], "expected a file that ends in .onnx or .jax"),
    ):
        done = run(driver, f"--network={tmp_path}/network.safetensors", *words)
        assert done.returncode == 2 and line in done.stderr and len(done.stderr.splitlines()) == 1
    done = run("train", f"--config={ROOT}/configs/paintings.py", f"--workdir={tmp_path}/run", "--distributed")
    assert done.returncode == 2 and "expected a cluster manager that JAX knows" in done.stderr
    done = run("train", f"--config={ROOT}/configs/wct.py", f"--workdir={tmp_path}/run")
    assert done.returncode == 2 and "method 'transfer': expected a network's" in done.stderr
