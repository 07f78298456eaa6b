"""Checkpoints: damaged, missing or rare, a run goes on from the last one that is whole."""
# ruff: noqa: F401, F811 - fixtures are imported, then named as arguments

import errno
import io
import shutil
import time

import numpy as np
import pytest
from driver import RANDOM, drive, finished, place
from run_folders import content_of, same_result

from nstjax.folders import checkpoints
from nstjax.folders import folder as runs_folder
from nstjax.runs import batch


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


def test_without_its_checkpoints_a_run_starts_anew(drive, finished, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(finished, folder)
    (folder / "image.png").unlink()
    shutil.rmtree(folder / "checkpoints")
    assert drive(f"--workdir={folder}")[0] == 0
    same_result(folder, finished)
