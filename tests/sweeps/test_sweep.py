"""Sweeps: points run together are runs of their own, each once, whatever happens in between."""

import contextlib
import dataclasses
import errno
import json
import os
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor

import jax
import ml_collections
import numpy as np
import pytest
from killed_driver import before_write
from PIL import Image

from nstjax import files, presets, runs, sweeps
from nstjax.config import default_config, term
from nstjax.errors import CannotWrite, UserError
from nstjax.folders import folder
from nstjax.optimize import Objective, Reference, make_targets
from nstjax.runs import Outcome, report, terms
from nstjax.runs.image import ImageRun
from nstjax.sweeps import Design, Options, batches, claims, measure
from nstjax.sweeps.claims import claim

QUIET = Options(measure=False)


def config(**values):
    made = default_config()
    made.update(size=16, weights="random-tiny", steps=6, steps_per_call=3, checkpoint_every=3, init="noise")
    made.terms.content = term("feature", "relu2_2", reference="content")
    made.terms.style = term("gram", ("relu1_1", "relu2_1"), weight=3.0)
    made.update(values)
    made.lock()
    return made


def weights_by_seeds(weights=(1.0, 30.0)):
    points = sweeps.product(sweeps.factor("terms.style.weight", weights), sweeps.factor("seed", (0, 1)))
    return Design(points, baseline={"terms.style.weight": str(weights[0])}, repeats=("seed",))


def pixels(folder):
    return np.asarray(Image.open(folder / "image.png")).astype(int)


def rows_of(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def content_of(workdir):
    """The bytes of the files of every point, but for what holds seconds."""
    files = (p for p in workdir.glob("points/*/*") if p.name in ("image.png", "config.json", "weights.json"))
    return {str(path.relative_to(workdir)): path.read_bytes() for path in files}


@pytest.fixture(scope="module", autouse=True)
def _reports_without_curves():
    """Curves take longer than these runs; reports are a write all the same."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(report, "_curves", lambda rows: "")
        yield


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """The folder of a finished sweep, to be read."""
    workdir = tmp_path_factory.mktemp("sweep")
    summary = sweeps.run(config(), weights_by_seeds(), workdir, Options(measure=False, command="this"))
    assert len(summary.finished) == 4 and not summary.failed and summary.outputs == {}
    assert not (workdir / "unfinished").exists()
    assert {path.name for path in workdir.iterdir()} == {".lock", "points", "sweep.json"}
    return workdir


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


def test_a_batch_whose_list_is_damaged_is_begun_anew(done, tmp_path):
    shutil.copytree(done, tmp_path, dirs_exist_ok=True)
    next(tmp_path.glob("points/*/image.png")).unlink()
    (tmp_path / "unfinished" / "batch-1").mkdir(parents=True)
    (tmp_path / "unfinished" / "batch-1" / "config.json").write_bytes(b"")
    assert len(sweeps.run(config(), weights_by_seeds(), tmp_path, QUIET).finished) == 4


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


FEW = ("gram", "sliced_wasserstein")


@pytest.mark.parametrize("losses", [FEW, pytest.param(presets.STYLE_LOSSES, marks=pytest.mark.slow)])
def test_every_picture_is_measured_and_reported(done, tmp_path, monkeypatch, losses):
    monkeypatch.setattr(presets, "STYLE_LOSSES", losses)
    shutil.copytree(done, tmp_path, dirs_exist_ok=True)
    only = ("weight=1.0,seed=0", "weight=30.0,seed=0")
    summary = sweeps.run(config(), weights_by_seeds(), tmp_path, Options(only=only, title="a title"))
    assert summary.finished == only
    assert {name: path.name for name, path in summary.outputs.items()} == {
        **{"page": "index.html", "results": "results.csv"},
        **{"cross losses": "cross_losses.csv", "grid": "grid.png"},
    }
    assert "<h1>a title</h1>" in summary.outputs["page"].read_text()
    for name in only:
        measured = json.loads((tmp_path / "points" / name / "measures.json").read_text())
        assert set(measured["losses"]) == set(losses)
        assert all(value is not None for value in measured["picture"].values())
        assert measured["losses"]["gram"]["relu1_1"] > 0
    assert not (tmp_path / "points" / "weight=1.0,seed=1" / "measures.json").exists()
    assert len(list((tmp_path / "pictures").iterdir())) == 2
    before = (tmp_path / "points" / only[0] / "measures.json").stat().st_mtime_ns
    sweeps.run(config(), weights_by_seeds(), tmp_path, Options(only=only))
    assert (tmp_path / "points" / only[0] / "measures.json").stat().st_mtime_ns == before


def test_a_design_names_the_losses_that_measure(done, tmp_path, monkeypatch):
    """Points that were measured by others are measured again."""
    monkeypatch.setattr(presets, "STYLE_LOSSES", FEW)
    shutil.copytree(done, tmp_path, dirs_exist_ok=True)
    only = ("weight=1.0,seed=0",)
    for losses in ((), ("gram",), ("sliced_wasserstein",)):
        made = dataclasses.replace(weights_by_seeds(), losses=losses)
        sweeps.run(config(), made, tmp_path, Options(only=only))
        measured = json.loads((tmp_path / "points" / only[0] / "measures.json").read_text())
        assert set(measured["losses"]) == set(losses or FEW)
        header = (tmp_path / "cross_losses.csv").read_text().splitlines()[0]
        assert all((loss in header) == (loss in measured["losses"]) for loss in FEW)


def test_points_of_one_size_and_of_one_picture_are_measured_together(tmp_path, monkeypatch):
    """Targets of one picture at a time are kept, and programs of a few sizes."""
    seen = []

    def record(run, name, workdir, encoder, cache, losses):
        seen.append((name, id(cache), cache))
        (workdir / "points" / name / "measures.json").write_text("{}")

    monkeypatch.setattr(measure, "_measure", record)
    monkeypatch.setattr(measure, "_KEPT", 1)
    monkeypatch.setattr(measure.jax, "clear_caches", lambda: seen.append("cleared"))
    contents = ("example:coffee", "example:astronaut")
    levels = [
        sweeps.factor("seed", (0, 1)),
        sweeps.factor("size", (16, 17)),
        sweeps.factor("content", contents),
    ]
    made = sweeps.configs(config(), Design(sweeps.product(*levels), {"size": "16"}, ("seed", "content")))
    for name in made:
        (tmp_path / "points" / name).mkdir(parents=True)
        (tmp_path / "points" / name / "image.png").touch()
    measure.measure_points(sweeps.load(made, tmp_path), tmp_path, None)
    names = [each[0].partition(",")[2] for each in seen if each != "cleared"]
    assert names[::2] == names[1::2] and len(set(names)) == 4  # seeds side by side
    assert len({each[1] for each in seen if each != "cleared"}) == 4
    assert seen.count("cleared") == 3  # coffee is wide and the astronaut square


def test_every_style_loss_measures(tmp_path):
    """By their shapes; losses have tests of their numbers."""
    made = sweeps.configs(config(), weights_by_seeds())
    run = next(iter(sweeps.load(made, tmp_path).values()))
    encoder, subject = run.measuring_encoder(), run.subject((16, 16))
    wanted = measure._terms(subject, encoder.taps, presets.STYLE_LOSSES)
    assert set(wanted) == {"content", *presets.STYLE_LOSSES}
    objective = Objective(encoder.apply, terms.build(wanted))

    def scores(start, styles):
        references = {"content": [Reference(start)], "style": styles}
        targets = make_targets(encoder.apply, encoder.params, objective.terms, references)
        return measure._scores_of(objective, start, encoder.params, targets)

    found = jax.eval_shape(scores, subject.start, subject.styles)
    assert all(each.shape == () for each in found.values())
    assert {name.split("/")[0] for name in found} == set(wanted)


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
