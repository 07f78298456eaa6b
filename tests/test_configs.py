"""Every config: its smoke run, its locked keys, and the numbers of the programs it stands for."""

import dataclasses
import functools
import importlib.util
import json
import re
from pathlib import Path

import jax
import ml_collections
import numpy as np
import pytest
from PIL import Image

from nstjax import images, optimize, presets, runs, sweeps
from nstjax.config import term
from nstjax.errors import UserError
from nstjax.folders import RunFolder
from nstjax.networks import vgg
from nstjax.ops.moments import gram_matrix
from nstjax.optimize import WHOLE
from nstjax.runs.stage import initial_image, make_encoder, make_stage
from nstjax.runs.terms import within

CONFIGS = sorted((Path(__file__).parents[1] / "configs").glob("*.py"))
# Of other methods: test_distill.py, test_universalrun.py, runs/test_training.py and sweeps/test_trainings.py
# run them.
OTHERS = ("decoder", "johnson2016", "learned", "mini", "paintings", "upsampling", "wct")
SWEEPS = [p.stem for p in CONFIGS if "def get_sweep" in p.read_text() and p.stem != "wct"]
# `make test-all` runs all, and traces a step of each. Every config is loaded, and every point of a sweep.
QUICK = ("demo",)


def module(name):
    path = next(p for p in CONFIGS if p.stem == name)
    spec = importlib.util.spec_from_file_location(name, path)
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


def config(name, arg=None):
    return module(name).get_config(arg)


def traced_step(loaded, spec):
    """The shapes of a state and its rows after a step of a stage."""
    config = spec.config.copy_and_resolve_references()
    config.unlock()
    config.calibrate = ""  # which asks for numbers
    spec = dataclasses.replace(spec, config=config)
    one = dataclasses.replace(loaded, stages=(spec,))
    problem = jax.eval_shape(lambda: make_stage(one, 0).problem)
    state = jax.eval_shape(lambda: optimize.initial_state(spec.plan, initial_image(one, spec)))
    objective = optimize.Objective(make_encoder(one, spec).apply, spec.terms)
    chunk = functools.partial(optimize.run_chunk, objective, spec.plan, stop=2, length=2)
    return jax.eval_shape(chunk, state, problem, spec.learning_rate)


@pytest.mark.slow
@pytest.mark.parametrize("name", [p.stem for p in CONFIGS if p.stem not in OTHERS])
def test_a_step_of_every_config_can_be_traced(name):
    loaded = runs.load(config(name, "smoke"))
    for spec in loaded.stages:
        state, rows = traced_step(loaded, spec)
        assert state.image.shape == (*loaded.canvas(64), 3) and rows["total"].shape == (2,)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(p.stem, marks=[pytest.mark.slow] * (p.stem not in QUICK))
        for p in CONFIGS
        if p.stem not in OTHERS
    ],
)
def test_smoke_runs_to_a_picture_and_a_report(name, tmp_path):
    smoke = config(name, "smoke")
    left = runs.run(smoke, tmp_path / "run")
    rows = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert rows[-1]["step"] == smoke.steps and rows[-1]["total"] < rows[0]["total"]
    picture = Image.open(left["picture"])
    assert max(picture.size) == 64 and picture.text["Comment"] == "nstjax; weights: mini"
    page = left["report"].read_text()
    assert page.count("<figure>") == 2 + bool(smoke.content) and "mini" in page
    assert not re.search(r"""(src|href)=(?!['"]?(data:|#))""", page)
    for key in ("inputs", "versions", "device", "git_commit"):
        assert key in json.loads((tmp_path / "run" / "provenance.json").read_text())


@pytest.mark.parametrize("name", [p.stem for p in CONFIGS])
def test_a_config_has_its_command_in_its_docstring_and_is_locked(name):
    text = module(name).__doc__
    assert f"--config=configs/{name}.py" in text and "Expect" in text
    assert config(name).is_locked
    if name not in OTHERS:
        runs.load(config(name, "smoke"))
    with pytest.raises(AttributeError):
        config(name).stpes = 3


# Of one, the points have weights of their own to normalise; the other has 132 points.
LONG = (("pooling_init", None), ("pooling_init", "smoke"), ("showdown", None))


@pytest.mark.parametrize(
    "name, arg",
    [
        pytest.param(name, arg, marks=[pytest.mark.slow] * ((name, arg) in LONG))
        for name in SWEEPS
        for arg in (None, "smoke")
    ],
)
def test_every_point_of_a_sweep_can_be_run(name, arg, tmp_path):
    planned, made = module(name).get_sweep(arg), config(name, arg).copy_and_resolve_references()
    with made.unlocked():
        made.normalise = made.normalise if name == "pooling_init" else False  # it takes a second each
    points = sweeps.load(sweeps.configs(made, planned), tmp_path)
    assert len(points) == len(planned.points) >= 2
    assert len(planned.baseline_names) * 2 <= len(points)


def test_a_showdown_of_some_losses_at_another_pull():
    planned = module("showdown").get_sweep("losses=cmd+palette,pull=60")
    assert {point["loss"].label for point in planned.points} == {"cmd", "palette"}
    assert planned.baseline == {"loss": "cmd"} and len(planned.points) == 12
    assert config("showdown", "pull=60").terms.style.weight == 60 / 5
    with pytest.raises(UserError, match=r"losses=cmd\+gramm: 'gramm' is unknown; did you mean 'gram'"):
        module("showdown").get_sweep("losses=cmd+gramm")


@pytest.mark.parametrize("name", ["showdown", "layers", "pooling_init", "optimizers", "weights"])
def test_pairs_of_a_file_take_the_place_of_the_examples(name, tmp_path):
    (tmp_path / "pairs.csv").write_text("a.jpg, b.png\n\nexample:chelsea,example:mosaic\n")
    planned = module(name).get_sweep(f"pairs={tmp_path}/pairs.csv")
    assert {point["pair"].label for point in planned.points} == {"a+b", "chelsea+mosaic"}
    for text, reason in (
        ("a.jpg\n", "expected a content and a style a line; got 'a.jpg'"),
        ("", "holds no p"),
    ):
        (tmp_path / "pairs.csv").write_text(text)
        with pytest.raises(UserError, match=reason):
            module(name).get_sweep(f"pairs={tmp_path}/pairs.csv")
    with pytest.raises(UserError, match=r"pairs nowhere\.csv: No such file"):
        module(name).get_sweep("pairs=nowhere.csv")


def test_gatys2016_holds_the_numbers_of_its_sources():
    paper = config("gatys2016", "variant=paper")
    assert paper.normalise and paper.pooling == "average" and paper.optimizer == "lbfgs"
    assert paper.terms.content.weight / sum([paper.terms.style.weight] * 5) == pytest.approx(1e-3)
    assert paper.terms.style.convention == "gatys2016" and paper.terms.content.loss == "feature_sum"
    code = config("gatys2016", "variant=code")
    assert not code.normalise and code.pooling == "max" and not code.project and code.steps == 500
    expected = (2.441e-4, 6.104e-5, 1.526e-5, 3.815e-6, 3.815e-6)
    np.testing.assert_allclose(code.terms.style.tap_weights, [1e3 * w for w in expected], rtol=1e-3)
    normal = config("gatys2016")
    assert (normal.terms.content.weight, normal.terms.style.weight) == (1e6, 2e8)
    with pytest.raises(UserError, match="variant 'cod' is unknown; did you mean 'code'"):
        config("gatys2016", "variant=cod")


def test_neural_style_holds_its_defaults():
    c = config("neural_style")
    assert (c.size, c.steps, c.optimizer, c.pooling, c.init) == (512, 1000, "lbfgs", "max", "noise")
    assert (c.terms.content.weight, c.terms.style.weight, c.terms.tv.weight) == (5.0, 100.0, 1e-3)
    assert c.terms.style.convention == "neural_style" and c.terms.tv.pixel_range == 256.0
    assert config("neural_style", "optimizer=adam").learning_rate == pytest.approx(10 / 255)


def test_texture2015_counts_the_parameters_of_its_model():
    c = config("texture2015")
    channels = {"relu1_1": 64, "pool1": 64, "pool2": 128, "pool3": 256, "pool4": 512}
    assert sum(n * (n + 1) // 2 for n in (channels[tap] for tap in c.terms.style.taps)) == 176_640
    assert (c.steps, c.optimizer_args.memory_size, c.terms.style.weight) == (2000, 20, 1e9)
    assert c.content == "" and c.init == "noise"


@pytest.mark.parametrize(
    "name, weights, foreign",
    [
        (
            "gatys2016",
            "mini",
            "content and style were published for VGG-19 normalised to mean activations of 1",
        ),
        ("gatys2016:variant=code", "vgg19-8bit", ""),
        ("gatys2016:variant=code", "random", "content and style were published for the original VGG-19"),
        ("lapstyle", "mini", "content and laplacian and style and tv were published for the original VGG-19"),
        ("gatys2016", "vgg19-8bit", ""),
        ("kalischek2021", "vgg19-8bit", "content and style were published for torchvision's VGG-19"),
        ("gatys2016:calibrated", "mini", ""),
        ("risser2017", "mini", ""),  # limits, not weights
        ("demo", "mini", ""),
    ],
)
def test_weights_of_terms_published_for_another_network_are_noted(name, weights, foreign, monkeypatch):
    monkeypatch.setattr(images, "calibration_images", lambda: [np.full((32, 32, 3), 0.5, np.float32)])
    c = config(*name.split(":")).copy_and_resolve_references()
    c.weights, c.size = weights, 32
    notes = [note for note in runs.load(c).notes if "published" in note]
    assert len(notes) == bool(foreign)
    assert not foreign or notes[0].startswith(f"the weights of {foreign}")
    assert not foreign or f", not for {weights}" in notes[0]


def test_calibrated_terms_pull_by_their_role():
    c = config("lapstyle", "calibrated")
    assert c.calibrate == "taps"
    weights = {name: term.weight for name, term in c.terms.items()}
    assert weights == {"content": 1.0, "style": 4.0, "laplacian": 0.5, "tv": 0.5}  # at each of five taps
    code = config("gatys2016", "variant=code,calibrated")
    assert code.terms.style.tap_weights == () and not config("gatys2016", "calibrated").normalise
    assert config("kalischek2021", "calibrated").terms.content.weight == 0  # as published
    assert config("risser2017", "smoke").terms.style.weight == config("risser2017").terms.style.weight
    assert config("gatys2016", "smoke").terms.style.weight == 4.0
    demo, smoke = config("demo"), config("demo", "smoke")
    assert smoke.terms.tv.weight == demo.terms.tv.weight  # strengths already


def test_taps_deeper_than_the_weights_are_refused_or_dropped(shared):
    c = config("gatys2016").copy_and_resolve_references()
    c.weights, c.size, c.normalise = str(shared / "weights" / "vgg19_keras_blocks1-3.h5"), 32, False
    with pytest.raises(
        UserError, match=r"terms\.style\.taps: tap 'relu4_1' is deeper than .*'pool3'|content"
    ):
        runs.load(c)
    c.beyond_weights = "drop"
    loaded = runs.load(c)
    terms = loaded.stages[0].config.terms
    assert (terms.content.taps, terms.content.weight) == (("relu3_4",), 1e6)
    assert terms.style.taps == ("relu1_1", "relu2_1", "relu3_1")
    assert 3 * terms.style.weight == pytest.approx(1e9)
    note = "terms.style reads relu1_1, relu2_1, relu3_1: the weights do not reach all of its taps"
    c.stages = ({"steps": 1, "terms": {"style": {"taps": ("relu1_1",)}}},)
    assert not [line for line in runs.load(c).notes if "terms.style" in line]  # taps of a stage are all there
    assert note in loaded.notes and loaded.config["terms"]["style"]["taps"] == presets.STYLE_TAPS


def test_a_term_keeps_the_sum_of_its_weights_within_reach():
    reachable = ("conv1_1", "relu1_1", "conv1_2", "relu1_2", "pool1")
    given = {
        "sum": term("gram", ("relu1_1", "pool1", "relu2_1"), weight=2.0, tap_weights=(1.0, 2.0, 3.0)),
        "column": term("gram", ("relu3_1+image+relu1_2", "relu4_1"), weight=2.0),
        "content": term("feature", "relu4_2", reference="content"),
        "there": term("gram", ("relu1_1", "image"), weight=0.3, tap_weights=(0.1, 0.2)),
    }
    found = within(ml_collections.ConfigDict(given), reachable)
    assert found["sum"].taps == ("relu1_1", "pool1") and found["sum"].tap_weights == (1.0, 2.0)
    assert found["sum"].weight == 4.0
    assert (found.column.taps, found.column.weight) == (("image+relu1_2",), 4.0)
    assert found.content.taps == ("relu1_2",) and found.there == given["there"]
    with pytest.raises(UserError, match=r"terms\.deep\.taps: the weights end at pool1, before all of them"):
        within({"deep": term("gram", "relu4_1")}, reachable)


def test_a_run_uses_what_its_config_says():
    """Sizes, blends and per-tap weights arrive in the arrays of a stage."""
    c = config("demo", "smoke").copy_and_resolve_references()
    c.unlock()
    c.style, c.style_weights, c.style_size = "example:mosaic,example:hatching", (3.0, 1.0), 48
    c.calibrate = ""
    c.terms.style.weight, c.terms.style.tap_weights = 2.0, (1.0, 0.5, 0.25, 0.0, 4.0)
    c.stages = ({"size": 32, "steps": 1}, {"size": 64, "steps": 2, "terms": {"style": {"weight": 6.0}}})
    loaded = runs.load(c)
    first, second = (make_stage(loaded, i) for i in (0, 1))
    assert (
        max(first.shape) == 32
        and max(second.shape) == 64
        and (first.spec.config.steps, second.spec.config.steps) == (1, 2)
    )
    assert (
        first.problem.weights["style"]["relu2_1"] == 1.0 and second.problem.weights["style"]["relu2_1"] == 3.0
    )
    alone = []
    for name in ("mosaic", "hatching"):
        single = c.copy_and_resolve_references()
        single.style, single.style_weights = f"example:{name}", ()
        alone.append(make_stage(runs.load(single), 1).problem.targets["style"]["relu3_1"][WHOLE].target)
    expected = 0.75 * alone[0] + 0.25 * alone[1]
    np.testing.assert_allclose(second.problem.targets["style"]["relu3_1"][WHOLE].target, expected, rtol=1e-4)
    assert first.problem.params["params"]["conv1_1"]["bias"].shape == (16,)
    assert vgg.reachable_taps(loaded.network.params)[-1] == "relu5_1"


@pytest.mark.parametrize("name", ["demo", "strotss", "lapstyle"])
def test_a_plain_dict_is_a_config_and_so_is_what_a_run_has_left(name):
    c = config(name).copy_and_resolve_references()
    c.weights, c.normalise = "random-tiny", False
    loaded = runs.load(c)
    left = json.loads(json.dumps(loaded.config))
    for plain in (left, c.to_dict()):
        again = runs.load(plain)
        assert json.loads(json.dumps(again.config)) == left and again.inputs == loaded.inputs
    with pytest.raises(UserError, match="the config must be a ConfigDict or a dict; got list"):
        runs.load([])


def test_copies_of_a_style_are_further_styles():
    c = config("demo", "smoke").copy_and_resolve_references()
    c.unlock()
    c.size, c.style_angles, c.style_scales = 32, (0.0, 90.0), (1.0, 0.5)
    stage = make_stage(runs.load(c), 0)
    picture, grams = images.load_picture(c.style).pixels, []
    for size in (32, 16):
        for pixels in (picture, images.rotate(picture, 90)):
            image = images.resize(pixels, *images.fit_size(*pixels.shape[:2], size))
            features = stage.objective.apply(stage.problem.params, image, ("relu2_1",))["relu2_1"]
            grams.append(gram_matrix(features))
    np.testing.assert_allclose(
        stage.problem.targets["style"]["relu2_1"][WHOLE].target, np.mean(grams, 0), rtol=1e-4
    )
    c.style_scales = (1.0, 0.0)
    with pytest.raises(UserError, match=r"style_scales must be above 0; got 0\.0"):
        runs.load(c)


def test_building_an_experiment_twice_compiles_once(compilations, tmp_path):
    for seed in (0, 1):
        c = config("demo", "smoke")
        c.seed, c.terms.style.weight = seed, 1.0 + seed
        loaded = runs.load(c)
        with (
            compilations() as seen,
            RunFolder(tmp_path / str(seed), loaded.config, loaded.provenance()) as f,
        ):
            loaded.run_batch([loaded], f)
    assert len(seen) == 0
