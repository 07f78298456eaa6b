"""Crops and procedural textures: the same for the same seed, whatever the pictures."""

import numpy as np
import pytest
from PIL import Image

from nstjax import images
from nstjax.errors import UserError
from nstjax.images import textures
from nstjax.training import data

PICTURES = [
    np.random.default_rng(i).integers(0, 256, shape, dtype=np.uint8)
    for i, shape in enumerate([(40, 60, 3), (9, 30, 3), (64, 64, 3), (1, 1, 3)])
]


def batches(seed=0, share=0.3):
    return data.make_batches(PICTURES, size=24, batch=4, seed=seed, texture_share=share)


def test_a_batch_depends_on_the_seed_and_its_number_alone():
    first, again = batches(), batches()
    for i in (0, 7, 3, 1000):
        assert np.array_equal(first[i], again[i])
    assert not np.array_equal(first[0], first[1])
    assert not np.array_equal(first[0], batches(seed=1)[0])
    from_three = next(iter(batches()[3:].to_iter_dataset()))
    assert np.array_equal(from_three, first[3])


@pytest.mark.parametrize("share", [0.0, 0.3])
def test_crops_are_pictures_in_range(share):
    every = np.concatenate([batches(share=share)[i] for i in range(12)])
    assert every.shape == (48, 24, 24, 3) and every.dtype == np.float32
    assert every.min() >= 0 and every.max() <= 1
    assert every.std() > 0.05


def test_textures_come_in_every_kind_and_fill_the_range():
    rng = np.random.default_rng(0)
    drawn = [textures.draw(rng, 32) for _ in range(60)]
    assert all(d.shape == (32, 32, 3) and d.dtype == np.float32 for d in drawn)
    assert all(np.isfinite(d).all() and d.min() >= 0 and d.max() <= 1 for d in drawn)
    rough = [np.abs(np.diff(d, axis=0)).mean() for d in drawn]
    assert min(rough) < 0.02 and max(rough) > 0.1  # smooth ones and busy ones
    for kind in (textures._clouds, textures._stripes, textures._cells, textures._discs, textures._strokes):
        assert np.isfinite(kind(rng, 16)).all()


def test_a_folder_without_pictures_is_one_line(tmp_path):
    with pytest.raises(UserError, match="no such folder; expected one with pictures"):
        images.picture_files(tmp_path / "none")
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(UserError, match=r"no picture in it; expected AVIF, BMP, "):
        images.picture_files(tmp_path)
    for name in ("b.JPG", "a.png"):
        Image.new("RGB", (4, 4)).save(tmp_path / name)
    assert [path.name for path in images.picture_files(tmp_path)] == ["a.png", "b.JPG"]
