"""File systems that are full, read-only or without locks: nothing is lost, and one line says so."""
# ruff: noqa: F401, F811 - fixtures are imported, then named as arguments

import contextlib
import errno
import fcntl
import os
import resource
import subprocess
import sys

import pytest
from driver import DEMO, RANDOM, ROOT, drive, finished, place
from run_folders import same_result


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


def test_file_systems_that_know_neither_locks_nor_syncs_nor_modes(drive, finished, tmp_path, monkeypatch):
    def unknown(*_):
        raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP))

    for module, name in ((fcntl, "flock"), (os, "fsync"), (os, "chmod")):
        monkeypatch.setattr(module, name, unknown)
    status, _, err = drive(f"--workdir={tmp_path / 'run'}")
    assert status == 0 and "cannot be locked (Operation not supported): see that no other run uses it" in err
    monkeypatch.undo()
    same_result(tmp_path / "run", finished)


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
