"""Sweeps: points run together are runs of their own, each once, whatever happens in between."""

import contextlib
import json
import os
import shutil

import jax
import ml_collections
import numpy as np
import pytest
from sweep_points import QUIET, config, pixels, rows_of, weights_by_seeds

from nstjax import runs, sweeps
from nstjax.config import term
from nstjax.errors import CannotWrite, UserError
from nstjax.folders import folder
from nstjax.runs import Outcome
from nstjax.runs.image import ImageRun
from nstjax.sweeps import Design, Options, batches

pytestmark = pytest.mark.usefixtures("without_curves")


def test_points_run_together_are_runs_of_their_own(done, tmp_path):
    for name, point in sweeps.configs(config(), weights_by_seeds()).items():
        runs.run(point, tmp_path / name)
        alone, together = tmp_path / name, done / "points" / name
        assert {p.name for p in together.iterdir()} == {p.name for p in alone.iterdir()} - {
            *("checkpoints", ".lock", "preview.png")
        }
        assert np.abs(pixels(alone) - pixels(together)).max() <= 1  # float32, batched
        rows, of_batch = rows_of(alone), rows_of(together)
        assert [(r["step"], r["evaluations"]) for r in rows] == [
            (r["step"], r["evaluations"]) for r in of_batch
        ]
        assert not any("run" in row for row in of_batch)
        np.testing.assert_allclose([r["total"] for r in of_batch], [r["total"] for r in rows], rtol=1e-4)
        config_there, weights_there, provenance = (
            json.loads((together / f"{kind}.json").read_text())
            for kind in ("config", "weights", "provenance")
        )
        assert config_there == json.loads((alone / "config.json").read_text())
        assert weights_there["style/relu1_1"] == point.terms.style.weight
        assert provenance["command"] == "this"
        for there in (alone, together):
            assert f"<h1>{name}</h1>" in (there / "report.html").read_text()


def test_weights_seeds_and_rates_compile_once(done, tmp_path, compilations):
    rates = {str(rate): {"learning_rate": rate, "seed": seed} for seed, rate in enumerate((0.01, 0.02), 2)}
    points = sweeps.product(sweeps.factor("terms.style.weight", (3.0, 4.0)), sweeps.factor("rate", rates))
    planned = Design(points, {"terms.style.weight": "3.0"}, ("rate",))
    with compilations() as seen:
        assert len(sweeps.run(config(), planned, tmp_path, QUIET).finished) == 4
    assert len(seen) == 0


def test_finished_points_are_not_run_again_and_others_join(done, tmp_path, monkeypatch):
    shutil.copytree(done, tmp_path, dirs_exist_ok=True)
    points = {p: p.stat().st_mtime_ns for p in tmp_path.glob("points/*/*")}
    ran, batch = [], batches._run_batch
    monkeypatch.setattr(
        batches, "_run_batch", lambda points, *rest: (ran.append([*points]), batch(points, *rest))
    )
    planned = weights_by_seeds()
    more = sweeps.product(sweeps.factor("terms.style.weight", (7.0,)), sweeps.factor("seed", (0, 1)))
    planned = Design([*planned.points, *more], planned.baseline, planned.repeats)
    options = Options(at_most=1, measure=False)
    with pytest.raises(
        UserError, match="--only: the sweep has no point 'weight=7,seed=0'; did you mean 'wei"
    ):
        sweeps.run(config(), planned, tmp_path, Options(only=("weight=7,seed=0",)))
    summary = sweeps.run(config(), planned, tmp_path, Options(measure=False, only=("weight=7.0,seed=1",)))
    assert summary.finished == ("weight=7.0,seed=1",)
    assert len(sweeps.run(config(), planned, tmp_path, options).finished) == 6
    assert ran == [["weight=7.0,seed=1"], ["weight=7.0,seed=0"]]
    assert points == {p: p.stat().st_mtime_ns for p in points}
    with pytest.raises(UserError, match=r"weight=1\.0,seed=0 holds a point with another config"):
        sweeps.run(config(steps=2), planned, tmp_path, QUIET)


def test_a_sweep_in_use_and_another_sweep_are_refused(done, tmp_path):
    with (
        contextlib.closing(folder.hold(tmp_path)),
        pytest.raises(UserError, match=f"{tmp_path} is in use by another run"),
    ):
        sweeps.run(config(), weights_by_seeds(), tmp_path, QUIET)
    other = Design(weights_by_seeds().points, {"seed": "0"}, ("terms.style.weight",))
    with pytest.raises(UserError, match="holds another sweep, sweep; give this one another workdir"):
        sweeps.run(config(), other, done, QUIET)


@pytest.mark.filterwarnings("ignore:overflow")
def test_a_point_that_fails_leaves_the_others_alone(tmp_path):
    weights = (1.0, 2.0, 3.0, 1e38)  # ten times the last is infinite in float32
    levels = {
        str(w): {"terms.style.weight": w, "terms.style.tap_weights": (10.0, 10.0), "seed": seed}
        for seed, w in enumerate(weights)
    }
    planned = Design(sweeps.factor("weight", levels), {"weight": "1.0"})
    summary = sweeps.run(config(), planned, tmp_path, QUIET)
    assert summary.finished == ("weight=1.0", "weight=2.0", "weight=3.0")
    assert [*summary.failed] == ["weight=1e+38"]
    assert summary.failed["weight=1e+38"].startswith("stopped at step 0: ")
    there = {p.name for p in (tmp_path / "points" / "weight=1e+38").iterdir()}
    assert there >= {"config.json", "provenance.json", "failed.json", "last_good.png"}
    assert not there & {"image.png", "report.html", "cost.json"}
    assert sweeps.run(config(), planned, tmp_path, QUIET) == summary


def test_too_little_memory_for_many_is_tried_with_fewer(tmp_path, monkeypatch):
    tried, together = [], ImageRun.run_batch

    def small(runs, folder, **options):
        tried.append(len(runs))
        if len(runs) > 1:
            raise MemoryError
        return together(runs, folder, **options)

    monkeypatch.setattr(ImageRun, "run_batch", staticmethod(small))
    assert len(sweeps.run(config(), weights_by_seeds(), tmp_path, QUIET).finished) == 4
    assert tried == [4, 2, 1, 1, 2, 1, 1]


def broken(error, seed, run_batch=ImageRun.run_batch):
    """`ImageRun.run_batch` that fails for a point of a seed."""

    def run(runs, folder, **options):
        if any(run.config["seed"] == seed for run in runs):
            raise error
        return run_batch(runs, folder, **options)

    return staticmethod(run)


@pytest.mark.parametrize(
    "error, reason",
    [
        (MemoryError(), "out of memory"),
        (jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: out of memory"), "out of memory"),
        (UserError("content_mask has no position"), "content_mask has no position"),
        (TypeError("a key\nof two lines"), "TypeError: a key"),
    ],
)
def test_a_point_that_ends_in_an_error_fails_alone(tmp_path, monkeypatch, error, reason):
    monkeypatch.setattr(ImageRun, "run_batch", broken(error, seed=1))
    summary = sweeps.run(config(), weights_by_seeds(), tmp_path, QUIET)
    assert len(summary.finished) == 2 and set(summary.failed.values()) == {reason}
    assert all(name.endswith("seed=1") for name in summary.failed)
    assert sweeps.run(config(), weights_by_seeds(), tmp_path, QUIET) == summary


def test_a_full_disk_ends_the_sweep(tmp_path, monkeypatch):
    monkeypatch.setattr(ImageRun, "run_batch", broken(CannotWrite("cannot write x: no room"), seed=1))
    with pytest.raises(UserError, match="cannot write x: no room"):
        sweeps.run(config(), weights_by_seeds(), tmp_path, QUIET)
    assert not list(tmp_path.rglob("failed.json"))


def test_a_point_that_has_lost_its_picture_is_not_finished(done, tmp_path):
    shutil.copytree(done, tmp_path, dirs_exist_ok=True)
    lost = next(tmp_path.glob("points/*/image.png"))
    content = lost.read_bytes()
    lost.unlink()
    assert (
        lost.parent.name
        not in batches.summary([p.name for p in tmp_path.glob("points/*")], tmp_path).finished
    )
    assert len(sweeps.run(config(), weights_by_seeds(), tmp_path, QUIET).finished) == 4
    assert lost.read_bytes() == content


def test_a_changed_picture_is_another_sweep(done, tmp_path):
    shutil.copytree(done, tmp_path, dirs_exist_ok=True)
    path = next(tmp_path.glob("points/*/provenance.json"))
    said = json.loads(path.read_text())
    said["inputs"]["pictures"]["content"]["sha256"] = "0"
    path.write_text(json.dumps(said))
    with pytest.raises(UserError, match=f"{path.parent.name} holds a point with other inputs"):
        sweeps.run(config(), weights_by_seeds(), tmp_path, QUIET)


def test_compiled_programs_are_given_up_after_some_structures(tmp_path, monkeypatch):
    ran = []
    monkeypatch.setattr(batches, "_KEPT", 1)
    monkeypatch.setattr(batches, "_run_batch", lambda points, *_: ran.append(*points))
    monkeypatch.setattr(batches.jax, "clear_caches", lambda: ran.append("cleared"))
    poolings = sweeps.factor("pooling", ["max", "average"])
    planned = Design(sweeps.product(poolings, sweeps.factor("seed", range(2))), {"pooling": "max"}, ("seed",))
    sweeps.run(config(), planned, tmp_path, Options(at_most=1, measure=False))
    assert ran == [
        *("pooling=max,seed=0", "pooling=max,seed=1", "cleared"),
        *("pooling=average,seed=0", "pooling=average,seed=1"),
    ]


def test_a_batch_is_filled_up_for_the_devices(tmp_path, monkeypatch):
    sizes = []

    def failing(runs, folder, **options):
        sizes.append(len(runs))
        return [Outcome(np.zeros((4, 4, 3)), f"number {i}", {}, {}) for i in range(len(runs))]

    monkeypatch.setattr(ImageRun, "run_batch", staticmethod(failing))
    monkeypatch.setattr(batches.jax, "local_device_count", lambda: 3)
    one = Options(measure=False, only=("weight=1.0,seed=0",))
    assert sweeps.run(config(), weights_by_seeds(), tmp_path / "one", one).failed == {one.only[0]: "number 0"}
    failed = sweeps.run(config(), weights_by_seeds(), tmp_path, QUIET).failed
    assert [*failed.values()] == [f"number {i}" for i in range(4)]
    assert sizes == [1, 6]


def test_a_batch_whose_list_is_damaged_is_begun_anew(done, tmp_path):
    shutil.copytree(done, tmp_path, dirs_exist_ok=True)
    next(tmp_path.glob("points/*/image.png")).unlink()
    (tmp_path / "unfinished" / "batch-1").mkdir(parents=True)
    (tmp_path / "unfinished" / "batch-1" / "config.json").write_bytes(b"")
    assert len(sweeps.run(config(), weights_by_seeds(), tmp_path, QUIET).finished) == 4


def test_evaluations_are_counted_over_stages(tmp_path):
    made = config().copy_and_resolve_references()
    with made.unlocked():
        del made.terms["style"]
        made.terms.content = term("tv_corner", "image", reference="content")
        made.stages = ({"size": 8, "steps": 4}, {"size": 16, "steps": 6})
    runs.run(made, tmp_path)
    assert [(r["step"], r["evaluations"]) for r in rows_of(tmp_path)] == [(0, 0), (4, 4), (10, 10)]


def test_a_name_that_the_locale_cannot_write_is_one_line(tmp_path, monkeypatch):
    def ascii_only(name):
        return str(name).encode("ascii")

    monkeypatch.setattr(os, "fsencode", ascii_only)
    planned = Design(sweeps.factor("größe", {"ä": {"seed": 0}, "b": {"seed": 1}}), {"größe": "b"})
    with pytest.raises(UserError, match=r"größe=ä: this locale .* set PYTHONUTF8=1"):
        sweeps.run(config(), planned, tmp_path, QUIET)
    assert not (tmp_path / "points").exists()


def test_a_config_without_a_method_is_named(tmp_path):
    design = Design(sweeps.factor("content", ("a",)), {"content": "a"})
    with pytest.raises(UserError, match="content=a: the config has no key 'method'"):
        sweeps.run(ml_collections.ConfigDict({"content": ""}), design, tmp_path, QUIET)
