"""Label pictures as people make them: each becomes the regions that were meant, or one line says why not."""

import itertools
import re

import numpy as np
import pytest
from PIL import Image, ImageFilter

from nstjax.errors import UserError
from nstjax.images import labels

# A disc in a square, drawn four times as large and reduced: its edge is smooth, as programs paint it.
ROWS, COLUMNS = np.mgrid[0:512, 0:512]
DISC = (np.hypot(ROWS - 256, COLUMNS - 256) < 150) * np.uint8(255)
SMOOTH = np.asarray(Image.fromarray(DISC).resize((128, 128), Image.Resampling.BOX))
HARD = SMOOTH >= 128
SHARE = HARD.mean()


def load_all(*paths):
    return labels.load_labels([*map(str, paths)])


def load(*paths):
    return load_all(*paths)[0]


def save(path, pixels, mode=None, **options):
    Image.fromarray(np.asarray(pixels, np.uint8), mode).save(path, **options)
    return path


def between(first, second, share=SMOOTH):
    """[H, W, 3] a picture that goes from one colour to another by a share of 255."""
    share = share[..., None] / 255
    return np.rint(share * first + (1 - share) * np.array(second))


def shares(picture):
    return {label: mask.mean() for label, mask in picture.masks.items()}


def palette_picture(numbers, colours):
    image = Image.fromarray(np.asarray(numbers, np.uint8), "P")
    image.putpalette([value for colour in colours for value in colour])
    return image


@pytest.mark.parametrize("first, second", itertools.permutations(labels.LABELS, 2))
def test_smooth_edges_make_no_region(tmp_path, first, second):
    colours = np.array(labels.LABELS[first]), labels.LABELS[second]
    picture = load(save(tmp_path / "a.png", between(*colours)))
    assert set(picture.masks) == {first, second}
    wrong = picture.masks[first] != HARD
    assert wrong.mean() < 0.02 and not wrong[40:88, 40:88].any()
    np.testing.assert_array_equal(sum(picture.masks.values()), 1)


@pytest.mark.parametrize("blur", [1, 2, 3, 4])
@pytest.mark.parametrize("quality", [None, 75, 30])
def test_blurred_and_compressed_edges_make_no_region(tmp_path, blur, quality):
    image = Image.fromarray(between((255, 255, 255), (0, 0, 0)).astype(np.uint8))
    path = tmp_path / ("a.jpg" if quality else "a.png")
    image.filter(ImageFilter.GaussianBlur(blur)).save(path, **({"quality": quality} if quality else {}))
    found = load(path)
    assert list(found.masks) == ["black", "white"]
    assert abs(shares(found)["white"] - SHARE) < 0.01


def test_a_region_of_noisy_colour_stays_one(tmp_path):
    noise = np.random.default_rng(0).integers(-20, 21, (128, 128, 3))
    noisy = np.clip(between((0, 255, 0), (255, 0, 0), DISC[::4, ::4]) + noise, 0, 255)
    found = load(save(tmp_path / "a.png", noisy))
    assert set(found.masks) == {"green", "red"} and abs(shares(found)["green"] - SHARE) < 0.01


def test_grey_that_is_painted_is_a_region_and_its_edges_are_not(tmp_path):
    pixels = np.zeros((60, 60, 3), np.uint8)
    pixels[:, 20:], pixels[:, 40:] = 128, 255
    pixels[30:, 10:] = np.where(pixels[30:, 10:] == 128, 128, 255)
    pixels[30:, 9] = 128  # an edge that meets the grey region
    pixels[29, 9:20] = 128
    found = load(save(tmp_path / "a.png", pixels))
    np.testing.assert_array_equal(found.masks["grey"][0], [0] * 20 + [1] * 20 + [0] * 20)
    assert not found.masks["grey"][:, :19].any()


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "I;16", "F", "I"])
def test_small_numbers_in_grey_are_labels(tmp_path, mode):
    numbers = np.repeat([0, 1, 2, 7], 16)[None].repeat(64, 0)
    path = tmp_path / ("a.tif" if mode in "IF" else "a.png")
    if mode == "I;16":
        Image.fromarray(numbers.astype(np.uint16)).save(path)
    elif mode in "IF":
        Image.fromarray(numbers.astype(np.int32 if mode == "I" else np.float32)).save(path)
    else:
        Image.fromarray(numbers.astype(np.uint8)).convert(mode).save(path)
    assert shares(load(path)) == dict.fromkeys("0127", 0.25)


def test_a_dark_jpeg_and_tones_are_no_numbers(tmp_path):
    noise = np.random.default_rng(0).integers(0, 20, (64, 64))
    assert list(load(save(tmp_path / "a.jpg", noise)).masks) == ["black"]
    values = np.linspace(0, 1, 64, dtype=np.float32)[None].repeat(64, 0)
    Image.fromarray(np.where(values > 0.5, np.float32(0.98), 0)).save(tmp_path / "b.tif")
    assert shares(load(tmp_path / "b.tif")) == {"black": 0.5, "white": 0.5}


def test_zero_and_one_are_two_labels(tmp_path):
    found = load(save(tmp_path / "a.png", HARD))
    assert shares(found) == {"0": 1 - SHARE, "1": SHARE}
    # Its partner holds one of the numbers alone, and is read in the same way.
    empty = save(tmp_path / "b.png", np.zeros((8, 8)))
    assert [list(each.masks) for each in load_all(tmp_path / "a.png", empty)] == [
        ["0", "1"],
        ["0"],
    ]
    assert list(load(empty).masks) == ["black"]


def test_a_palette_of_its_own_is_read_by_its_numbers(tmp_path):
    voc = [(0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0), (0, 0, 128)]
    numbers = np.repeat([0, 1, 2, 4], 16)[None].repeat(64, 0)
    palette_picture(numbers, voc).save(tmp_path / "a.png")
    assert shares(load(tmp_path / "a.png")) == dict.fromkeys("0124", 0.25)
    # A small object is a region, though nearly all of the picture is black.
    numbers = np.zeros((64, 64), np.uint8)
    numbers[10:14, 10:20] = 2
    palette_picture(numbers, voc).save(tmp_path / "b.png")
    assert shares(load(tmp_path / "b.png"))["2"] == 40 / 64**2
    # A partner in which only black is left is read by its numbers too.
    palette_picture(np.zeros((8, 8)), voc).save(tmp_path / "c.png")
    assert list(load(tmp_path / "c.png", tmp_path / "a.png").masks) == ["0"]


def test_a_palette_of_the_labels_is_read_by_its_colours(tmp_path):
    image = Image.fromarray(between((255, 0, 0), (0, 255, 255)).astype(np.uint8)).quantize(16)
    image.save(tmp_path / "a.png")
    found = load(tmp_path / "a.png")
    assert set(found.masks) == {"red", "light blue"} and abs(shares(found)["red"] - SHARE) < 0.01


@pytest.mark.parametrize(
    "colour, inside, outside",
    [((255, 255, 255), "white", "black"), ((0, 0, 0), "black", "white"), ((128, 128, 128), "grey", "white")],
)
@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA"])
def test_transparency_is_a_region(tmp_path, colour, inside, outside, mode):
    image = Image.fromarray(np.dstack([np.full((128, 128, 3), colour, np.uint8), SMOOTH]))
    if mode == "PA":
        image.quantize(8).save(tmp_path / "a.png")
    else:
        image.convert(mode).save(tmp_path / "a.png")
    found = load(tmp_path / "a.png")
    assert set(found.masks) == {inside, outside}
    assert abs(shares(found)[inside] - SHARE) < 0.01
    assert f"transparent parts are the region '{outside}'" in found.notes


def test_transparent_parts_of_all_masks_are_one_region(tmp_path):
    white = save(tmp_path / "a.png", np.dstack([np.full((128, 128, 3), 255), SMOOTH]))
    pixels = between((0, 0, 0), (255, 0, 0), np.arange(128)[None].repeat(128, 0) // 64 * 255)
    painted = save(tmp_path / "b.png", np.dstack([pixels, SMOOTH]))
    first, second = load_all(white, painted)
    assert set(first.masks) == {"white", "blue"} and set(second.masks) == {"red", "black", "blue"}


def test_what_is_not_painted_is_no_mask_of_its_own(tmp_path):
    opaque = np.dstack([between((255, 0, 0), (0, 0, 0)), np.full((128, 128), 255)])
    found = load(save(tmp_path / "a.png", opaque))
    assert set(found.masks) == {"red", "black"} and len(found.notes) == 1
    nothing = load(save(tmp_path / "b.png", opaque * [1, 1, 1, 0]))
    assert list(nothing.masks) == ["white"]


def notes(tmp_path, share, colour=(255, 165, 0)):
    pixels = np.zeros((100, 100, 3))
    pixels[: round(100 * share)] = colour
    return load(save(tmp_path / "a.png", pixels)).notes


def test_shares_are_said_and_small_regions(tmp_path):
    assert notes(tmp_path, 0.5, (255, 0, 0)) == ("regions: black 50%, red 50%",)
    pixels = np.zeros((100, 100, 3))
    pixels[:6, :6] = (0, 0, 255)
    found = load(save(tmp_path / "a.png", pixels))
    assert found.notes == ("regions: black 100%, blue 0.4%", "region 'blue' is only 0.4% of it")


def test_pixels_of_no_label_are_said_and_many_are_refused(tmp_path):
    said = "20% of its pixels are near no label colour, most often (255, 165, 0), and go to the nearest"
    assert notes(tmp_path, 0.2) == (said, "regions: black 80%, yellow 20%")
    line = re.escape(
        "a.png: 50% of its pixels are near none of the label colours black, blue, green, grey, light blue, "
        "purple, red, white, yellow, most often (255, 165, 0); paint it in those, or save label numbers as a "
        "palette or grey PNG"
    )
    with pytest.raises(UserError, match=line):
        notes(tmp_path, 0.5)
    blurred = Image.fromarray(DISC[::4, ::4]).filter(ImageFilter.GaussianBlur(20))
    blurred.save(tmp_path / "a.png")
    with pytest.raises(UserError, match="none of the label colours"):
        load(tmp_path / "a.png")


def test_very_small_masks_keep_their_labels(tmp_path):
    for shape in ((1, 1), (1, 2), (2, 2)):
        pixels = np.zeros((*shape, 3))
        pixels[0, 0] = (255, 0, 0)
        assert load(save(tmp_path / "a.png", pixels)).masks["red"][0, 0] == 1


def test_the_edges_of_a_published_mask_are_no_region(shared):
    """Case 07 of Deep Photo Style Transfer: 0.1 % of its pixels, at its edges, are grey."""
    masks = load_all(*(shared / "deep_photo" / "07" / f"{which}_mask.png" for which in ("content", "style")))
    assert [set(mask.masks) for mask in masks] == [{"black", "white"}] * 2
    assert abs(masks[0].masks["white"].mean() - (masks[0].pixels.mean(-1) > 127).mean()) < 1e-3


def test_an_array_of_integers_is_numbers(tmp_path):
    numbers = np.zeros((20, 30), np.int64)
    numbers[:, 10:], numbers[10:, 20:] = 7, 200
    np.save(tmp_path / "labels.npy", numbers)
    picture = load(tmp_path / "labels.npy")
    assert shares(picture) == pytest.approx({"0": 1 / 3, "7": 1 / 2, "200": 1 / 6})
    np.testing.assert_array_equal(picture.masks["200"], numbers == 200)
    assert picture.pixels.shape == (20, 30, 3)
    for wrong, line in (
        (numbers * 1.0, r"expected integers \[H, W\]; got float64 \[20, 30\]"),
        (numbers[0], r"expected integers \[H, W\]; got int64 \[30\]"),
        (numbers + 100, "labels must be from 0 to 255; got 100 to 300"),
    ):
        np.save(tmp_path / "wrong.npy", wrong)
        with pytest.raises(UserError, match=line):
            load(tmp_path / "wrong.npy")
    (tmp_path / "wrong.npy").write_bytes(b"no array")
    with pytest.raises(UserError, match=r"wrong\.npy is not a file of an array, as numpy.save writes"):
        load(tmp_path / "wrong.npy")


def test_a_folder_has_a_mask_a_file(tmp_path):
    (tmp_path / "masks").mkdir()
    sky, sun = np.zeros((2, 40, 60), np.uint8)
    sky[:20], sun[5:10, 5:15] = 255, 255
    soft = np.asarray(Image.fromarray(sky).filter(ImageFilter.GaussianBlur(2)))
    save(tmp_path / "masks" / "sky.png", soft)
    save(tmp_path / "masks" / "sun.png", sun)
    save(tmp_path / "masks" / "moon.png", 0 * sun)
    picture = load(tmp_path / "masks")
    assert list(picture.masks) == ["sky", "sun", "rest"]
    np.testing.assert_array_equal(picture.masks["sun"], sun > 0)
    np.testing.assert_array_equal(picture.masks["sky"], (sky > 0) & (sun == 0))
    np.testing.assert_array_equal(sum(picture.masks.values()), 1)
    assert "mask 'moon' is empty" in picture.notes
    assert "2.1% of the pixels are in several masks, and belong to the smallest" in picture.notes
    before = picture.sha256
    save(tmp_path / "masks" / "moon.png", sun)
    assert load(tmp_path / "masks").sha256 != before
    clear = np.stack([np.full_like(sun, 255)] * 3 + [sun], -1)
    Image.fromarray(clear, "RGBA").save(tmp_path / "masks" / "moon.png")
    np.testing.assert_array_equal(load(tmp_path / "masks").masks["moon"], sun > 0)
    save(tmp_path / "masks" / "sky.jpg", soft)
    with pytest.raises(UserError, match="two masks are called 'sky'; rename a file"):
        load(tmp_path / "masks")
    (tmp_path / "masks" / "sky.jpg").unlink()
    save(tmp_path / "masks" / "moon.png", sun[:20])
    with pytest.raises(UserError, match=r"masks of one size; got moon\.png 60 x 20, sky\.png 60 x 40"):
        load(tmp_path / "masks")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="empty"):
        load(tmp_path / "empty")


def test_strict_labels_leave_smooth_edges_out(tmp_path):
    path = save(tmp_path / "a.png", between((255, 0, 0), (128, 128, 128)))
    strict, nearest = (labels.load_labels([str(path)], rule=rule)[0] for rule in labels.RULES[::-1])
    for label in ("red", "grey"):
        assert (strict.masks[label] <= nearest.masks[label]).all()
    out = 1 - sum(strict.masks.values())
    assert 0.005 < out.mean() < 0.1 and any("of its pixels are in no region" in n for n in strict.notes)
    strictly = save(tmp_path / "b.png", [[(24, 26, 232), (25, 24, 230), (103, 120, 152), (103, 120, 153)]])
    (picture,) = labels.load_labels([str(strictly)], rule="strict")
    assert {label: mask.tolist() for label, mask in picture.masks.items()} == {
        "blue": [[0, 1, 0, 0]],
        "grey": [[0, 0, 1, 0]],
    }
    with pytest.raises(UserError, match="rule 'strickt' is unknown; did you mean 'strict'"):
        labels.load_labels([str(path)], rule="strickt")


def test_a_label_can_count_as_another(tmp_path):
    picture = load(save(tmp_path / "a.png", between((255, 0, 0), (0, 0, 255))))
    one = labels.merged(picture, {"red": "blue", "green": "blue"})
    np.testing.assert_array_equal(one.masks["blue"], 1)
    assert list(one.masks) == ["blue"] and one.notes[-1] == "region 'red' counts as 'blue'"
    other = labels.merged(picture, {"red": "white"})
    np.testing.assert_array_equal(other.masks["white"], picture.masks["red"])
