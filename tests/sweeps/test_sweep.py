"""Sweeps: points and what is wrong with them; points run together are runs of their own."""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nstjax import presets
from nstjax.config import default_config, term
from nstjax.errors import UserError
from nstjax.runs import folder, run
from nstjax.sweeps import design, kinds
from nstjax.sweeps import run as sweeprun

ROOT = Path(__file__).parents[2]


def config():
    made = default_config()
    made.update(size=16, weights="random-tiny", steps=6, steps_per_call=3, checkpoint_every=3, init="noise")
    made.terms.content = term("feature", "relu2_2", reference="content")
    made.terms.style = term("gram", ("relu1_1", "relu2_1"), weight=3.0)
    made.lock()
    return made


def two_by_two():
    points = design.product(design.factor("terms.style.weight", (1.0, 30.0)), design.factor("seed", (0, 1)))
    return design.Sweep(points, baseline={"terms.style.weight": "1.0"}, repeats=("seed",))


def run_points(configs, workdir, **options):
    return sweeprun.run_points(sweeprun.load(configs, workdir), workdir, **options)


def test_points_combine():
    weights, seeds = design.factor("terms.style.weight", (1.0, 2.0)), design.factor("seed", (0, 1))
    names = [design.name(point) for point in design.product(weights, seeds)]
    assert names == ["weight=1.0,seed=0", "weight=1.0,seed=1", "weight=2.0,seed=0", "weight=2.0,seed=1"]
    assert [design.name(p) for p in design.zipped(weights, seeds)] == [names[0], names[3]]
    alone = design.chained(design.fixed("seed", 3), weights)
    assert [design.name(p) for p in alone] == ["seed=3", "weight=1.0", "weight=2.0"]
    losses = design.factor("loss", {"a b/c": {"terms.style": term("cmd", "relu1_1")}})
    assert design.name(losses[0]) == "loss=a_b_c"
    with pytest.raises(UserError, match="zipped takes as many points of each; got 2, 1"):
        design.zipped(weights, losses)
    with pytest.raises(UserError, match="'seed' is set by two factors"):
        design.product(seeds, seeds)


def test_points_are_configs():
    plain = {"terms.style.weight": 3.0}
    losses = {"gram": plain, "cmd": {"terms.style": term("cmd", ("relu1_1",)), "terms.content": None}}
    losses["tv"] = plain | {"terms.tv": term("tv_corner", "image", reference="content")}
    planned = design.Sweep(design.factor("loss", losses), {"loss": "gram"})
    made = design.configs(config(), planned)
    assert made["loss=cmd"].terms.style.taps == ("relu1_1",) and "content" not in made["loss=cmd"].terms
    assert made["loss=tv"].terms.tv.loss == "tv_corner" and "tv" not in made["loss=gram"].terms
    weights = design.factor("terms.style.weight", (1.0, 2.0))
    both = design.Sweep(
        design.product(design.factor("loss", losses), weights), {"loss": "gram", "terms.style.weight": "1.0"}
    )
    assert [c.terms.style.weight for c in design.configs(config(), both).values()] == [1.0, 2.0] * 3
    rates = design.Sweep(design.factor("learning_rate", (None, 0.5)), {"learning_rate": "None"})
    assert [c.learning_rate for c in design.configs(config(), rates).values()] == [None, 0.5]
    assert config().terms.style.loss == "gram" and made["loss=gram"].is_locked


@pytest.mark.parametrize(
    "factor, values, message",
    [
        ("stepz", (1, 2), "config key 'stepz' is unknown; did you mean 'steps'"),
        ("terms.stile.weight", (1.0, 2.0), "config key 'terms.stile' is unknown; did you mean 'style'"),
        ("steps", ("many", "few"), "config key 'steps' must be of type int; got 'many'"),
        ("steps", (1, 1), "two points of the sweep are steps=1"),
        ("x", {"a": {"steps": 2}, "b": {"steps": 2}}, "the points x=a and x=b are the same config"),
        ("size", (16, 32), "baseline: size '8' is no setting of it"),
    ],
)
def test_what_is_wrong_with_points_is_said_before_anything_runs(factor, values, message):
    points = design.factor(factor, values)
    baseline = "8" if factor == "size" else next(iter(points[0].values()))
    with pytest.raises(UserError, match=message):
        design.configs(config(), design.Sweep(points, {factor: baseline}))


def test_points_are_compared_at_the_same_repeats_or_refused():
    seeds, sizes = design.factor("seed", (0, 1)), design.factor("size", (16, 32))
    with pytest.raises(UserError, match=r"sets 'size', which the sweep names neither in baseline nor in rep"):
        design.configs(config(), design.Sweep(design.product(seeds, sizes), {"seed": "0"}))
    lame = [*design.product(seeds, sizes[:1]), *design.product(seeds[:1], sizes[1:])]
    with pytest.raises(UserError, match=r"the point seed=1,size=16 has no baseline at the same seed"):
        design.configs(config(), design.Sweep(lame, {"size": "32"}, ("seed",)))
    with pytest.raises(UserError, match="the point seed=0 does not set 'size'"):
        design.configs(config(), design.Sweep(design.chained(seeds, sizes), {"size": "16"}, ("seed",)))
    with pytest.raises(UserError, match="the sweep has no points"):
        design.configs(config(), design.Sweep([], {}))


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """The folder of a finished sweep."""
    workdir = tmp_path_factory.mktemp("sweep")
    stand = run_points(design.configs(config(), two_by_two()), workdir, command="this")
    assert len(stand.finished) == 4 and not stand.failed and not (workdir / "unfinished").exists()
    return workdir


def pixels(folder):
    return np.asarray(Image.open(folder / "image.png")).astype(int)


def test_points_run_together_are_runs_of_their_own(done, tmp_path):
    for name, point in design.configs(config(), two_by_two()).items():
        run.stylize(point, tmp_path / name)
        alone, together = tmp_path / name, done / "points" / name
        assert {p.name for p in together.iterdir()} == {p.name for p in alone.iterdir()} - {
            *("checkpoints", ".lock", "preview.png")
        }
        assert np.abs(pixels(alone) - pixels(together)).max() <= 1  # float32, batched
        rows, of_lane = (
            [json.loads(line) for line in (f / "metrics.jsonl").read_text().splitlines()]
            for f in (alone, together)
        )
        assert [(r["step"], r["evaluations"]) for r in rows] == [
            (r["step"], r["evaluations"]) for r in of_lane
        ]
        np.testing.assert_allclose([r["total"] for r in of_lane], [r["total"] for r in rows], rtol=1e-4)
        config_there, weights_there = (
            json.loads((together / f"{kind}.json").read_text()) for kind in ("config", "weights")
        )
        assert config_there == json.loads((alone / "config.json").read_text())
        assert weights_there["style/relu1_1"] == point.terms.style.weight


def test_weights_seeds_and_rates_compile_once(tmp_path, compilations):
    def count(weights):
        points = design.product(
            design.factor("terms.style.weight", weights), design.factor("learning_rate", (0.01, 0.02))
        )
        planned = design.Sweep(points, {"terms.style.weight": str(weights[0]), "learning_rate": "0.01"})
        with compilations() as seen:
            run_points(design.configs(config(), planned), tmp_path / str(weights[0]))
        return len(seen)

    count((1.0, 2.0))
    assert count((3.0, 4.0)) == 0


def test_finished_points_are_not_run_again_and_others_join(done, monkeypatch):
    before = {p: p.stat().st_mtime_ns for p in done.rglob("*") if p.is_file()}
    ran = []
    batch = sweeprun._run_batch
    monkeypatch.setattr(
        sweeprun, "_run_batch", lambda points, *rest: (ran.append([*points]), batch(points, *rest))
    )
    planned = two_by_two()
    more = design.product(design.factor("terms.style.weight", (7.0,)), design.factor("seed", (0, 1)))
    planned = design.Sweep([*planned.points, *more], planned.baseline, planned.repeats)
    run_points(design.configs(config(), planned), done, at_most=1)
    assert ran == [["weight=7.0,seed=0"], ["weight=7.0,seed=1"]]
    assert before == {p: p.stat().st_mtime_ns for p in before}
    other = config().copy_and_resolve_references()
    other.unlock()
    other.steps = 2
    with pytest.raises(UserError, match=r"weight=1\.0,seed=0 holds a point with another config"):
        run_points(design.configs(other, planned), done)


def test_a_point_that_fails_leaves_the_others_alone(tmp_path):
    planned = design.Sweep(design.factor("learning_rate", (0.01, 1e38)), {"learning_rate": "0.01"})
    wild = config().copy_and_resolve_references()
    wild.unlock()
    wild.project = False
    stand = run_points(design.configs(wild, planned), tmp_path)
    assert stand.finished == ("learning_rate=0.01",)
    assert stand.failed["learning_rate=1e+38"].startswith("stopped at step 1: ")
    assert (tmp_path / "points" / "learning_rate=1e+38" / "last_good.png").exists()
    assert run_points(design.configs(wild, planned), tmp_path) == stand


def test_too_little_memory_for_many_is_tried_with_fewer(tmp_path, monkeypatch):
    tried, together = [], run.run

    def small(lanes, folder):
        tried.append(len(lanes))
        if len(lanes) > 1:
            raise MemoryError
        return together(lanes, folder)

    monkeypatch.setattr(kinds, "OPTIMISED", kinds.OPTIMISED._replace(run=small))
    stand = run_points(design.configs(config(), two_by_two()), tmp_path)
    assert tried == [4, 2, 1, 1, 2, 1, 1] and len(stand.finished) == 4


def test_programs_of_many_structures_are_given_up(tmp_path, monkeypatch):
    ran, batch = [], sweeprun._run_batch
    monkeypatch.setattr(sweeprun, "_KEPT", 1)
    monkeypatch.setattr(sweeprun, "_run_batch", lambda *of: (ran.append("batch"), batch(*of))[1])
    monkeypatch.setattr(sweeprun.jax, "clear_caches", lambda: ran.append("cleared"))
    poolings = design.factor("pooling", ["max", "average"])
    planned = design.Sweep(
        points=design.product(poolings, design.factor("seed", range(2))),
        baseline={"pooling": "max"},
        repeats=("seed",),
    )
    run_points(design.configs(config(), planned), tmp_path, at_most=1)
    assert ran == ["batch", "batch", "cleared", "batch", "batch"]


def driver(workdir, *flags, devices=1):
    environment = os.environ | {"XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}"}
    line = [sys.executable, "-m", "experiments.sweep", f"--config={ROOT}/configs/weights.py:smoke"]
    line += ["--config.weights=random-tiny", "--config.size=16", f"--workdir={workdir}", *flags]
    return subprocess.Popen(
        line, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


@pytest.fixture(scope="module")
def by_one_device(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("driven")
    out, err = (process := driver(workdir, "--nomeasure")).communicate(timeout=300)
    assert process.returncode == 0, err
    assert out == "finished: 2 points\n" and not (workdir / "index.html").exists()
    return workdir


def test_every_picture_is_measured_by_every_loss(by_one_device, tmp_path):
    shutil.copytree(by_one_device, tmp_path, dirs_exist_ok=True)
    out, err = (process := driver(tmp_path)).communicate(timeout=300)
    assert process.returncode == 0, err
    assert out.startswith(f"finished: 2 points\npage: {tmp_path}/index.html\n")
    measured = json.loads((next((tmp_path / "points").iterdir()) / "measures.json").read_text())
    assert set(measured["losses"]) == set(presets.STYLE_LOSSES)
    assert all(value is not None for value in measured["picture"].values())
    plan = json.loads((tmp_path / "sweep.json").read_text())
    assert "--config.size=16" in plan["command"] and "--only" not in plan["command"]


def test_failed_points_are_the_exit_status(by_one_device, tmp_path):
    _, err = (
        process := driver(tmp_path, "--config.learning_rate=1e38", "--config.project=False")
    ).communicate()
    assert process.returncode == 1 and (tmp_path / "index.html").exists()
    assert "error: 2 of 2 points failed; weight=1.0,pair=coffee+brushwork: stopped at step 1: " in err
    config = ROOT / "configs" / "demo.py"
    line = [sys.executable, "-m", "experiments.sweep", f"--config={config}", f"--workdir={tmp_path}"]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2 and "has no function get_sweep; expected a sweep" in done.stderr


@pytest.mark.parametrize("devices", [4, pytest.param(8, marks=pytest.mark.slow)])
def test_several_devices_make_what_one_makes(by_one_device, tmp_path, devices):
    _, err = (process := driver(tmp_path, "--nomeasure", devices=devices)).communicate(timeout=300)
    assert process.returncode == 0, err
    for there in (by_one_device / "points").iterdir():
        assert np.abs(pixels(there) - pixels(tmp_path / "points" / there.name)).max() <= 1


def kills(by_one_device, tmp_path, times, seed):
    """A sweep killed at random moments goes on; what was finished stays as it was."""
    rng, finished = np.random.default_rng(seed), {}
    for _ in range(times):
        process = driver(tmp_path, "--at_most=1", "--nomeasure")
        time.sleep(rng.uniform(2, 14))
        process.kill()
        process.communicate()
        now = {p: p.stat().st_mtime_ns for p in tmp_path.glob("points/*/image.png")}
        assert finished.items() <= now.items()
        finished = now
    _, err = (process := driver(tmp_path, "--at_most=1", "--nomeasure")).communicate(timeout=300)
    assert process.returncode == 0, err
    assert finished.items() <= {p: p.stat().st_mtime_ns for p in tmp_path.glob("points/*/image.png")}.items()
    for there in (by_one_device / "points").iterdir():
        assert np.abs(pixels(there) - pixels(tmp_path / "points" / there.name)).max() <= 1


def test_two_processes_share_the_points(by_one_device, tmp_path):
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    flags = ("--nomeasure", "--distributed", f"--coordinator=localhost:{port}", "--processes=2")
    both = [driver(tmp_path, *flags, f"--process={i}") for i in range(2)]
    ended = [process.communicate(timeout=300) for process in both]
    assert [process.returncode for process in both] == [0, 0], ended
    assert not (tmp_path / "unfinished").exists()
    names = [there.name for there in (by_one_device / "points").iterdir()]
    assert sorted(names) == sorted(there.name for there in (tmp_path / "points").iterdir())
    ran_by = []
    for name in names:
        alone, shared = (folder / "points" / name for folder in (by_one_device, tmp_path))
        assert np.abs(pixels(alone) - pixels(shared)).max() <= 1
        ran_by.append(json.loads((shared / "provenance.json").read_text())["command"].split()[-1])
    assert sorted(ran_by) == ["--process=0", "--process=1"]


@pytest.mark.slow
def test_one_point_alone_by_its_name(by_one_device, tmp_path):
    name = sorted(there.name for there in (by_one_device / "points").iterdir())[0]
    _, err = (process := driver(tmp_path, "--nomeasure", "--only", name)).communicate(timeout=300)
    assert process.returncode == 0, err
    assert [there.name for there in (tmp_path / "points").iterdir()] == [name]
    assert np.abs(pixels(by_one_device / "points" / name) - pixels(tmp_path / "points" / name)).max() <= 1
    _, err = driver(tmp_path, f"--only={name[:-1]}").communicate(timeout=300)
    assert f"--only: the sweep has no point '{name[:-1]}'; did you mean '{name}'" in err


def test_a_sweep_in_use_and_another_sweep_are_refused(by_one_device, tmp_path):
    with contextlib.closing(folder.hold(tmp_path)):
        _, err = (process := driver(tmp_path)).communicate(timeout=300)
    assert process.returncode == 2 and f"{tmp_path} is in use by another run" in err
    plan = json.loads((by_one_device / "sweep.json").read_text())
    sweeprun.write_plan(plan, tmp_path)
    with pytest.raises(UserError, match="holds another sweep, weights; give this one another workdir"):
        sweeprun.write_plan(plan | {"baseline": {}}, tmp_path)


def test_two_kills_lose_no_point(by_one_device, tmp_path):
    kills(by_one_device, tmp_path, 2, seed=0)


@pytest.mark.slow
def test_ten_kills_lose_no_point(by_one_device, tmp_path):
    kills(by_one_device, tmp_path, 10, seed=1)


def test_evaluations_are_counted_over_stages(tmp_path):
    made = config().copy_and_resolve_references()
    made.unlock()
    made.stages = ({"size": 8, "steps": 4}, {"size": 16, "steps": 6})
    run.stylize(made, tmp_path)
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [(r["step"], r["evaluations"]) for r in rows] == [(0, 0), (4, 4), (10, 10)]
