"""Designs: points and their configs, what is wrong with them, and their form in JSON."""

import dataclasses
import json
import runpy
from pathlib import Path

import pytest

from nstjax import sweeps
from nstjax.config import default_config, term
from nstjax.errors import UserError
from nstjax.sweeps import Design, Level, design, record

ROOT = Path(__file__).parents[2]
SWEEPS = [path for path in sorted((ROOT / "configs").glob("*.py")) if "def get_sweep" in path.read_text()]


def config():
    made = default_config()
    made.update(size=16, weights="random-tiny", steps=6)
    made.terms.content = term("feature", "relu2_2", reference="content")
    made.terms.style = term("gram", ("relu1_1", "relu2_1"), weight=3.0)
    made.lock()
    return made


def names(points):
    return [design.name(point) for point in points]


def test_points_combine():
    weights, seeds = sweeps.factor("terms.style.weight", (1.0, 2.0)), sweeps.factor("seed", (0, 1))
    assert weights[1] == {"terms.style.weight": Level("2.0", {"terms.style.weight": 2.0})}
    both = names(sweeps.product(weights, seeds))
    assert both == ["weight=1.0,seed=0", "weight=1.0,seed=1", "weight=2.0,seed=0", "weight=2.0,seed=1"]
    assert names(sweeps.zipped(weights, seeds)) == [both[0], both[3]]
    assert names(sweeps.chained(sweeps.fixed("seed", 3), weights)) == ["seed=3", "weight=1.0", "weight=2.0"]
    losses = sweeps.factor("loss", {"a b/c": {"terms.style": term("cmd", "relu1_1")}})
    assert names(losses) == ["loss=a_b_c"]
    with pytest.raises(UserError, match="zipped takes as many points of each; got 2, 1"):
        sweeps.zipped(weights, losses)
    with pytest.raises(UserError, match="'seed' is set by two factors"):
        sweeps.product(seeds, seeds)


def test_points_are_configs():
    plain = {"terms.style.weight": 3.0}
    losses = {"gram": plain, "cmd": {"terms.style": term("cmd", ("relu1_1",)), "terms.content": None}}
    losses["tv"] = plain | {"terms.tv": term("tv_corner", "image", reference="content")}
    made = sweeps.configs(config(), Design(sweeps.factor("loss", losses), {"loss": "gram"}))
    assert made["loss=cmd"].terms.style.taps == ("relu1_1",) and "content" not in made["loss=cmd"].terms
    assert made["loss=tv"].terms.tv.loss == "tv_corner" and "tv" not in made["loss=gram"].terms
    weights = sweeps.factor("terms.style.weight", (1.0, 2.0))
    both = Design(
        sweeps.product(sweeps.factor("loss", losses), weights), {"loss": "gram", "terms.style.weight": "1.0"}
    )
    assert [c.terms.style.weight for c in sweeps.configs(config(), both).values()] == [1.0, 2.0] * 3
    rates = Design(sweeps.factor("learning_rate", (None, 0.5)), {"learning_rate": "None"})
    assert [c.learning_rate for c in sweeps.configs(config(), rates).values()] == [None, 0.5]
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
    points = sweeps.factor(factor, values)
    baseline = "8" if factor == "size" else points[0][factor].label
    with pytest.raises(UserError, match=message):
        sweeps.configs(config(), Design(points, {factor: baseline}))


def test_points_are_compared_at_the_same_repeats_or_refused():
    seeds, sizes = sweeps.factor("seed", (0, 1)), sweeps.factor("size", (16, 32))
    with pytest.raises(UserError, match=r"sets 'size', which the sweep names neither in baseline nor in rep"):
        sweeps.configs(config(), Design(sweeps.product(seeds, sizes), {"seed": "0"}))
    lame = [*sweeps.product(seeds, sizes[:1]), *sweeps.product(seeds[:1], sizes[1:])]
    with pytest.raises(UserError, match=r"the point seed=1,size=16 has no baseline at the same seed"):
        sweeps.configs(config(), Design(lame, {"size": "32"}, ("seed",)))
    with pytest.raises(UserError, match="the point seed=0 does not set 'size'"):
        sweeps.configs(config(), Design(sweeps.chained(seeds, sizes), {"size": "16"}, ("seed",)))
    with pytest.raises(UserError, match="the sweep has no points"):
        sweeps.configs(config(), Design([], {}))


def test_a_label_stands_for_one_level():
    seeds = sweeps.factor("seed", (0, 1))
    twice = [
        {**seed, **sweeps.factor("x", {"a": {"steps": steps}})[0]}
        for seed, steps in zip(seeds, (1, 2), strict=True)
    ]
    with pytest.raises(UserError, match="two levels of x are called a"):
        sweeps.configs(config(), Design(twice, {"x": "a"}, ("seed",)))


def two_by_two():
    points = sweeps.product(
        sweeps.fixed("size", 16),
        sweeps.factor("loss", {"gram": {"steps": 6}, "cmd": {"terms.style": term("cmd", ("relu1_1",))}}),
        sweeps.pairs([("example:coffee", "a/one.jpg"), ("example:chelsea", "two.png")]),
        sweeps.factor("seed", (0, 1)),
    )
    return Design(points, {"loss": "gram"}, ("pair", "seed"))


def test_a_design_says_what_is_compared():
    made = two_by_two()
    assert [(f.name, f.role, f.seed) for f in made.factors] == [
        *(("loss", "compared", False), ("pair", "repeat", False), ("seed", "repeat", True))
    ]
    assert made.factors[1].labels == ("coffee+one", "chelsea+two") and len(made.labels) == 8
    labels = made.labels["size=16,loss=cmd,pair=coffee+one,seed=1"]
    assert labels == {"loss": "cmd", "pair": "coffee+one", "seed": "1"}
    assert (made.setting(labels), made.repeat(labels)) == ("cmd", ("coffee+one", "1"))
    assert not made.is_baseline(labels) and len(made.baseline_names) == 4
    assert made.baseline_names[0] == "size=16,loss=gram,pair=coffee+one,seed=0"
    with pytest.raises(UserError, match="two pairs of pictures are called a\\+b; rename a file"):
        sweeps.pairs([("x/a.png", "b.jpg"), ("y/a.png", "b.jpg")])


@pytest.mark.parametrize("path", [None, *SWEEPS], ids=lambda path: getattr(path, "stem", "by hand"))
def test_a_design_comes_back_from_json(path):
    made = two_by_two() if path is None else runpy.run_path(str(path))["get_sweep"](_argument(path))
    saved = json.loads(json.dumps(made.to_json()))
    again = Design.from_json(saved)
    assert again.to_json() == saved
    assert (again.labels, again.factors) == (made.labels, made.factors)
    assert again.baseline_names == made.baseline_names
    assert (again.repeats, again.losses) == (made.repeats, made.losses)


def test_only_style_losses_measure():
    with pytest.raises(UserError, match=r"style loss 'grm' is unknown; did you mean 'gram'"):
        dataclasses.replace(two_by_two(), losses=("grm",))


def _argument(path):
    return "vary=levels" if path.stem == "wct" else None


def test_a_record_may_grow_and_is_of_one_sweep(tmp_path):
    made = two_by_two()
    record.write(
        record.Record("a sweep", "python x", Design(made.points[:6], made.baseline, made.repeats)), tmp_path
    )
    record.write(record.Record("a sweep", "python x", made), tmp_path)
    there = record.read(tmp_path)
    assert (there.title, there.command) == ("a sweep", "python x") and there.design.labels == made.labels
    other = record.Record("b", "", Design(made.points, {"pair": "coffee+one"}, ("loss", "seed")))
    with pytest.raises(UserError, match="holds another sweep, a sweep; give this one another workdir"):
        record.write(other, tmp_path)
    (tmp_path / "sweep.json").write_text('{"title": "a", "command": "b"}')
    with pytest.raises(
        UserError, match=r"sweep\.json has no key 'levels'; run its sweep again, into another"
    ):
        record.read(tmp_path)
