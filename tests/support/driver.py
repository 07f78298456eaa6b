"""A driver run as its user runs it, on two small pictures."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from absl import flags
from PIL import Image

from experiments import command, stylize

ROOT = Path(__file__).parents[2]
DEMO = ROOT / "configs" / "demo.py"
RANDOM = "note: the network has random weights (random-tiny (seed 0)), not trained ones\n"


@pytest.fixture(scope="session")
def place(tmp_path_factory):
    """A folder with a content and a style."""
    folder = tmp_path_factory.mktemp("place")
    rows, columns = np.mgrid[0:24, 0:32]
    content = np.stack([rows * 10, columns * 7, rows * 0 + 90], -1).astype(np.uint8)
    style = (np.stack([(rows // 4 + columns // 4) % 2] * 3, -1) * [200, 120, 40]).astype(np.uint8)
    Image.fromarray(content).save(folder / "content.png")
    Image.fromarray(style).save(folder / "style.png")
    return folder


@pytest.fixture
def drive(place, monkeypatch, capfd):
    """Runs the driver in this process: `(status, stdout, stderr)`, as its user would see them."""

    def run(*arguments, config=f"{DEMO}:smoke", main=stylize.main):
        pictures = [f"--config.{name}={place / name}.png" for name in ("content", "style")]
        given = [f"--config={config}", "--config.weights=random-tiny", "--config.size=16", *pictures]
        given = given if config else []
        monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)
        monkeypatch.setattr(sys, "argv", ["stylize", *given, *map(str, arguments)])
        for name in list(flags.FLAGS):
            if name.startswith("config."):
                delattr(flags.FLAGS, name)
            elif name in ("config", "workdir", "restart"):
                flags.FLAGS[name].unparse()
        capfd.readouterr()
        try:
            command.run(main, required=["config", "workdir"])
            status = 0
        except SystemExit as end:
            status = end.code or 0
        return status, *capfd.readouterr()

    return run


# As `-m experiments.stylize`, but for the last thing that a run does: its checkpoints stay.
_KEEP = """
import runpy, sys
from nstjax.folders import folder
folder.RunFolder.finish = lambda self: None
runpy.run_module("experiments.stylize", run_name="__main__", alter_sys=True)
"""


@pytest.fixture(scope="session")
def finished(place, tmp_path_factory):
    """The folder of a run that had no trouble, with its checkpoints."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    pictures = [f"--config.{name}={place / name}.png" for name in ("content", "style")]
    line = [sys.executable, "-c", _KEEP, f"--config={DEMO}:smoke", *pictures]
    line += ["--config.weights=random-tiny", "--config.size=16", f"--workdir={folder}"]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, RANDOM)  # quiet where stderr is no terminal
    assert done.stdout == f"picture: {folder}/image.png\nreport:  {folder}/report.html\n"
    return folder
