"""The driver of sweeps, in processes of its own."""

import json
import os
import runpy
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import killed_driver
import numpy as np
import pytest
from PIL import Image

from nstjax import sweeps

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "configs" / "weights.py"
NAMES = ["weight=1.0,pair=coffee+brushwork", "weight=3.0,pair=coffee+brushwork"]


def driver(workdir, *flags, devices=1, start=("-m",), config=f"{CONFIG}:smoke"):
    environment = os.environ | {"XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}"}
    line = [sys.executable, *start, "experiments.sweep", f"--config={config}"]
    line += ["--config.weights=random-tiny", "--config.size=16"] if config.endswith(":smoke") else []
    return subprocess.Popen(
        [*line, f"--workdir={workdir}", *flags],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def end_of(process):
    out, err = process.communicate(timeout=300)
    return process.returncode, out, err


def pixels(folder):
    return np.asarray(Image.open(folder / "image.png")).astype(int)


def same_pictures(workdir, expected):
    for name in NAMES:
        there, here = (folder / "points" / name for folder in (workdir, expected))
        assert np.abs(pixels(there) - pixels(here)).max() <= 1


@pytest.fixture(scope="module")
def by_one_device(tmp_path_factory):
    """The same sweep, run in this process."""
    workdir, module = tmp_path_factory.mktemp("here"), runpy.run_path(str(CONFIG))
    config = module["get_config"]("smoke").copy_and_resolve_references()
    with config.unlocked():
        config.update(weights="random-tiny", size=16)
    options = sweeps.Options(measure=False, title="weights")
    assert sweeps.run(config, module["get_sweep"]("smoke"), workdir, options).finished == tuple(NAMES)
    return workdir


@pytest.mark.slow
def test_a_killed_sweep_goes_on_and_says_what_it_made(by_one_device, tmp_path):
    """Killed before the second of two points is named."""
    flags = ("--at_most=1", "--nomeasure")
    wrapped = (killed_driver.__file__, "37")
    status, out, err = end_of(driver(tmp_path, *flags, start=wrapped))
    assert (status, out) == (-9, ""), err
    assert [path.name for path in (tmp_path / "points").iterdir()] == NAMES[:1]
    first = tmp_path / "points" / NAMES[0] / "image.png"
    before = first.stat().st_mtime_ns
    note = "note: the network has random weights (random-tiny (seed 0)), not trained ones\n"
    assert end_of(driver(tmp_path, *flags)) == (0, "finished: 2 points\n", note)
    assert first.stat().st_mtime_ns == before and not (tmp_path / "index.html").exists()
    same_pictures(tmp_path, by_one_device)
    saved = json.loads((tmp_path / "sweep.json").read_text())
    assert saved["title"] == "weights" and saved["command"] == " ".join(
        ["python -m experiments.sweep", f"--config={CONFIG}:smoke"]
        + ["--config.weights=random-tiny", "--config.size=16", f"--workdir={tmp_path}"]
    )
    provenance = json.loads((tmp_path / "points" / NAMES[1] / "provenance.json").read_text())
    assert provenance["command"] == f"{saved['command']} --at_most=1 --nomeasure"


def test_points_that_failed_are_the_exit_status_and_are_reported(by_one_device, tmp_path):
    """All is run already, so that this only reads it."""
    shutil.copytree(by_one_device, tmp_path, dirs_exist_ok=True)
    folder = tmp_path / "points" / NAMES[0]
    (folder / "image.png").unlink()
    (folder / "failed.json").write_text('{"reason": "stopped at step 1: so"}')
    (tmp_path / "points" / NAMES[1] / "measures.json").write_text('{"losses": {}, "picture": {"ssim": 0.5}}')
    status, out, err = end_of(driver(tmp_path, "--measure"))
    assert (status, out) == (1, "") and (tmp_path / "index.html").exists()
    assert err.endswith(f"error: 1 of 2 points failed; {NAMES[0]}: stopped at step 1: so\n")


def test_a_config_without_a_sweep_is_named(tmp_path):
    status, out, err = end_of(driver(tmp_path / "run", config=str(ROOT / "configs" / "demo.py")))
    assert (status, out) == (2, "") and not (tmp_path / "run").exists()
    assert "has no function get_sweep; expected a sweep, or use experiments.stylize" in err


@pytest.mark.parametrize(
    "body, reason",
    [
        ("return 3", "get_sweep must return a Design, not int"),
        pytest.param("raise KeyError('x')", "line 5: KeyError: 'x'", marks=pytest.mark.slow),
        pytest.param("return other", "line 5: NameError: name 'other' is not", marks=pytest.mark.slow),
    ],
)
def test_a_sweep_that_is_none_is_one_line(tmp_path, body, reason):
    path = tmp_path / "mine.py"
    path.write_text(f"""from nstjax.config import default_config
def get_config(arg=None):
    return default_config()
def get_sweep(arg=None):
    {body}
""")
    status, out, err = end_of(driver(tmp_path / "run", config=str(path)))
    assert (status, out) == (2, "") and not (tmp_path / "run").exists()
    assert err.startswith(f"error: config {path}") and reason in err and err.count("\n") == 1


@pytest.mark.slow
def test_the_report_is_written_again_with_a_table(by_one_device, tmp_path):
    shutil.copytree(by_one_device, tmp_path, dirs_exist_ok=True)
    line = [sys.executable, "-m", "experiments.report", f"--workdir={tmp_path}", "--table=evaluations"]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"page: {tmp_path}/index.html\nresults: {tmp_path}/results.csv\n")
    assert "|  | evaluations | own row |\n|---|---|---|\n| 1.0 | 6 |  |\n" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("devices", [4, 8])
def test_several_devices_make_what_one_makes(by_one_device, tmp_path, devices):
    status, _, err = end_of(driver(tmp_path, "--nomeasure", devices=devices))
    assert status == 0, err
    same_pictures(tmp_path, by_one_device)


def killed_at_a_point(workdir):
    """A process that shares the sweep, killed when it holds its first point."""
    process = driver(workdir, "--nomeasure", "--distributed", "--at_most=1")
    while not list(workdir.glob("unfinished/batch-*/config.json")):
        assert process.poll() is None, end_of(process)
        time.sleep(0.01)
    process.send_signal(signal.SIGSTOP)
    return process


@pytest.mark.slow
def test_what_a_lost_process_held_is_taken_over(by_one_device, tmp_path):
    """One stops at a point; two others do the rest, wait, and go on when it is killed; one comes late."""
    lost = killed_at_a_point(tmp_path)
    flags = ("--nomeasure", "--distributed", "--at_most=1")
    others = [driver(tmp_path, *flags) for _ in range(2)]
    deadline = time.monotonic() + 240
    while len(list(tmp_path.glob("points/*/image.png"))) < len(NAMES) - 1:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert [process.poll() for process in others] == [None, None]
    status, _, err = end_of(driver(tmp_path, "--nomeasure"))
    assert status == 2 and err.endswith("is in use by another run; give this one another workdir\n")
    lost.kill()
    lost.wait()
    ended = [end_of(process) for process in (*others, driver(tmp_path, *flags))]
    assert [(status, out) for status, out, _ in ended] == [(0, "finished: 2 points\n")] * 3, ended
    assert all(err.count("waiting for them (") == 1 for _, _, err in ended[:2])
    assert not (tmp_path / "unfinished").exists()
    same_pictures(tmp_path, by_one_device)


@pytest.mark.slow
def test_one_point_alone_by_its_name(by_one_device, tmp_path):
    status, _, err = end_of(driver(tmp_path, "--nomeasure", "--only", NAMES[1]))
    assert status == 0, err
    assert [there.name for there in (tmp_path / "points").iterdir()] == NAMES[1:]
    assert (
        np.abs(pixels(by_one_device / "points" / NAMES[1]) - pixels(tmp_path / "points" / NAMES[1])).max()
        <= 1
    )
    assert "--only" not in json.loads((tmp_path / "sweep.json").read_text())["command"]
    status, _, err = end_of(driver(tmp_path, f"--only={NAMES[1][:-1]}"))
    assert status == 2
    assert f"--only: the sweep has no point '{NAMES[1][:-1]}'; did you mean '{NAMES[1]}'" in err


@pytest.mark.slow
@pytest.mark.parametrize("write", range(4, 40, 7))
def test_kills_lose_no_point(by_one_device, tmp_path, write):
    """By the signal itself, and twice."""
    flags, wrapped = ("--at_most=1", "--nomeasure"), (killed_driver.__file__, str(write))
    finished = {}
    for _ in range(2):
        end_of(driver(tmp_path, *flags, start=wrapped))
        now = {p: p.stat().st_mtime_ns for p in tmp_path.glob("points/*/image.png")}
        assert finished.items() <= now.items()
        finished = now
    status, _, err = end_of(driver(tmp_path, *flags))
    assert status == 0, err
    assert finished.items() <= {p: p.stat().st_mtime_ns for p in tmp_path.glob("points/*/image.png")}.items()
    same_pictures(tmp_path, by_one_device)
