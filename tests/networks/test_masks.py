"""Masks at the taps, regions of an objective, and label pictures of a config."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image
from problems import compute_norms, evaluate, picture

from nstjax import losses
from nstjax.config import default_config, term
from nstjax.errors import UserError
from nstjax.images import labels
from nstjax.networks import masks, vgg
from nstjax.optimize import Objective, Problem, Reference, Term, make_targets, term_weights
from nstjax.runs import image as image_runs
from nstjax.runs import stage as stages

TAPS = ("image", "relu1_1", "relu1_2", "pool1", "relu2_1", "relu3_1")


propagate = jax.jit(masks.propagate, static_argnames=("taps", "mode"))
ENCODER = vgg.make_encoder(vgg.random_params(0, vgg.TINY_WIDTHS), vgg.TORCHVISION)


@jax.jit
def encode(image):
    return ENCODER.apply(ENCODER.params, image, TAPS)


def test_modes_by_hand():
    mask = jnp.zeros((8, 8)).at[:, 4:].set(1)  # the right half
    row = {mode: {t: m[2] for t, m in propagate(mask, TAPS[:5], mode).items()} for mode in masks.MODES}
    for mode in masks.MODES:
        np.testing.assert_array_equal(row[mode]["image"], [0, 0, 0, 0, 1, 1, 1, 1])
    np.testing.assert_array_equal(row["all"]["relu1_1"], [0, 0, 0, 1, 1, 1, 1, 1])
    np.testing.assert_array_equal(row["all"]["relu1_2"], [0, 0, 1, 1, 1, 1, 1, 1])
    np.testing.assert_array_equal(row["all"]["pool1"], [0, 1, 1, 1])
    np.testing.assert_array_equal(row["all"]["relu2_1"], [1, 1, 1, 1])
    np.testing.assert_array_equal(row["inside"]["relu1_2"], [0, 0, 0, 0, 0, 0, 1, 1])
    np.testing.assert_array_equal(row["inside"]["pool1"], [0, 0, 0, 1])
    np.testing.assert_array_equal(row["inside"]["relu2_1"], [0, 0, 0, 0])
    for mode in ("simple", "area"):
        np.testing.assert_array_equal(row[mode]["relu2_1"], [0, 0, 1, 1])
    np.testing.assert_allclose(row["deep_photo"]["relu1_1"], [0, 0, 0, 1 / 3, 2 / 3, 1, 1, 2 / 3], rtol=1e-6)


@pytest.mark.parametrize("mode", masks.MODES)
def test_masks_have_the_size_of_the_features(mode):
    for shape in ((13, 22), (1, 5), (32, 16)):
        features = encode(picture(0, shape))
        found = propagate(jnp.ones(shape), (*TAPS, "relu2_1+relu1_1"), mode)
        for tap in TAPS:
            assert found[tap].shape == features[tap].shape[:2]
            if mode != "deep_photo":
                np.testing.assert_array_equal(found[tap], 1)
        np.testing.assert_array_equal(found["relu2_1+relu1_1"], found["relu2_1"])


@pytest.mark.parametrize("mode, seen", [("all", True), ("inside", False)])
def test_a_position_that_is_not_in_the_region_does_not_feel_it(mode, seen):
    """The network itself proves the modes: no change outside `all`, or inside, reaches such a position."""
    region = jnp.zeros((32, 32)).at[9:25, 6:27].set(1)
    changed = region if seen else 1 - region
    before, after = picture(0, (32, 32)), picture(0, (32, 32)) + 0.1 * changed[..., None]
    found, features = propagate(region, TAPS, mode), [encode(x) for x in (before, after)]
    for tap in TAPS:
        moved = np.abs(features[0][tap] - features[1][tap]).max(-1) > 0
        allowed = found[tap] > 0 if seen else found[tap] == 0
        assert not (moved & ~np.asarray(allowed)).any()
        assert moved.any()


def test_labels_of_a_picture():
    pixels = np.zeros((10, 10, 3), np.uint8)
    pixels[:, 5:] = (255, 0, 0)
    pixels[:, 4] = (128, 0, 0)  # between the two
    pixels[0, 0] = (13, 13, 23)
    found = labels.label_masks(pixels)
    assert list(found) == ["black", "red"]
    np.testing.assert_array_equal(found["black"][0], [1, 1, 1, 1, 0, 0, 0, 0, 0, 0])
    np.testing.assert_array_equal(found["red"][3], [0, 0, 0, 0, 0, 1, 1, 1, 1, 1])


def halves(shape):
    """Masks of the left and the right half at the tap `image`."""
    left = jnp.zeros(shape).at[:, : shape[1] // 4].set(1)
    return {"left": {"image": left}, "right": {"image": 1 - left}}


@pytest.mark.parametrize("share", ["equal", "area"])
def test_regions_are_compared_label_by_label(share):
    terms = (Term("style", losses.gram(), ("image",), "style", regions=share),)
    style, image, other = picture(0, (6, 8)), picture(1, (6, 8)), picture(2, (6, 8))
    regions, only_left = halves((6, 8)), {"left": {"image": jnp.ones((6, 8))}}
    references = {"style": [Reference(style, 1.0, regions), Reference(other, 3.0, only_left)]}
    targets = make_targets(None, None, terms, references, regions)
    gram = losses.gram()
    blended = 0.25 * gram.target(style[:, :2]) + 0.75 * gram.target(other)
    left = gram.score(image[:, :2], blended)
    right = gram.score(image[:, 2:], gram.target(style[:, 2:]))
    objective, numbers = Objective(None, terms), term_weights(terms, {"style": 2.0})
    total, report = evaluate(objective, image, Problem(None, targets, numbers, jax.random.key(0)))
    expected = 0.25 * left + 0.75 * right if share == "area" else (left + right) / 2
    np.testing.assert_allclose(report["style/image"], expected, rtol=1e-5)
    np.testing.assert_allclose(total, 2 * expected, rtol=1e-5)
    foreign = {"sky": regions["left"], **regions}
    found = make_targets(None, None, terms, {"style": [Reference(style, masks=regions)]}, foreign)
    assert list(found["style"]["image"]) == ["left", "right"]
    with pytest.raises(ValueError, match="term 'style' has regions, and no masks are given"):
        make_targets(None, None, terms, {"style": [Reference(style)]})


def save(path, left, right, size=(64, 48)):
    pixels = np.zeros((size[1], size[0], 3), np.uint8)
    pixels[:, : size[0] // 2], pixels[:, size[0] // 2 :] = left, right
    Image.fromarray(pixels).save(path)
    return str(path)


RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)


@pytest.fixture
def config(tmp_path):
    config = default_config()
    rng = np.random.default_rng(0)
    for name in ("content", "style"):
        pixels = rng.integers(0, 255, (48, 64, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
        config[name] = str(tmp_path / f"{name}.png")
    config.update(size=64, weights="random-tiny", steps=2, mask_mode="inside")
    config.content_mask = save(tmp_path / "a.png", RED, GREEN)
    config.style_mask = save(tmp_path / "b.png", GREEN, RED)
    config.terms.content = term("feature", "relu2_1", reference="content")
    config.terms.style = term("gram", ("relu1_1", "relu3_1"), regions="equal")
    return config


def test_a_config_with_regions(config):
    run = image_runs.load(config)
    stage = stages.make_stage(run, 0)
    targets = stage.problem.targets
    assert set(targets["style"]["relu3_1"]) == {"red", "green"}
    red = targets["style"]["relu3_1"]["red"]
    assert red.where.shape == (12, 16) and red.share == 0.5
    assert red.where[:, :4].any() and not red.where[:, 8:].any()
    image = stages.initial_image(run, stage.spec)
    assert np.isfinite(evaluate(stage.objective, image, stage.problem)[0])
    assert compute_norms(stage.objective, image, stage.problem)["style/relu3_1"] > 0
    used = run.provenance()["inputs"]["pictures"]
    assert {"content mask", "style mask 0"} <= set(used)
    config.content, config.init = "", "noise"
    del config.terms.content
    config.style_mask = save(config.style_mask, RED, BLUE)
    run = image_runs.load(config)
    assert run.canvas(64) == (48, 64)
    assert run.notes[0] == "content_mask: label 'green' is in no other mask; its region is left out"
    assert list(stages.make_stage(run, 0).problem.targets["style"]["relu1_1"]) == ["red"]


def test_mistakes_with_masks_are_named(config, tmp_path):
    def refused(message, **changes):
        changed = config.copy_and_resolve_references()
        for key, value in changes.items():
            target = changed.terms.style if key == "regions" else changed
            target[key] = value
        with pytest.raises(UserError, match=message):
            stages.make_stage(image_runs.load(changed), 0)

    refused("content_mask is given, but no term has regions", regions="")
    refused("terms.style has regions: give both content_mask and style_mask", style_mask="")
    refused("terms.style.regions 'equals' is unknown; did you mean 'equal'", regions="equals")
    refused("mask_mode 'insides' is unknown; did you mean 'inside'", mask_mode="insides")
    two = config.style_mask + "," + config.style_mask
    refused("style_mask names 2 pictures for 1 styles", style_mask=two)
    refused("a.png is 10 x 48 pixels", content_mask=save(tmp_path / "a.png", RED, GREEN, (10, 48)))
    save(tmp_path / "a.png", RED, GREEN)
    refused("no label in common", style_mask=save(tmp_path / "c.png", BLUE, BLUE))
    refused("none of the label colours", style_mask=save(tmp_path / "c.png", (90, 60, 30), (90, 60, 30)))
    refused("missing.png", style_mask=str(tmp_path / "missing.png"))
    narrow = np.zeros((48, 64, 3), np.uint8)
    narrow[:, :6] = RED
    Image.fromarray(narrow).save(tmp_path / "a.png")
    refused("region 'red' covers no position of relu3_1 under mask_mode 'inside'")
