"""The driver of universal style transfer: what it leaves, and the line it says where it cannot."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import ml_collections
import numpy as np
import pytest
from PIL import Image

from nstjax import files, images, runs, universal
from nstjax.errors import UserError
from nstjax.runs import memory, transfer

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "configs" / "wct.py"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a content of odd sides, two styles, and label pictures."""
    folder, rng = tmp_path_factory.mktemp("place"), np.random.default_rng(0)
    rows, columns = np.mgrid[:25, :39]
    content = np.stack([rows * 10, columns * 6, rows * 0 + 90], -1).astype(np.uint8)
    Image.fromarray(content).save(folder / "content.png")
    for name, colour in (("red", (250, 60, 30)), ("blue", (20, 90, 240))):
        Image.fromarray((rng.uniform(0.5, 1, (30, 34, 1)) * colour).astype(np.uint8)).save(
            folder / f"{name}.png"
        )
    sides = (np.zeros((25, 39, 3)) + np.where(columns < 18, 255, 0)[..., None]).astype(np.uint8)
    Image.fromarray(sides).save(folder / "sides.png")
    for name, value in (("white", 255), ("black", 0)):
        Image.new("RGB", (34, 30), (value,) * 3).save(folder / f"{name}.png")
    return folder


def config(place, arg="smoke", **values):
    spec = importlib.util.spec_from_file_location("wct", CONFIG)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    made = module.get_config(arg).copy_and_resolve_references()
    with made.unlocked():
        made.update({"content": str(place / "content.png"), "style": str(place / "red.png"), "size": 39})
        made.update({"levels": (2, 1), **values})
    return made


def paint(config, folder):
    return images.load_picture(str(runs.run(config, folder)["picture"])).pixels / 255


def test_the_driver_leaves_a_picture_and_what_it_was_made_of(place, tmp_path, capsys):
    line = [sys.executable, "-m", "experiments.universal", f"--config={CONFIG}:smoke"]
    line += [f"--config.content={place}/content.png", f"--config.style={place}/red.png"]
    line += ["--config.size=39", "--config.levels=2,1", "--config.alpha=1.0,0.5", f"--workdir={tmp_path}/run"]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"picture: {tmp_path}/run/image.png\n"
    made = Image.open(tmp_path / "run" / "image.png")
    assert made.size == (39, 25) and made.text["Comment"] == "nstjax; weights: mini"
    resolved = json.loads((tmp_path / "run" / "config.json").read_text())
    assert resolved["levels"] == [2, 1] and resolved["alpha"] == [1.0, 0.5]
    assert 1e8 < files.read_json(tmp_path / "run" / "cost.json")["peak_bytes"] < memory.available()
    provenance = json.loads((tmp_path / "run" / "provenance.json").read_text())
    assert set(provenance["inputs"]["pictures"]) == {"content", "style 0"}
    assert "experiments.universal" in provenance["command"]
    inside = paint(config(place, alpha=(1.0, 0.5)), tmp_path / "other")
    np.testing.assert_allclose(np.asarray(made) / 255, inside, atol=3 / 255)
    same = {"levels": (2, 1), "alpha": (1.0, 0.5)}
    runs.run(config(place, **same), tmp_path / "run")
    assert capsys.readouterr().err == f"already finished: {tmp_path}/run/image.png\n"
    with pytest.raises(UserError, match="holds a run with another config"):
        runs.run(config(place, passes=2), tmp_path / "run")


def test_a_config_is_what_is_done(place, tmp_path):
    given = config(place, alpha=(0.9, 0.4), passes=2, transform="adain", transform_args={"eps": 1e-3})
    loaded = transfer.load(given)
    assert [level.level for level in loaded.order] == [2, 1]
    content = images.load_picture(given.content).pixels.astype(np.float32) / 255
    style = images.load_picture(given.style).pixels
    style = images.resize(style, *images.fit_size(*style.shape[:2], 39))
    known = universal.statistics(loaded.order, loaded.transform, style)
    image = content
    for _ in range(2):
        region = universal.StyleRegion(known)
        image = universal.stylize(loaded.order, loaded.transform, image, [region], alpha=(0.9, 0.4))
    np.testing.assert_allclose(transfer.make_image(loaded), image, atol=1e-4)


def test_regions_get_the_style_of_their_label_and_weights_interpolate(place, tmp_path):
    both = f"{place}/red.png,{place}/blue.png"
    masks = {"content_mask": f"{place}/sides.png", "style_mask": f"{place}/white.png,{place}/black.png"}
    image = paint(config(place, style=both, alpha=(1.0,), **masks), tmp_path / "masks")
    left, right = image[:, 2:14].mean((0, 1)), image[:, 24:36].mean((0, 1))
    assert left[0] > left[2] + 0.2 and right[2] > right[0] + 0.2
    red = paint(config(place, alpha=(1.0,)), tmp_path / "red")
    first = paint(config(place, style=both, alpha=(1.0,), style_weights=(2.0, 0.0)), tmp_path / "first")
    np.testing.assert_allclose(first, red, atol=1.5 / 255)
    mixed = paint(config(place, style=both, alpha=(1.0,)), tmp_path / "mixed").mean((0, 1))
    assert red[..., 0].mean() > mixed[0] > right[0]


def test_textures_start_from_noise_that_the_seed_decides(place, tmp_path):
    given = {"content": "", "passes": 2}
    a, b, c = (
        paint(config(place, "texture,smoke", seed=seed, **given), tmp_path / name)
        for name, seed in (("a", 0), ("b", 0), ("c", 1))
    )
    assert a.shape == (34, 39, 3) and np.array_equal(a, b) and np.abs(a - c).max() > 0.1
    assert a[..., 0].mean() > a[..., 2].mean() + 0.3
    default = config(place, "texture")
    assert (default.init, default.alpha, default.passes) == ("noise", (1.0,), 3)


@pytest.mark.parametrize(
    "values, line",
    [
        ({"transform": "wtc"}, "transform 'wtc' is unknown; did you mean 'wct'"),
        ({"transform": "colour"}, "transform 'colour' is unknown; valid: adain, histogram, mean_shift, wct"),
        ({"transform_args": {"ridge": 1.0}}, "transform_args.ridge is unknown for wct; did you mean 'ridge_"),
        ({"transform_args": {"cut": -1.0}}, "transform_args: cut must be at least 0; got -1.0"),
        ({"levels": ()}, r"levels must be some of \(1, 2, 3, 4, 5\); got \(\)"),
        ({"levels": (3, 6)}, r"levels must be some of .*; got \(3, 6\)"),
        ({"levels": (3, 2), "alpha": (1.0, 1.0, 1.0)}, "alpha must be one number, or one for each of the 2 "),
        ({"alpha": (1.5,)}, r"alpha must be in \[0, 1\]; got 1.5"),
        ({"alpha": (float("nan"),)}, "alpha must be finite; got nan"),
        ({"alpha": ("x",)}, "alpha: expected a number; got 'x'"),
        (
            {"photorealistic": "afine"},
            "photorealistic 'afine' is unknown; valid: local_affine, matting, detail",
        ),
        (
            {"photorealistic": "detail", "photorealistic_args": {"detail": {"radios": 2}}},
            "photorealistic_args.detail.radios is unknown for detail; did you mean 'radius'",
        ),
        (
            {"photorealistic": "detail", "photorealistic_args": {"matting": {}}},
            "photorealistic_args 'matting' is unknown; valid: detail",
        ),
        (
            {"photorealistic": "detail", "photorealistic_args": {"detail": {"radius": 0}}},
            "photorealistic_args.detail: radius must be at least 1; got 0",
        ),
        ({"passes": 0}, "passes must be at least 1; got 0"),
        ({"size": 0}, "size must be at least 1; got 0"),
        ({"init": "noice"}, "init 'noice' is unknown; did you mean 'noise'"),
        ({"content": ""}, "init is 'content', but content is empty; give a content, or init noise"),
        ({"style": ""}, "style is empty"),
        ({"style": "nowhere.png"}, "picture nowhere.png: no such file"),
        ({"style_weights": (1.0, 2.0)}, "style_weights has 2 numbers for 1 style pictures"),
        ({"style_weights": (0.0,)}, "style_weights must add up to more than 0"),
        ({"style_weights": (-1.0,)}, "style_weights must be at least 0"),
        ({"preprocessing": "cafe"}, "preprocessing 'cafe' is unknown; did you mean 'caffe'"),
        ({"weights": "mni"}, "weights 'mni': .*; did you mean 'mini'"),
        ({"mask_mode": "aera"}, "mask_mode 'aera' is unknown; did you mean 'area'"),
        (
            {"style_mask": "example:mosaic"},
            "style_mask is given alone: give both content_mask and style_mask",
        ),
        ({"size": 10**7}, "size: 10000000 x .* pixels need over"),
    ],
)
def test_mistakes_are_a_line_and_leave_nothing(place, tmp_path, values, line):
    with pytest.raises(UserError, match=line):
        runs.run(config(place, **values), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_config_of_another_kind_is_named(tmp_path):
    with pytest.raises(UserError, match="the config has no key 'method'; expected that of an image"):
        runs.run(ml_collections.ConfigDict({"content": ""}), tmp_path / "run")
    with pytest.raises(UserError, match="the config has no key 'style'; expected that of a transfer"):
        runs.run(ml_collections.ConfigDict({"content": "", "method": "transfer"}), tmp_path / "run")
    with pytest.raises(UserError, match="method 'transfre' is unknown; did you mean 'transfer'"):
        runs.run(ml_collections.ConfigDict({"method": "transfre"}), tmp_path / "run")
