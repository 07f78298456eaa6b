"""A network trained from a config: what the run leaves, going on after a stop, values that are refused."""

import dataclasses
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from configs import johnson2016
from nstjax import images, runs
from nstjax.errors import NotFiniteError, UserError
from nstjax.feedforward.apply import stylize
from nstjax.networks import stylizers
from nstjax.networks.transformer import Condition
from nstjax.training import loop

ROOT = Path(__file__).parents[2]


def config(**values):
    made = johnson2016.get_config("smoke")
    with made.unlocked():
        made.weights = "random-tiny"
        made.style = "example:mosaic,example:woodblock"
        made.update(values)
    return made


def rows(folder):
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if k != "seconds"} for line in lines]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("training") / "run"
    made = config(strengths={"style": (0.1, 10.0)})
    return folder, runs.run(made, folder)


def test_a_run_leaves_the_network_its_picture_its_curve_and_what_was_seen(finished):
    folder, outputs = finished
    assert set(outputs) == {"picture", "network", "report"} and all(
        path.exists() for path in outputs.values()
    )
    assert [row["step"] for row in rows(folder)] == [2, 3, 4, 6]
    assert [row["step"] for row in rows(folder) if "validation/loss" in row] == [3, 6]
    seen = sorted(path.name for path in (folder / "validation").iterdir())
    assert seen == [f"000000{step}.{suffix}" for step in (3, 6) for suffix in ("jpg", "safetensors")]
    assert "dashed, of the pictures held out" in outputs["report"].read_text()
    last = (folder / "validation" / "0000006.safetensors").read_bytes()
    assert last == outputs["network"].read_bytes()
    measured = {row["step"]: row["validation/loss"] for row in rows(folder) if "validation/loss" in row}
    best = stylizers.load(folder / "best.safetensors")
    last = stylizers.load(outputs["network"])
    same = np.array_equal(
        best.variables["params"]["last"]["kernel"], last.variables["params"]["last"]["kernel"]
    )
    assert same == (measured[6] < measured[3])
    page = outputs["report"].read_text()
    assert "validation: after 6 steps" in page and "6 steps of adam" in page
    trained = stylizers.load(outputs["network"])
    assert trained.styles == ("mosaic", "woodblock") and trained.strengths == {"style": (0.1, 10.0)}
    content = images.resize(images.load_picture("example:coffee").pixels, *images.fit_size(400, 600, 64))
    painted = images.to_uint8(stylize(trained, content, trained.condition("mosaic")))
    np.testing.assert_array_equal(painted, images.load_picture(str(outputs["picture"])).pixels)


@pytest.mark.slow
def test_a_training_that_is_stopped_ends_with_the_same_bytes(finished, tmp_path, monkeypatch):
    folder, outputs = finished
    step, count = loop._step, 0

    def stops(*arguments):
        nonlocal count
        count += 1
        if count == 6:
            raise KeyboardInterrupt
        return step(*arguments)

    monkeypatch.setattr(loop, "_step", stops)
    made = config(strengths={"style": (0.1, 10.0)})
    with pytest.raises(KeyboardInterrupt):
        runs.run(made, tmp_path / "run")
    monkeypatch.undo()
    again = runs.run(made, tmp_path / "run")
    for name in ("picture", "network"):
        assert again[name].read_bytes() == outputs[name].read_bytes()
    assert rows(tmp_path / "run") == rows(folder)


@pytest.mark.slow
def test_batch_norm_accumulation_and_averages_train_as_well(tmp_path):
    made = config(network="johnson2016", ema=0.9, accumulate=2, calibrate="terms", optimizer="adamw")
    made.precision = "bfloat16"
    outputs = runs.run(made, tmp_path / "run")
    trained = stylizers.load(outputs["network"])
    variances = [leaf["variance"] for leaf in trained.variables["statistics"].values()]
    assert all(np.all(variance > 0) and not np.allclose(variance, 1) for variance in variances)


@pytest.mark.slow
def test_losses_with_samples_see_styles_of_one_shape(tmp_path):
    made = config()
    with made.unlocked():
        made.terms.style.loss = "relaxed_emd"
        del made.terms.style["convention"]
    assert runs.run(made, tmp_path / "run")["network"].exists()


@pytest.mark.slow
def test_a_training_has_the_precision_of_its_config(tmp_path, monkeypatch):
    seen = []

    def stop(*_, **__):
        seen.append(jax.config.jax_default_matmul_precision)
        raise NotFiniteError("stopped")

    monkeypatch.setattr(loop, "train", stop)
    for precision in ("bfloat16", ""):
        with pytest.raises(NotFiniteError, match="stopped"):
            runs.run(config(precision=precision), tmp_path / f"run{precision}")
    assert seen == ["bfloat16", None]


@pytest.mark.slow
def test_a_loss_that_is_not_finite_ends_the_run_with_one_line(tmp_path):
    with pytest.raises(NotFiniteError, match="the loss was not finite between steps"):
        runs.run(config(learning_rate=1e20, steps=20), tmp_path / "run")


REFUSED = {
    "network": ({"network": "jonson2016"}, "network 'jonson2016' is unknown; did you mean 'johnson2016'"),
    "argument": ({"network_args": {"width": 3}}, "network_args.width is unknown; did you mean 'widths'"),
    "widths": ({"network_args": {"widths": (4, 5)}}, "widths must be three numbers of channels"),
    "upsampling": ({"network_args": {"upsampling": "neerest"}}, "did you mean 'nearest'"),
    "crop": ({"crop": 66}, "crop must be a multiple of 4; got 66"),
    "small": ({"crop": 16}, "crop must be at least 32; got 16"),
    "strengths": (
        {"strengths": {"stile": (1, 2)}},
        "strengths: term 'stile' is unknown; did you mean 'style'",
    ),
    "range": ({"strengths": {"style": (2, 1)}}, r"must be \(least, largest\), above 0"),
    "optimizer": ({"optimizer": "lbfgs"}, "optimizer lbfgs searches along lines"),
    "no optimizer": ({"optimizer": "moun"}, "optimizer 'moun' is unknown; did you mean 'muon'"),
    "arguments": (
        {"optimizer": "muon", "optimizer_args": {"b1": 0.9}},
        "optimizer muon takes no optimizer_args",
    ),
    "schedule": (
        {"optimizer": "muon", "schedule": "cosine_decay_schedule"},
        "schedule_args.init_value is required",
    ),
    "precision": ({"precision": "float16"}, "precision 'float16' is unknown; did you mean 'bfloat16'"),
    "held out": ({"held_out": ("x",)}, "no picture of data has the name 'x'"),
    "data": ({"data": "nowhere"}, "data nowhere: no such folder"),
    "masks": ({"content_mask": "x.png"}, "a network is trained without masks"),
    "augmentation": ({"augmentation": "crops"}, "did you mean 'crop'"),
    "style": ({"style": ""}, "style is empty"),
    "taps": ({"terms": {"style": {"taps": ("relu9_1",)}}}, "tap 'relu9_1' does not exist"),
    "batch": ({"batch": 0}, "batch must be at least 1; got 0"),
}


@pytest.mark.parametrize(("values", "line"), list(REFUSED.values()), ids=list(REFUSED))
def test_what_cannot_be_is_one_line(values, line):
    with pytest.raises(UserError, match=line):
        runs.load(config(**values))


def test_a_folder_of_pictures_smaller_than_the_crop_is_one_line(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "p.png").write_bytes(images.encode_png(np.zeros((20, 90, 3))))
    with pytest.raises(
        UserError, match=r"none of 1 pictures can be used; the first: .* 90 x 20 pixels are less"
    ):
        runs.run(config(data=str(tmp_path / "data")), tmp_path / "run")


TOGETHER = """
import sys
import jax
from tests_training import config
from nstjax import runs
path, network, process = sys.argv[1:]
if process:
    jax.distributed.initialize("localhost:" + sys.argv[0], 2, int(process))
made = config(batch=8, log_every=1, strengths={"style": (0.1, 10.0)}, network=network)
runs.follow(made) if jax.process_index() else runs.run(made, path)
"""


@pytest.mark.slow
@pytest.mark.parametrize("network", ["pytorch_examples", "johnson2016"])
def test_devices_and_processes_share_a_batch_and_give_the_same_curve(network, tmp_path):
    (tmp_path / "tests_training.py").write_text(Path(__file__).read_text())

    def start(name, devices, process=""):
        flags = f"--xla_force_host_platform_device_count={devices}"
        place = {"XLA_FLAGS": flags, "PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}"}
        code = TOGETHER.replace("sys.argv[0]", repr(str(port)))
        line = [sys.executable, "-c", code, str(tmp_path / name), network, process]
        return subprocess.Popen(line, env={**os.environ, **place})

    with socket.socket() as found:
        found.bind(("localhost", 0))
        port = found.getsockname()[1]
    for name, devices in (("1", 1), ("2", 2), ("8", 8)):
        assert start(name, devices).wait() == 0
    pair = [start("pair", 2, process) for process in "01"]
    assert [process.wait(timeout=300) for process in pair] == [0, 0]
    first, *others = ([row["loss"] for row in rows(tmp_path / name)] for name in ("1", "2", "8", "pair"))
    assert len(first) == 6
    for other in others:
        np.testing.assert_allclose(other, first, rtol=1e-5)  # sums of gradients in another order


@pytest.mark.slow
def test_a_style_is_added_by_norms_alone(finished, tmp_path):
    before = stylizers.load(finished[1]["network"])
    made = config(style="example:hatching", extends=str(finished[1]["network"]), steps=40, learning_rate=0.02)
    made.validate_every = 40
    outputs = runs.run(made, tmp_path / "run")
    after, image = stylizers.load(outputs["network"]), images.load("example:coffee", 32)
    assert after.styles == ("mosaic", "woodblock", "hatching") and after.strengths == before.strengths
    for style in before.styles:
        told = {"style": 2.0}
        old, new = (stylize(each, image, each.condition(style, told)) for each in (before, after))
        np.testing.assert_array_equal(old, new)
    assert np.abs(stylize(after, image, after.condition("hatching")) - old).max() > 0.01
    curve = [row["loss"] for row in rows(tmp_path / "run")]
    assert np.mean(curve[-5:]) < 0.9 * np.mean(curve[:5])
    batch_norm = dataclasses.replace(before, network=before.network.clone(norm="batch"))
    none = Condition(np.zeros(2, np.float32), np.zeros(1, np.float32))
    made = jax.jit(batch_norm.network.init)(jax.random.key(0), np.zeros((8, 8, 3), np.float32), none)
    batch_norm = dataclasses.replace(batch_norm, variables=made)
    (tmp_path / "batch.safetensors").write_bytes(stylizers.encode(batch_norm))
    with pytest.raises(UserError, match="its norm is batch, whose statistics styles share"):
        runs.load(config(extends=str(tmp_path / "batch.safetensors"), style="example:hatching"))
    with pytest.raises(UserError, match="two styles are called mosaic"):
        runs.load(config(extends=str(finished[1]["network"]), style="example:mosaic"))
