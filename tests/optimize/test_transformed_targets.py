"""Terms whose targets are made of content and style together."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from problems import picture

from nstjax import losses, runs, transforms
from nstjax.config import default_config, smoke, term
from nstjax.errors import UserError
from nstjax.networks import vgg
from nstjax.optimize import WHOLE, Objective, Problem, Reference, Term, extract, make_targets, term_weights
from nstjax.runs import terms
from nstjax.runs.stage import make_stage

TAPS = ("relu1_1", "relu2_1")


@pytest.mark.parametrize(
    "name", ["adain", *(pytest.param(name, marks=pytest.mark.slow) for name in ("wct", "histogram"))]
)
def test_a_target_is_the_contents_features_moved_towards_the_styles(name):
    encoder = vgg.make_encoder(vgg.random_params(0, vgg.TINY_WIDTHS), vgg.TORCHVISION)
    transform = getattr(transforms, name)()
    terms = (
        Term("moved", losses.feature(), TAPS, "content", transform),
        Term("gram", losses.gram(), TAPS, "content", transform),
        Term("plain", losses.feature(), TAPS[:1], "content"),
    )
    content, one, two = picture(0), picture(1, (9, 16)), picture(2)
    references = {"content": [Reference(content)], "style": [Reference(one, 3.0), Reference(two)]}
    targets = make_targets(encoder.apply, encoder.params, terms, references)
    x, a, b = (extract(encoder.apply, encoder.params, image, TAPS) for image in (content, one, two))
    for tap in TAPS:
        style = transform.blend([transform.style(a[tap]), transform.style(b[tap])], [0.75, 0.25])
        moved = transform.apply(x[tap], style)
        np.testing.assert_allclose(targets["moved"][tap][WHOLE].target, moved, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(
            targets["gram"][tap][WHOLE].target, losses.gram().target(moved), rtol=1e-4, atol=1e-5
        )
        assert jnp.abs(moved - x[tap]).max() > 0.01
    np.testing.assert_array_equal(targets["plain"][TAPS[0]][WHOLE].target, x[TAPS[0]])
    weights = term_weights(terms, {"moved": 1.0, "gram": 0.0, "plain": 0.0})
    objective = Objective(encoder.apply, terms)
    total, report = objective(content, Problem(encoder.params, targets, weights, jax.random.key(0)))
    assert report["plain/relu1_1"] == 0 < total
    with pytest.raises(ValueError, match="no picture is given for the reference 'style'"):
        make_targets(encoder.apply, encoder.params, terms, {"content": references["content"]})


def config(**terms):
    c = smoke(default_config())
    c.terms = terms
    c.lock()
    return c


@pytest.mark.slow
def test_a_config_names_transforms_and_losses_on_second_moments(tmp_path):
    c = config(
        wct=term(
            "feature", TAPS, reference="content", transform="wct", transform_args={"ridge_content": 1.0}
        ),
        adain=term("feature", TAPS, reference="content", transform="adain"),
        histogram=term("gram", TAPS, reference="content", transform="histogram"),
        own=term("wct_distance", TAPS, convention="wct2"),
        gaussian=term("wasserstein_gaussian", TAPS, convention="crowsonkb"),
    )
    runs.run(c, tmp_path / "run")
    rows = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert rows[-1]["total"] < rows[0]["total"]
    assert {key.split("/")[0] for key in rows[0] if "/" in key} == set(c.terms)
    first, second = (terms.build(c.terms) for _ in range(2))
    assert first == second and hash(first) == hash(second)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"transform": "wtc"}, "terms.x.transform 'wtc' is unknown; did you mean 'wct'"),
        ({"transform": "wct", "reference": "style"}, "reference must be content; got 'style'"),
        (
            {"transform": "wct", "transform_args": {"ridge": 1.0}},
            "terms.x.transform_args.ridge is unknown for wct; did you mean 'ridge_",
        ),
        (
            {"transform": "wct", "transform_args": {"cut": -1.0}},
            "terms.x.transform_args: cut must be at least",
        ),
        ({"transform_args": {"cut": 1.0}}, "terms.x.transform_args are given, but no transform"),
        ({"transfrom": "wct"}, "terms.x.transfrom is unknown for feature; did you mean 'transform'"),
    ],
)
def test_mistakes_are_named(arguments, message):
    with pytest.raises(UserError, match=message.replace(".", r"\.")):
        terms.build({"x": term("feature", TAPS, **{"reference": "content"} | arguments)})


def test_a_transform_needs_a_style():
    c = config(x=term("feature", TAPS, reference="content", transform="wct"))
    stage = make_stage(runs.load(c), 0)
    assert set(stage.problem.targets["x"]) == set(TAPS)
    c.style = ""
    with pytest.raises(UserError, match=r"terms\.x\.transform needs a style, which is empty"):
        runs.load(c)
