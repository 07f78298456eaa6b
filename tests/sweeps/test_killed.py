"""Sweeps that are killed lose no point and end with the same bytes."""

import shutil

import pytest
from killed_driver import before_write
from sweep_points import config, content_of, rows_of, weights_by_seeds

from nstjax import sweeps
from nstjax.sweeps import Options

pytestmark = pytest.mark.usefixtures("without_curves")


class Killed(BaseException):
    """In the place of a signal that no handler sees."""


def killed(*arguments):
    raise Killed


def run_until_killed(workdir, write, options):
    """Runs the sweep up to a write of this number; whether there was one."""
    undo = before_write(write, killed)
    try:
        sweeps.run(config(), weights_by_seeds(), workdir, options)
        return False
    except Killed:
        return True
    finally:
        undo()


def without_seconds(row):
    return {key: value for key, value in row.items() if key != "seconds"}


def kills(tmp_path, at_most, writes):
    """Kills a sweep before each of these writes, and soon again; the number of those that were reached."""
    options, reached = Options(at_most=at_most, measure=False), 0
    sweeps.run(config(), weights_by_seeds(), whole := tmp_path / "whole", options)
    rows = {p.name: [without_seconds(row) for row in rows_of(p)] for p in whole.glob("points/*")}
    for write in writes:
        if not run_until_killed(workdir := tmp_path / str(write), write, options):
            break
        finished = {p: p.stat().st_mtime_ns for p in workdir.glob("points/*/image.png")}
        run_until_killed(workdir, 1 + write % 3, options)
        sweeps.run(config(), weights_by_seeds(), workdir, options)
        assert content_of(workdir) == content_of(whole) and not (workdir / "unfinished").exists()
        now = {p: p.stat().st_mtime_ns for p in workdir.glob("points/*/image.png")}
        assert finished.items() <= now.items()
        there = {p.name: [without_seconds(row) for row in rows_of(p)] for p in workdir.glob("points/*")}
        assert there == rows
        shutil.rmtree(workdir)
        reached += 1
    return reached


# A batch of four makes 5 writes before its steps and 9 with them; then come 7 for each point.
@pytest.mark.parametrize("at_most, writes", [(16, (1, 4, 8, 13, 19, 24)), (1, (6, 30))])
def test_a_killed_sweep_loses_no_point(tmp_path, at_most, writes):
    assert kills(tmp_path, at_most, writes) == len(writes)


@pytest.mark.slow
@pytest.mark.parametrize("at_most", [1, 16])
def test_a_sweep_killed_before_any_of_its_writes_loses_no_point(tmp_path, at_most):
    assert kills(tmp_path, at_most, range(1000)) > 30
