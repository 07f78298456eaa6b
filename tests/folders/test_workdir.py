"""Workdirs: finished, changed, shared or of other things, they lose nothing and say so in one line."""
# ruff: noqa: F401, F811 - fixtures are imported, then named as arguments

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys

import pytest
from driver import RANDOM, drive, finished, place
from PIL import Image
from run_folders import content_of, same_result

from nstjax.runs import report


def test_a_workdir_that_cannot_be_one(drive, tmp_path):
    (tmp_path / "file").write_text("mine")
    cases = {
        "file": "is a file",
        "file/x": "Not a directory",
        os.fsdecode(b"caf\xe9"): "the name is not text",
    }
    for name, reason in cases.items():
        status, out, err = drive(f"--workdir={tmp_path / name}")
        assert (status, out) == (2, "") and reason in err and err.count("\n") == 2
    assert (tmp_path / "file").read_text() == "mine" and len(list(tmp_path.iterdir())) == 1


def test_a_finished_run_is_left_alone(drive, finished, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(finished, folder)
    shutil.rmtree(folder / "checkpoints")
    before = content_of(folder)
    status, out, err = drive(f"--workdir={folder}")
    assert status == 0 and out == f"picture: {folder}/image.png\nreport:  {folder}/report.html\n"
    assert err == f"{RANDOM}already finished: {folder}/image.png\n"
    assert content_of(folder) == before
    (folder / "report.html").unlink()
    assert drive(f"--workdir={folder}")[0] == 0
    after = content_of(folder)
    assert after.keys() == before.keys()
    assert {p.name for p in before if before[p] != after[p]} <= {"report.html"}
    for argument, reason in (
        ("--config.seed=7", "another config (seed: 0 there, 7 here)"),
        ("--config.terms.style.weight=2", "another config (terms.style.weight: 20.0 there, 2.0 here)"),
    ):
        status, out, err = drive(f"--workdir={folder}", argument)
        assert (status, out) == (2, "") and reason in err
    assert content_of(folder) == after


@pytest.mark.slow
def test_a_picture_that_did_not_change_is_said(drive, tmp_path):
    tiny = [f"--config.terms.{term}.weight=1e-14" for term in ("content", "style", "tv")]
    tiny += ["--config.calibrate="]
    status, _, err = drive(f"--workdir={tmp_path / 'adam'}", *tiny)
    assert status == 0 and "note: the picture did not change: the total is " in err and "of adam\n" in err
    status, _, err = drive(f"--workdir={tmp_path / 'lbfgs'}", *tiny, "--config.optimizer=lbfgs")
    assert (status, err) == (0, RANDOM)


def test_a_changed_picture_is_another_run(drive, finished, place, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(finished, folder)
    original = (place / "style.png").read_bytes()
    try:
        Image.new("RGB", (8, 8), "red").save(place / "style.png")
        status, _, err = drive(f"--workdir={folder}")
    finally:
        (place / "style.png").write_bytes(original)
    assert status == 2 and "holds a run with other inputs (pictures.style 0.sha256: " in err


@pytest.mark.slow
def test_a_run_without_a_result_gives_way_and_others_are_replaced_by_restart(drive, finished, tmp_path):
    folder = tmp_path / "run"
    status, _, err = drive(f"--workdir={folder}", "--config.seed=7", "--config.terms.content.weight=1e38")
    assert status == 1 and "the last good image is" in err and not (folder / "image.png").exists()
    assert err.count("\n") == 2 and "Warning" not in err
    assert drive(f"--workdir={folder}")[0] == 0
    same_result(folder, finished)
    assert drive(f"--workdir={folder}", "--config.seed=7", "--restart")[0] == 0
    assert json.loads((folder / "config.json").read_text())["seed"] == 7
    status, _, err = drive(f"--workdir={folder}")
    assert status == 2 and err.endswith("give this one another workdir, or replace that one with --restart\n")
    assert drive(f"--workdir={folder}", "--restart")[0] == 0
    same_result(folder, finished)


def test_a_folder_of_other_things_is_left_alone(drive, tmp_path):
    (tmp_path / "image.png").write_bytes(b"mine")
    for argument in ((), ("--restart",)):
        status, _, err = drive(f"--workdir={tmp_path}", *argument)
        assert status == 2 and f"{tmp_path} holds image.png and no run; give this one another workdir" in err
    assert (tmp_path / "image.png").read_bytes() == b"mine"


def test_what_kills_left_behind_is_swept_up(drive, finished, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(finished, folder)
    (folder / "image.png").unlink()
    (folder / ".cost.json.ab12_x9z").write_text("{")
    (folder / ".notes.markdown").write_text("mine")
    (folder / "checkpoints" / "8.orbax-checkpoint-tmp").mkdir()
    (folder / "checkpoints" / ".DS_Store").write_text("of a Mac")
    assert drive(f"--workdir={folder}")[0] == 0
    assert (folder / ".notes.markdown").read_text() == "mine"
    (folder / ".notes.markdown").unlink()
    (folder / "checkpoints" / ".DS_Store").unlink()
    (folder / "checkpoints").rmdir()
    same_result(folder, finished)


def test_a_lock_that_is_no_file_is_one_line(drive, tmp_path):
    os.mkfifo(tmp_path / ".lock")
    status, _, err = drive(f"--workdir={tmp_path}")
    assert status == 2 and f"{tmp_path / '.lock'} is no file; remove it, or give another workdir" in err


def test_a_second_run_in_a_folder_is_refused_until_the_first_is_dead(drive, finished, tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    hold = """
import fcntl, sys, time
lock = open(sys.argv[1], "a")
fcntl.flock(lock, fcntl.LOCK_EX)
print(flush=True)
time.sleep(600)
"""
    line = [sys.executable, "-c", hold, folder / ".lock"]
    with subprocess.Popen(line, stdout=subprocess.PIPE) as first:
        first.stdout.readline()
        status, out, err = drive(f"--workdir={folder}")
        first.send_signal(signal.SIGKILL)
    assert (status, out) == (2, "")
    assert err == f"{RANDOM}error: {folder} is in use by another run; give this one another workdir\n"
    assert [p.name for p in folder.iterdir()] == [".lock"]
    assert drive(f"--workdir={folder}")[0] == 0
    same_result(folder, finished)


def test_a_run_holds_its_folder_and_gives_it_up(drive, finished, tmp_path, monkeypatch):
    folder, held = tmp_path / "run", []
    write = report.write

    def look(*arguments):
        with open(folder / ".lock") as lock, pytest.raises(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        held.append(True)
        write(*arguments)

    monkeypatch.setattr(report, "write", look)
    assert drive(f"--workdir={folder}")[0] == 0 and held
    with open(folder / ".lock") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    same_result(folder, finished)
