"""Sweeps in one folder: each point is one's, and those who share divide the points."""

import contextlib
import errno
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from sweep_points import FEW, QUIET, config, weights_by_seeds

from nstjax import files, presets, sweeps
from nstjax.errors import UserError
from nstjax.folders import folder
from nstjax.sweeps import Options, batches, claims
from nstjax.sweeps.claims import claim

pytestmark = pytest.mark.usefixtures("without_curves")


def test_a_point_is_claimed_by_one_at_a_time(tmp_path):
    with claim("abc", tmp_path, 2) as first, claim("abcd", tmp_path) as second:
        assert (first, second) == (["a", "b"], ["c", "d"])
        with claim("abcd", tmp_path) as third:
            assert third == []
    with claim("dab", tmp_path) as after:
        assert after == ["d", "a", "b"]


@pytest.mark.slow
def test_sweeps_that_share_a_folder_divide_the_points(tmp_path, monkeypatch):
    """Each is in a thread of its own; the second starts when the first is at its first point."""
    monkeypatch.setattr(claims, "_SECONDS", 0.01)
    monkeypatch.setattr(presets, "STYLE_LOSSES", FEW)
    begun, joined, ran, run_batch = threading.Event(), threading.Event(), [], batches._run_batch

    def traced(points, *rest):
        ran.append((threading.current_thread().name, *points))
        begun.set() if len(ran) == 1 else joined.set()
        assert joined.wait(60)
        run_batch(points, *rest)

    monkeypatch.setattr(batches, "_run_batch", traced)
    options = Options(at_most=1, shared=True, title="shared")
    with ThreadPoolExecutor(2, thread_name_prefix="process") as pool:
        first = pool.submit(sweeps.run, config(), weights_by_seeds(), tmp_path, options)
        assert begun.wait(60)
        second = pool.submit(sweeps.run, config(), weights_by_seeds(), tmp_path, options)
        assert first.result() == second.result() and len(first.result().finished) == 4
    assert len({who for who, _ in ran}) == 2 and len({name for _, name in ran}) == len(ran) == 4
    assert len(list(tmp_path.glob("points/*/measures.json"))) == 4
    assert not (tmp_path / "unfinished").exists()


def test_a_sweep_is_shared_by_those_that_say_so_alone(tmp_path):
    """And where there are locks."""
    shared = Options(measure=False, shared=True)
    with contextlib.closing(folder.hold(tmp_path, shared=True)):
        with pytest.raises(UserError, match=f"{tmp_path} is in use by another run"):
            sweeps.run(config(), weights_by_seeds(), tmp_path, QUIET)
        assert len(sweeps.run(config(), weights_by_seeds(), tmp_path, shared).finished) == 4
        assert (tmp_path / "unfinished").exists()
    sweeps.run(config(), weights_by_seeds(), tmp_path, shared)
    assert not (tmp_path / "unfinished").exists()


def test_a_sweep_without_locks_is_not_shared(done, tmp_path, monkeypatch, capsys):
    def unknown(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    shutil.copytree(done, tmp_path, dirs_exist_ok=True)
    next(tmp_path.glob("points/*/image.png")).unlink()
    monkeypatch.setattr(files.fcntl, "flock", unknown)
    with pytest.raises(UserError, match="so that it cannot be shared; expected a folder of a file system"):
        sweeps.run(config(), weights_by_seeds(), tmp_path, Options(measure=False, shared=True))
    assert len(sweeps.run(config(), weights_by_seeds(), tmp_path, QUIET).finished) == 4
    assert "cannot be locked (No locks available): see that no other run" in capsys.readouterr().err
