"""A hand paints one picture for a seed, another for another seed, and unlike other hands.

The pictures are committed, so only `make test-all` paints them with every hand.
"""

import functools
import itertools

import numpy as np
import pytest
from PIL import Image
from skimage.color import rgb2hsv

from tools import paintings
from tools.paintings import __main__ as command
from tools.paintings import canvas

HANDS = tuple(command.PICTURES)
SIZE = 64
SMOKE = "stained_glass"  # the quickest


@functools.cache
def first_picture(hand):
    return getattr(paintings, hand).paint(SIZE, SIZE + 16, seed=0)


def texture(picture):
    """Mean colour, and deviation of the grey at three scales and along both axes."""
    grey = picture.mean(axis=-1)
    bands = [canvas.blur(grey, sigma) for sigma in (0.0, 1.0, 3.0, 9.0)]
    fine = [np.std(first - second) for first, second in itertools.pairwise(bands)]
    slopes = [np.std(slope) for slope in np.gradient(grey)]
    return np.concatenate([picture.mean(axis=(0, 1)), 3.0 * np.array(fine), 3.0 * np.array(slopes)])


slow = pytest.mark.slow


@pytest.mark.parametrize("hand", [*(pytest.param(h, marks=slow) for h in HANDS if h != SMOKE), SMOKE])
def test_shape_range_and_dtype(hand):
    picture = first_picture(hand)
    assert picture.shape == (SIZE, SIZE + 16, 3)
    assert picture.dtype == np.float32
    assert picture.min() >= 0.0
    assert picture.max() <= 1.0


@slow
@pytest.mark.parametrize("hand", HANDS)
def test_a_seed_decides_the_picture(hand):
    paint = getattr(paintings, hand).paint
    np.testing.assert_array_equal(paint(SIZE, SIZE + 16, seed=0), first_picture(hand))
    assert np.abs(paint(SIZE, SIZE + 16, seed=1) - first_picture(hand)).mean() > 0.01


@slow
@pytest.mark.parametrize("hand", HANDS)
def test_is_not_flat(hand):
    grey = first_picture(hand).mean(axis=-1)
    assert grey.std() > 0.12
    assert np.percentile(grey, 95) - np.percentile(grey, 5) > 0.4
    rows, columns = np.gradient(grey)
    assert np.hypot(rows, columns).mean() > 0.02


@slow
@pytest.mark.parametrize("hand", [hand for hand in HANDS if hand != "hatching"])
def test_has_several_hues(hand):
    hue, saturation, value = np.moveaxis(rgb2hsv(first_picture(hand)), -1, 0)
    vivid = (saturation > 0.3) & (value > 0.2)
    share = np.histogram(hue[vivid], bins=12, range=(0.0, 1.0))[0] / vivid.sum()
    assert vivid.mean() > 0.3
    assert np.sum(share > 0.02) >= 4


@slow
def test_hatching_is_ink_on_warm_paper():
    picture = first_picture("hatching")
    assert np.all(np.diff(picture, axis=-1).mean(axis=(0, 1)) < 0.0)  # red > green > blue
    assert rgb2hsv(picture)[..., 1].mean() < 0.4


@slow
def test_hands_differ():
    for first, second in itertools.combinations(HANDS, 2):
        gap = texture(first_picture(first)) - texture(first_picture(second))
        assert np.linalg.norm(gap) > 0.1, (first, second)


@pytest.mark.parametrize("hand", HANDS)
def test_shipped_pictures_are_small_and_well_sized(hand):
    path = command.EXAMPLES / f"{hand}.jpg"
    assert path.stat().st_size <= command.LARGEST
    height, width, _ = command.PICTURES[hand]
    with Image.open(path) as image:
        assert image.size == (round(width * 768), round(height * 768))


@slow
def test_command_writes_what_it_paints(tmp_path):
    command.main(["--out", str(tmp_path), "--only", "woodblock", "--size", "64"])
    assert [path.name for path in tmp_path.iterdir()] == ["woodblock.jpg"]
    height, width, seed = command.PICTURES["woodblock"]
    expected = paintings.woodblock.paint(round(height * 64), round(width * 64), seed)
    with Image.open(tmp_path / "woodblock.jpg") as image:
        assert np.abs(np.asarray(image) / 255.0 - expected).mean() < 0.03  # JPEG


def test_command_refuses_an_unknown_hand(tmp_path, capsys):
    with pytest.raises(SystemExit):
        command.main(["--out", str(tmp_path), "--only", "fresco"])
    assert "fresco" in capsys.readouterr().err


def test_noise_has_mean_0_and_its_deviation():
    field = canvas.noise(np.random.default_rng(0), 256, 320, 64)
    assert field.shape == (256, 320)
    assert field.mean() == pytest.approx(0.0, abs=0.1)  # 5000 independent bumps
    assert field.std() == pytest.approx(canvas.NOISE_DEVIATION, rel=0.05)


def test_ribbons_fill_a_straight_stroke_without_holes():
    path = np.stack([np.full(5, 20.0), np.linspace(5.0, 55.0, 5)], axis=-1)[None]
    cover = np.zeros((40, 50), bool)
    points = canvas.ribbons(path, np.full((1, 5), 10.0), cover.shape)
    for rows, columns, stroke, along, across in points:
        cover[rows, columns] = True
        assert np.all(stroke == 0)
        assert np.all((along >= 0.0) & (along <= 1.0) & (np.abs(across) <= 1.0))
    expected = np.zeros((40, 50), bool)
    expected[15:25, 5:] = True  # what lies right of the canvas is dropped
    assert np.mean(cover[expected]) == 1.0
    assert not cover[:14].any()
    assert not cover[26:].any()


def test_paths_follow_the_field():
    angle = np.full((32, 32), np.pi / 2)  # downwards
    path = canvas.trace(angle, np.array([[16.0, 8.0]]), 2.0, 7)[0]
    np.testing.assert_allclose(path[:, 0], np.arange(10.0, 23.0, 2.0))
    np.testing.assert_allclose(path[:, 1], 8.0)


def test_ramp_meets_its_stops():
    palette = canvas.colours("000000", "ff0000", "ffffff")
    np.testing.assert_allclose(
        canvas.ramp(palette, np.array([-1.0, 0.5, 0.75, 2.0])),
        [[0, 0, 0], [1, 0, 0], [1, 0.5, 0.5], [1, 1, 1]],
    )
