"""Label pictures of a config."""

import numpy as np
import pytest
from PIL import Image
from problems import compute_norms, evaluate

from nstjax import images, runs
from nstjax.config import default_config, term
from nstjax.errors import UserError
from nstjax.runs import Cache
from nstjax.runs.stage import initial_image, make_stage


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
    loaded = runs.load(config)
    stage = make_stage(loaded, 0)
    targets = stage.problem.targets
    assert set(targets["style"]["relu3_1"]) == {"red", "green"}
    red = targets["style"]["relu3_1"]["red"]
    assert red.where.shape == (12, 16) and red.share == 0.5
    assert red.where[:, :4].any() and not red.where[:, 8:].any()
    image = initial_image(loaded, loaded.stages[0])
    assert np.isfinite(evaluate(stage.objective, image, stage.problem)[0])
    assert compute_norms(stage.objective, image, stage.problem)["style/relu3_1"] > 0
    used = loaded.provenance()["inputs"]["pictures"]
    assert {"content mask", "style mask 0"} <= set(used)
    config.content, config.init = "", "noise"
    del config.terms.content
    config.style_mask = save(config.style_mask, RED, BLUE)
    loaded = runs.load(config)
    assert loaded.canvas(64) == (48, 64)
    assert loaded.notes == (
        f"{config.content_mask}: regions: green 50%, red 50%",
        f"{config.style_mask}: regions: blue 50%, red 50%",
        "content_mask: label 'green' is in no other mask; its region is left out",
        "style_mask: label 'blue' is in no other mask; its region is left out",
        *[note for note in loaded.notes if "random" in note],
    )
    assert loaded.provenance()["notes"] == list(loaded.notes)
    assert list(make_stage(loaded, 0).problem.targets["style"]["relu1_1"]) == ["red"]


def test_merged_labels_are_one_region(config):
    config.style_mask = save(config.style_mask, RED, BLUE)
    cache = Cache()
    alone = make_stage(runs.load(config, cache), 0, cache)
    assert list(alone.problem.targets["style"]["relu1_1"]) == ["red"]
    config.merge_labels = "blue:green"
    loaded = runs.load(config, cache)
    merged = make_stage(loaded, 0, cache).problem.targets["style"]["relu1_1"]
    assert set(merged) == {"red", "green"}
    assert f"{config.style_mask}: region 'blue' counts as 'green'" in loaded.notes
    assert not any("left out" in note for note in loaded.notes)


def test_mistakes_with_masks_are_named(config, tmp_path):
    def refused(message, **changes):
        changed = config.copy_and_resolve_references()
        for key, value in changes.items():
            target = changed.terms.style if key == "regions" else changed
            target[key] = value
        with pytest.raises(UserError, match=message):
            make_stage(runs.load(changed), 0)

    refused("content_mask is given, but no term has regions", regions="")
    refused("terms.style has regions: give both content_mask and style_mask", style_mask="")
    refused("terms.style.regions 'equals' is unknown; did you mean 'equal'", regions="equals")
    refused("mask_mode 'insides' is unknown; did you mean 'inside'", mask_mode="insides")
    two = config.style_mask + "," + config.style_mask
    refused("style_mask names 2 pictures for 1 styles", style_mask=two)
    refused("a.png is 10 x 48 pixels", content_mask=save(tmp_path / "a.png", RED, GREEN, (10, 48)))
    save(tmp_path / "a.png", RED, GREEN)
    line = "content_mask and style_mask have no label in common: green, red there, blue here"
    refused(line, style_mask=save(tmp_path / "c.png", BLUE, BLUE))
    refused("none of the label colours", style_mask=save(tmp_path / "c.png", (90, 60, 30), (90, 60, 30)))
    refused("missing.png", style_mask=str(tmp_path / "missing.png"))
    refused("merge_labels: expected LABEL:LABEL; got 'green'", merge_labels="green")
    refused("merge_labels 'gren' is unknown; did you mean 'green'", merge_labels="red:gren")
    refused("mask_labels 'strickt' is unknown; did you mean 'strict'", mask_labels="strickt")
    narrow = np.zeros((48, 64, 3), np.uint8)
    narrow[:, :6] = RED
    Image.fromarray(narrow).save(tmp_path / "a.png")
    refused("region 'red' covers no position of relu3_1 under mask_mode 'inside'")


@pytest.mark.parametrize("masks", [False, True])
def test_a_recoloured_start_has_the_colours_of_the_style_and_the_content_s_edges(config, masks):
    config.init = "recoloured"
    pixels = images.load_picture(config.style).pixels * np.float32([0.2, 0.5, 0.3])
    if masks:
        pixels[:, 32:] = 60 + pixels[:, 32:, ::-1]
    Image.fromarray(np.uint8(pixels)).save(config.style)
    if not masks:
        config.content_mask = config.style_mask = config.terms.style.regions = ""
    loaded = runs.load(config)
    image = np.asarray(initial_image(loaded, loaded.stages[0]))
    content, style = (images.load_picture(config[name]).pixels / 255 for name in ("content", "style"))
    halves = [(slice(0, 30), slice(34, 64))] if masks else [(slice(None), slice(None))]
    for ours, theirs in [*halves, *(each[::-1] for each in halves)]:
        np.testing.assert_allclose(image[:, ours].mean((0, 1)), style[:, theirs].mean((0, 1)), atol=0.03)
        np.testing.assert_allclose(image[:, ours].std((0, 1)), style[:, theirs].std((0, 1)), atol=0.03)
        for channel in range(3):
            pair = (x[:, ours, channel].ravel() for x in (image, content))
            assert np.corrcoef(*pair)[0, 1] > 0.9
    config.content = ""
    with pytest.raises(UserError, match="init is 'recoloured', but content is empty; give another init"):
        runs.load(config)
