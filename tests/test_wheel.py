"""The wheel, installed without extras: it is small, and runs every kind of picture."""

import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    shutil.copytree(ROOT / "nstjax", source / "nstjax", ignore=shutil.ignore_patterns("__pycache__"))
    line = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation"]
    subprocess.run([*line, f"--wheel-dir={out}", str(source)], check=True, capture_output=True)
    (made,) = out.glob("*.whl")
    return made


@pytest.mark.slow
def test_it_is_small(wheel):
    assert wheel.stat().st_size < 10e6


@pytest.mark.slow
def test_it_optimises_transfers_and_sweeps_without_extras(wheel, tmp_path):
    python = tmp_path / "venv" / "bin" / "python"
    venv.create(tmp_path / "venv", with_pip=True)
    subprocess.run([python, "-m", "pip", "install", "-q", str(wheel)], check=True, capture_output=True)
    for name in ("experiments", "configs"):
        shutil.copytree(ROOT / name, tmp_path / name)

    def drive(driver, config):
        line = [python, "-m", f"experiments.{driver}", f"--config=configs/{config}", f"--workdir={driver}"]
        done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return tmp_path / driver

    where = [python, "-c", "import nstjax, importlib.util as u; print(nstjax.__file__, u.find_spec('grain'))"]
    found = subprocess.run(where, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert "site-packages" in found and found.endswith("None\n")
    assert (drive("stylize", "gatys2016.py:smoke") / "report.html").exists()
    assert (drive("universal", "wct.py:smoke") / "image.png").exists()
    assert (drive("sweep", "demo_sweep.py:smoke") / "index.html").exists()
    line = [python, "-m", "experiments.train", "--config=configs/decoder.py:smoke", "--workdir=x"]
    done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2 and "nstjax[train]" in done.stderr and done.stderr.count("\n") == 1
