"""Pictures of files through a trained network: where they go, what is kept of them, what is made once."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from nstjax import images, photorealism
from nstjax.errors import FailedError, UserError
from nstjax.feedforward import painting
from nstjax.feedforward.apply import stylize
from nstjax.images import sheet
from nstjax.networks import stylizers
from nstjax.networks.stylizers import Stylizer
from nstjax.networks.transformer import Condition, Transformer

NETWORK = Transformer(widths=(4, 4, 6), blocks=1, styles=2, strengths=1, output="sigmoid")


@pytest.fixture(scope="module")
def trained():
    made = jax.jit(NETWORK.init)(
        jax.random.key(0), jnp.zeros((8, 8, 3)), Condition(jnp.ones(2), jnp.zeros(1))
    )
    keys = iter(jax.random.split(jax.random.key(1), 200))
    moved = jax.tree.map(lambda x: x + 0.2 * jax.random.normal(next(keys), x.shape), made)
    return Stylizer(NETWORK, moved, ("mosaic", "ink"), {"style": (0.1, 10.0)}, "nstjax; weights: none")


@pytest.fixture
def place(trained, tmp_path):
    """A folder with a network and three frames, one of which has transparent parts."""
    (tmp_path / "network.safetensors").write_bytes(stylizers.encode(trained))
    (tmp_path / "frames").mkdir()
    rng = np.random.default_rng(0)
    for number in (10, 2):
        pixels = rng.integers(0, 256, (24, 33, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "frames" / f"frame{number}.png")
    pixels = rng.integers(0, 256, (20, 20, 4), dtype=np.uint8)
    Image.fromarray(pixels, "RGBA").save(tmp_path / "frames" / "clear.png")
    return tmp_path


def run(place, *inputs, out="out", **options):
    return painting.run(place / "network.safetensors", inputs, place / out, **options)


def test_a_folder_is_painted_as_the_function_paints(place, trained):
    assert run(place, str(place / "frames"), styles=["ink"], strength="2") == {"pictures": place / "out"}
    assert sorted(p.name for p in (place / "out").iterdir()) == ["clear.png", "frame10.png", "frame2.png"]
    content = images.load(str(place / "frames" / "frame2.png"))
    wanted = images.to_uint8(stylize(trained, content, trained.condition("ink", {"style": 2.0})))
    np.testing.assert_array_equal(images.load_picture(place / "out" / "frame2.png").pixels, wanted)
    clear = [np.asarray(Image.open(place / name / "clear.png")) for name in ("frames", "out")]
    assert clear[1].shape == (20, 20, 4)
    np.testing.assert_array_equal(clear[0][..., 3], clear[1][..., 3])


def test_what_is_there_is_kept_and_what_was_made_otherwise_is_made_anew(place):
    pattern, path = str(place / "frames" / "*.png"), place / "out" / "frame2.png"
    run(place, pattern)
    first, inode = path.read_bytes(), path.stat().st_ino
    run(place, pattern)
    assert path.stat().st_ino == inode
    path.write_bytes(first[:-20])
    run(place, pattern)
    assert path.read_bytes() == first
    run(place, pattern, strength="style:0.5")
    assert path.read_bytes() != first


@pytest.mark.parametrize("suffix", [".jpg", ".webp"])
def test_other_formats_say_of_what_they_were_made(place, suffix):
    run(place, "example:coffee", size=32, suffix=suffix)
    path = place / "out" / f"coffee{suffix}"
    assert Image.open(path).size == (32, 21)
    assert images.label_of(path).startswith("nstjax; weights: none ") and "long side: 32" in images.label_of(
        path
    )


def test_styles_have_folders_and_one_picture_can_have_a_file(place):
    run(place, "example:coffee", size=16, styles=["ink", "mosaic:2+ink:1"])
    assert {p.name for p in (place / "out").iterdir()} == {"ink", "mosaic:2+ink:1"}
    outputs = run(place, "example:coffee", size=16, out="one.JPG")
    assert outputs == {"picture": place / "one.jpg"} and outputs["picture"].exists()


REFUSED = {
    "style": ({"styles": ["mosiac"]}, "style 'mosiac' is unknown; did you mean 'mosaic'"),
    "weight": ({"styles": ["ink:x"]}, "style ink:x: expected a number; got 'x'"),
    "strength": ({"strength": "50"}, r"strength of style must be in \[0.1, 10\]"),
    "term": ({"strength": "content:2"}, "strength of content: the network was not trained with it"),
    "word": ({"strength": "high"}, "strength high: expected a number; got 'high'"),
    "format": ({"suffix": ".gif"}, "output 'gif' is unknown; valid: png, jpg, webp"),
    "size": ({"size": -1}, "size must be at least 0; got -1"),
    "file": ({"out": "a.png", "styles": ["ink", "mosaic"]}, "is one file for 2 pictures; expected a folder"),
}


@pytest.mark.parametrize(("options", "line"), list(REFUSED.values()), ids=list(REFUSED))
def test_what_cannot_be_is_one_line_before_anything_is_made(place, options, line):
    with pytest.raises(UserError, match=line):
        run(place, "example:coffee", **options)
    assert not (place / "out").exists()


def test_inputs_that_are_not_there(place):
    with pytest.raises(UserError, match="no file matches"):
        run(place, str(place / "*.gif"))
    with pytest.raises(UserError, match="two pictures are called coffee"):
        run(place, "example:coffee", "example:coffee")
    with pytest.raises(
        FailedError, match=r"1 of 2 pictures failed; none.png: picture none.png: no such file"
    ):
        run(place, "none.png", str(place / "frames" / "frame2.png"))
    assert (place / "out" / "frame2.png").exists()


def test_filters_follow_the_painted_picture(place, trained):
    name = str(place / "frames" / "frame2.png")
    made = run(place, name, out="filtered.png", photorealistic=["local_affine", "detail"])["picture"]
    content = jnp.asarray(images.load(name))
    wanted = stylize(trained, content)
    for make in (photorealism.local_affine, photorealism.detail):
        wanted = jnp.clip(jax.jit(make())(wanted, content), 0, 1)
    saved = images.load_picture(made).pixels.astype(int)
    assert np.abs(saved - images.to_uint8(wanted).astype(int)).max() <= 1
    with pytest.raises(
        UserError, match="photorealistic 'local_afine' is unknown; did you mean 'local_affine'"
    ):
        run(place, name, photorealistic=["local_afine"])


def test_a_sheet_has_a_row_an_input(place):
    names = [str(place / "frames" / f"frame{n}.png") for n in (2, 10)]
    outputs = run(place, *names, styles=["mosaic", "ink"], sheet=place / "sheet.jpg")
    assert outputs["sheet"] == place / "sheet.jpg"
    shown = [
        (title, Image.open(path).convert("RGB"))
        for name in names
        for title, path in (
            ("", name),
            *((style, place / "out" / style / f"{Path(name).stem}.png") for style in ("mosaic", "ink")),
        )
    ]
    assert outputs["sheet"].read_bytes() == sheet.encode(sheet.flow(shown, 3), "JPEG", quality=88)
    with pytest.raises(UserError, match=r"expected a file that ends in \.jpg"):
        run(place, *names, sheet=place / "sheet.png")
