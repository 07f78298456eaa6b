"""Sweeps whose points are networks that are trained."""

import importlib.util
import json
from pathlib import Path

import pytest

from nstjax import sweeps
from nstjax.errors import UserError
from nstjax.networks import stylizers

CONFIGS = Path(__file__).parents[2] / "configs"


def module(name):
    spec = importlib.util.spec_from_file_location(name, CONFIGS / f"{name}.py")
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


@pytest.mark.slow
@pytest.mark.parametrize("name, count", [("upsampling", 4), ("learned", 2)])
def test_points_are_trained_painted_and_measured(name, count, tmp_path):
    made = module(name)
    given = made.get_config("smoke"), made.get_sweep("smoke"), tmp_path
    summary = sweeps.run(*given)
    assert len(summary.finished) == count and not summary.failed
    for point in summary.finished:
        folder = tmp_path / "points" / point
        assert stylizers.load(folder / "network.safetensors").styles == ("mosaic",)
        measured = json.loads((folder / "measures.json").read_text())
        assert measured["picture"]["checkerboard"] > 0 and measured["losses"]["histogram"]
    assert "evaluations" not in summary.outputs["results"].read_text().partition("\n")[0]
    assert sweeps.run(*given).finished == summary.finished


def test_losses_of_networks_are_named():
    planned = module("learned").get_sweep("losses=cmd+gram")
    assert planned.baseline == {"loss": "cmd"} and len(planned.points) == 2
    with pytest.raises(UserError, match="losses: loss 'gramm' is unknown; did you mean 'gram'"):
        module("learned").get_sweep("losses=gramm")
