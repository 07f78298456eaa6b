"""Folders as training data: found at any depth, read when needed, kept within bounds, bad ones left out."""

import numpy as np
import pytest
from PIL import Image

from nstjax.errors import UserError
from nstjax.training.pictures import Pictures, _Kept, find


@pytest.fixture
def folder(tmp_path):
    """Five pictures at two depths, one of which is text and one too small."""
    rng = np.random.default_rng(0)
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / ".hidden").mkdir()
    for name, shape in {"p": (40, 60), "a/q": (80, 50), "a/b/r": (32, 32), "small": (10, 90)}.items():
        pixels = rng.integers(0, 256, (*shape, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
    (tmp_path / "a" / "corrupt.jpg").write_text("no picture")
    (tmp_path / "notes.txt").write_text("x")
    Image.new("RGB", (40, 40)).save(tmp_path / ".hidden" / "h.png")
    return tmp_path


def names(paths):
    return [path.rsplit("/", 1)[-1] for path in paths]


def test_pictures_are_found_at_any_depth_and_held_out_by_name(folder):
    paths, held_out = find(str(folder), ("q",))
    assert names(paths) == ["r.png", "corrupt.jpg", "p.png", "small.png"] and names(held_out) == ["q.png"]
    with pytest.raises(UserError, match="held_out: no picture of data has the name 'z'"):
        find(str(folder), ("z",))
    with pytest.raises(UserError, match="none is left to train on"):
        find(str(folder / "a" / "b"), ("r",))


def test_without_folders_there_are_the_examples():
    paths, _ = find("")
    assert "example:coffee" in paths


def test_the_next_picture_takes_the_place_of_one_that_cannot_be_used(folder, capfd):
    source = Pictures(find(str(folder))[0], least=32, side=1000)
    assert len(source) == 5
    shapes = [source[i].shape[:2] for i in range(5)]
    assert shapes == [(32, 32), (80, 50), (80, 50), (40, 60), (32, 32)]
    assert names(source.left_out) == ["corrupt.jpg", "small.png"]
    said = capfd.readouterr().err
    assert said.count("left out") == 2 and "90 x 10 pixels are less than a crop of 32" in said
    source[1], source[4]
    assert not capfd.readouterr().err


def test_a_folder_without_a_picture_that_can_be_used_is_one_line(folder):
    source = Pictures(find(str(folder))[0], least=100, side=1000)
    with pytest.raises(
        UserError, match=r"none of 5 pictures can be used; the first: picture .*q\.png: 50 x 80 pixels"
    ):
        source[2]


def test_pictures_are_reduced_and_few_are_kept(folder):
    paths = [path for path in find(str(folder))[0] if names([path])[0] in ("p.png", "q.png", "r.png")]
    source = Pictures(paths, least=16, side=20, room=4000)
    shapes = {names([path])[0]: source[i].shape for i, path in enumerate(paths)}
    assert shapes == {"p.png": (20, 30, 3), "q.png": (32, 20, 3), "r.png": (20, 20, 3)}
    assert 0 < len(source._kept) < 3
    for i in (0, 1, 2, 0, 2, 1):
        alone = Pictures(paths, least=16, side=20, room=0)[i]
        for _ in range(2):
            np.testing.assert_array_equal(source[i], alone)


def test_what_is_kept_is_what_was_read_last():
    rng = np.random.default_rng(0)
    kept, added = _Kept(1000), {}
    for key in range(400):
        added[key] = rng.integers(0, 256, (rng.integers(1, 9), rng.integers(1, 16), 3), dtype=np.uint8)
        kept.add(key, added[key])
        there = [i for i in added if kept.get(i) is not None]
        assert there == list(range(there[0], key + 1)) and len(there) == len(kept)
        for i in there:
            np.testing.assert_array_equal(kept.get(i), added[i])
        assert sum(added[i].size for i in there) > 1000 - 3 * 8 * 15 * 3 or there[0] == 0
    held = kept.get(399)
    for key in range(400, 500):
        kept.add(key, np.zeros((8, 8, 3), np.uint8))
    assert kept.get(399) is None
    np.testing.assert_array_equal(held, added[399])  # a reader's own, whatever is written over it
    kept.add("large", np.zeros((20, 20, 3), np.uint8))
    assert kept.get("large") is None and len(kept) > 1
