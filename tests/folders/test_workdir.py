"""Workdirs: damaged, full, shared or taken, they lose nothing and say so in one line."""
# ruff: noqa: F401, F811 - fixtures are imported, then named as arguments

import contextlib
import errno
import fcntl
import io
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from driver import DEMO, RANDOM, ROOT, drive, finished, place
from PIL import Image

from nstjax.folders import checkpoints
from nstjax.folders import folder as runs_folder
from nstjax.runs import batch, report


def content_of(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def metrics(folder):
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in row.items() if key != "seconds"} for row in rows]


def same_result(folder, other):
    assert (folder / "image.png").read_bytes() == (other / "image.png").read_bytes()
    assert metrics(folder) == metrics(other)
    assert {p.name for p in folder.iterdir()} == {p.name for p in other.iterdir()} - {"checkpoints"}
    assert [p.name for p in folder.rglob(".*")] == [".lock"]


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


@contextlib.contextmanager
def file_system(path, options):
    """A small file system in memory at a path, where that is allowed."""
    path.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", path], capture_output=True)
    if made.returncode:
        pytest.skip("a file system can only be mounted by root")
    try:
        yield path
    finally:
        subprocess.run(["umount", "-l", path], check=True)


def test_a_read_only_workdir(drive, tmp_path):
    with file_system(tmp_path / "disk", "ro") as disk:
        for workdir in (disk, disk / "run"):
            status, out, err = drive(f"--workdir={workdir}")
            assert (status, out) == (2, "")
            assert err == f"{RANDOM}error: cannot write {workdir}: Read-only file system\n"


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


@pytest.mark.parametrize(
    "name, content, reason",
    [
        ("config.json", b"{", "Expecting property name"),
        ("config.json", b"[]", "expected a dict, found list"),
        ("provenance.json", b"\xff", "codec can't decode"),
        ("metrics.jsonl", b"", "bytes were written, 0 are there"),
        ("metrics.jsonl", b"x" * 9999, "Expecting value"),
        ("checkpoints", b"x", "checkpoints: File exists"),
    ],
)
def test_a_damaged_folder_is_one_line(drive, finished, tmp_path, name, content, reason):
    folder = tmp_path / "run"
    shutil.copytree(finished, folder)
    (folder / "image.png").unlink()
    if (folder / name).is_dir():
        shutil.rmtree(folder / name)
    (folder / name).write_bytes(content)
    status, out, err = drive(f"--workdir={folder}")
    err = err.removeprefix(RANDOM)
    assert (status, out) == (2, "") and reason in err and err.count("\n") == 1
    assert not (folder / "image.png").exists()


def flipped(content):
    middle = len(content) // 2
    return content[:middle] + bytes(b ^ 1 for b in content[middle : middle + 8]) + content[middle + 8 :]


def other_state(content):
    """Arrays of the same shapes, in a whole file, that are not those of the run."""
    with np.load(io.BytesIO(content)) as file:
        arrays = [file[name] for name in file.files]
    arrays[0] = arrays[0] + np.float32(1e-3)
    made = io.BytesIO()
    np.savez(made, *arrays)
    return made.getvalue()


@pytest.mark.parametrize(
    "name, damage, reason",
    [
        ("progress.json", lambda _: b"", "(Expecting value"),
        ("progress.json", lambda content: content.replace(b'"step": 6', b'"step": 5'), "(its content is not"),
        ("progress.json", lambda _: b'{"step": 6}', "("),
        ("arrays.npz", lambda _: b"", "("),
        ("arrays.npz", lambda _: b"PK", "("),
        ("arrays.npz", flipped, "("),
        ("arrays.npz", other_state, "(its content is not what was saved)"),
        ("", None, "("),  # the folder is empty
    ],
)
def test_behind_a_damaged_checkpoint_is_the_one_before(drive, finished, tmp_path, name, damage, reason):
    folder = tmp_path / "run"
    shutil.copytree(finished, folder)
    (folder / "image.png").unlink()
    place = folder / "checkpoints" / "6" / "default"
    if damage is None:
        shutil.rmtree(place)
    else:
        content = damage((place / name).read_bytes())
        assert content != (place / name).read_bytes()
        (place / name).write_bytes(content)
    status, _, err = drive(f"--workdir={folder}")
    assert status == 0 and err.count("\n") == 2
    assert f"note: {folder}/checkpoints/6 is damaged and left out {reason}" in err
    same_result(folder, finished)


@pytest.mark.parametrize(
    "error", [PermissionError(errno.EACCES, "Permission denied"), MemoryError("too large")]
)
def test_a_checkpoint_that_cannot_be_read_is_not_taken_for_damaged(
    drive, finished, tmp_path, monkeypatch, error
):
    folder = tmp_path / "run"
    shutil.copytree(finished, folder)
    (folder / "image.png").unlink()
    before = content_of(folder)

    def refused(*_):
        raise error

    monkeypatch.setattr(checkpoints, "read", refused)
    status, _, err = drive(f"--workdir={folder}")
    assert status == 2 and f"error: cannot read {folder}/checkpoints/6: " in err
    assert content_of(folder) == before


def test_an_optimizer_that_keeps_a_random_key_goes_on_with_it(drive, tmp_path, monkeypatch):
    monkeypatch.setattr(runs_folder.RunFolder, "finish", lambda self: None)
    given = (f"--workdir={tmp_path}", "--config.optimizer=noisy_sgd", "--config.optimizer_args={'key': 1}")
    assert drive(*given)[0] == 0
    before = (tmp_path / "image.png").read_bytes()
    (tmp_path / "image.png").unlink()
    shutil.rmtree(tmp_path / "checkpoints" / "6")
    assert drive(*given)[0] == 0
    assert (tmp_path / "image.png").read_bytes() == before


@pytest.mark.parametrize(
    "noticed, numbers", [pytest.param(60.0, [2, 4, 6], marks=pytest.mark.slow), (0.0, [2, 6])]
)
def test_checkpoints_that_take_long_are_rarer(drive, tmp_path, monkeypatch, noticed, numbers):
    saved, save = [], runs_folder.RunFolder.save

    def slow(folder, number, *rest):
        saved.append(number)
        time.sleep(0.5)
        save(folder, number, *rest)

    monkeypatch.setattr(runs_folder.RunFolder, "save", slow)
    monkeypatch.setattr(batch, "_NOTICED", noticed)
    assert drive(f"--workdir={tmp_path}", "--config.checkpoint_every=2")[0] == 0
    assert saved == numbers


def test_with_damaged_checkpoints_alone_a_run_starts_anew(drive, finished, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(finished, folder)
    (folder / "image.png").unlink()
    for path in (folder / "checkpoints").rglob("*"):
        if path.is_file():
            path.write_bytes(b"")
    status, _, err = drive(f"--workdir={folder}")
    assert status == 0 and [f"checkpoints/{n} is damaged" in err for n in (6, 4)] == [True, True]
    same_result(folder, finished)


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


def test_file_systems_that_know_neither_locks_nor_syncs_nor_modes(drive, finished, tmp_path, monkeypatch):
    def unknown(*_):
        raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP))

    for module, name in ((fcntl, "flock"), (os, "fsync"), (os, "chmod")):
        monkeypatch.setattr(module, name, unknown)
    status, _, err = drive(f"--workdir={tmp_path / 'run'}")
    assert status == 0 and "cannot be locked (Operation not supported): see that no other run uses it" in err
    monkeypatch.undo()
    same_result(tmp_path / "run", finished)


def test_without_its_checkpoints_a_run_starts_anew(drive, finished, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(finished, folder)
    (folder / "image.png").unlink()
    shutil.rmtree(folder / "checkpoints")
    assert drive(f"--workdir={folder}")[0] == 0
    same_result(folder, finished)


# No room ------------------------------------------------------------------------------------------


@contextlib.contextmanager
def largest_file(size):
    """No file of this process can grow over a size, as if the disk were full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize(
    "size, what",
    [(600, "config.json"), (4000, "checkpoints"), (20_000, "report.html")],
)
def test_a_write_that_fails_loses_nothing(drive, finished, tmp_path, size, what):
    folder = tmp_path / "run"
    with largest_file(size):
        status, out, err = drive(f"--workdir={folder}")
    assert (status, out) == (2, "")
    assert err == f"{RANDOM}error: cannot write {folder / what}: File too large\n"
    assert [p.name for p in folder.glob(".*")] == [".lock"]
    assert (folder / "image.png").exists() == (what == "report.html")
    assert drive(f"--workdir={folder}")[0] == 0
    same_result(folder, finished)


@pytest.mark.slow
def test_a_full_disk_is_one_line_in_a_process_of_its_own(finished, place, tmp_path):
    pictures = [f"--config.{name}={place / name}.png" for name in ("content", "style")]
    line = [sys.executable, "-m", "experiments.stylize", f"--config={DEMO}:smoke", *pictures]
    line += ["--config.weights=random-tiny", "--config.size=16", f"--workdir={tmp_path / 'run'}"]
    limited = ["bash", "-c", 'ulimit -f 4; exec "$@"', "bash", *line]  # no file over 4 KiB
    done = subprocess.run(limited, cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"{RANDOM}error: cannot write {tmp_path}/run/checkpoints: File too large\n"


@pytest.mark.parametrize(
    "kilobytes", [4, 8, 40, *(pytest.param(size, marks=pytest.mark.slow) for size in (64, 90))]
)
def test_a_full_disk_loses_nothing(drive, finished, tmp_path, kilobytes):
    with file_system(tmp_path / "disk", f"size={kilobytes}k") as disk:
        status, out, err = drive(f"--workdir={disk / 'run'}")
        assert (status, out) == (2, "") and err.count("\n") == 2
        assert "error: cannot write " in err and err.endswith(": No space left on device\n")
        subprocess.run(["mount", "-o", "remount,size=20m", disk], check=True)
        assert drive(f"--workdir={disk / 'run'}")[0] == 0
        same_result(disk / "run", finished)


# Two at a time ------------------------------------------------------------------------------------


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
