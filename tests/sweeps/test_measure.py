"""What a sweep measures of its pictures."""

import dataclasses
import json
import shutil

import jax
import pytest
from sweep_points import FEW, config, weights_by_seeds

from nstjax import presets, sweeps
from nstjax.optimize import Objective, Reference, make_targets
from nstjax.runs import terms
from nstjax.sweeps import Design, Options, measure

pytestmark = pytest.mark.usefixtures("without_curves")


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
