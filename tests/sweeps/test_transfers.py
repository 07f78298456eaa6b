"""Sweeps of universal transfer."""

import runpy
from pathlib import Path

import numpy as np
import pytest

from nstjax import files, images, presets, runs, sweeps
from nstjax.errors import UserError
from nstjax.runs import transfer
from nstjax.sweeps import Design, Options

CONFIG = str(Path(__file__).parents[2] / "configs" / "wct.py")


@pytest.mark.parametrize("vary, keys", [("transform", 4), ("alpha", 5), ("levels", 5)])
def test_what_a_sweep_varies_is_read(vary, keys, tmp_path):
    module = runpy.run_path(CONFIG)
    planned = module["get_sweep"](f"vary={vary},smoke")
    points = sweeps.load(sweeps.configs(module["get_config"](f"vary={vary},smoke"), planned), tmp_path)
    assert len(points) == keys
    found = {str(point.config[vary]) for point in points.values()}
    assert len(found) == keys and len({id(point.content) for point in points.values()}) == 1
    with pytest.raises(UserError, match="vary=apha is unknown; did you mean 'alpha'"):
        module["get_sweep"]("vary=apha")


@pytest.mark.slow
def test_transfers_are_swept_with_the_same_report(tmp_path, monkeypatch):
    monkeypatch.setattr(presets, "STYLE_LOSSES", ("covariance",))
    module = runpy.run_path(CONFIG)
    planned = module["get_sweep"]("vary=transform,smoke")
    made = module["get_config"]("vary=transform,smoke").copy_and_resolve_references()
    with made.unlocked():
        made.update({"size": 24, "levels": (2, 1), "measured_by": "random-tiny"})
    names = tuple(planned.labels)[:2]
    options = Options(only=names, title="wct", command="python x")
    summary = sweeps.run(made, planned, tmp_path / "sweep", options)
    assert summary.finished == names and not summary.failed
    rows = summary.outputs["results"].read_text().splitlines()
    assert len(rows) == 5 and sum(",finished," in row for row in rows) == 2
    folder = tmp_path / "sweep" / "points" / names[0]
    there = {"config.json", "provenance.json", "cost.json", "image.png", "measures.json"}
    assert {path.name for path in folder.iterdir()} == there
    alone = images.load_picture(str(runs.run(made, tmp_path / "alone")["picture"])).pixels / 255
    together = images.load_picture(str(folder / "image.png")).pixels / 255
    np.testing.assert_allclose(together, alone, atol=1.5 / 255)
    losses = files.read_json(folder / "measures.json")["losses"]
    cost = files.read_json(folder / "cost.json")
    assert losses["covariance"]["relu1_1"] < 1 and set(cost) >= {"seconds"}
    assert cost["with_compilation"] is False
    before = folder.stat().st_mtime_ns
    assert sweeps.run(made, planned, tmp_path / "sweep", options) == summary
    assert folder.stat().st_mtime_ns == before


def test_a_transfer_that_fails_leaves_the_others_alone(tmp_path, monkeypatch):
    make_image = transfer.make_image

    def lame(run):
        image = np.asarray(make_image(run))
        return image * np.nan if run.config["alpha"] == (1.0,) else image

    monkeypatch.setattr(transfer, "make_image", lame)
    made = runpy.run_path(CONFIG)["get_config"]("smoke").copy_and_resolve_references()
    with made.unlocked():
        made.update({"size": 24, "levels": (1,)})
    planned = Design(sweeps.factor("alpha", ((0.5,), (1.0,))), {"alpha": "[0.5]"})
    summary = sweeps.run(made, planned, tmp_path, Options(measure=False))
    assert len(summary.finished) == 1 and [*summary.failed.values()] == [transfer.NOT_FINITE]
    (name,) = summary.failed
    last = images.load_picture(str(tmp_path / "points" / name / "last_good.png")).pixels
    assert (
        np.abs(
            last - images.resize(images.load_picture("example:coffee").pixels, *last.shape[:2]) * 255
        ).max()
        <= 1
    )
