"""Batches of crops, styles and strengths: the same for the same seed, in their ranges."""

import numpy as np
import pytest

from nstjax.errors import UserError
from nstjax.feedforward import data

PICTURES = [
    np.random.default_rng(i).integers(0, 256, shape, dtype=np.uint8)
    for i, shape in enumerate([(40, 60, 3), (32, 50, 3), (64, 64, 3)])
]


def batches(seed=0, **options):
    options = {"crop": 32, "batch": 4, "styles": 3, "ranges": [(0.1, 10.0)], **options}
    return data.make_batches(PICTURES, seed=seed, **options)


@pytest.mark.parametrize("augmentation", data.AUGMENTATIONS)
def test_a_batch_depends_on_the_seed_and_its_number_alone(augmentation):
    first, again = (batches(augmentation=augmentation, texture_share=0.3) for _ in range(2))
    for i in (0, 5, 2):
        for one, other in zip(first[i], again[i], strict=True):
            assert np.array_equal(one, other)
    assert not np.array_equal(first[0].images, first[1].images)
    assert not np.array_equal(first[0].images, batches(1, augmentation=augmentation)[0].images)
    assert len({int(seed) for i in range(8) for seed in first[i].seeds}) == 32


def test_parts_of_a_batch_are_the_batch():
    whole, parts = batches(), [batches(share=(part, 2)) for part in range(2)]
    for i in (0, 3):
        for all_of_it, *shares in zip(whole[i], *(part[i] for part in parts), strict=True):
            for part, share in enumerate(shares):
                assert np.array_equal(share, all_of_it[part::2])
    with pytest.raises(UserError, match="batch must be a multiple of 3, the number of processes; got 4"):
        batches(share=(0, 3))


def test_styles_and_strengths_are_drawn_from_all_there_are():
    drawn = [batches()[i] for i in range(60)]
    styles = np.concatenate([each.styles for each in drawn])
    strengths = np.concatenate([each.strengths for each in drawn])
    assert styles.dtype == np.int32 and np.bincount(styles).min() > 60
    assert strengths.shape == (240, 1) and np.abs(strengths).max() <= np.log2(10)
    shares = (strengths / np.log2(10) + 1) / 2  # squares of uniform numbers
    assert abs(np.mean(shares) - 1 / 3) < 0.06 and abs(np.mean(shares < 0.25) - 0.5) < 0.1
    assert batches(ranges=())[0].strengths.shape == (4, 0)


def test_a_crop_is_a_mirrored_or_plain_square_of_the_picture():
    picture = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    whole = picture.astype(np.float32) / 255
    crops = [data.crop_and_flip(picture, np.random.default_rng(i), size=32) for i in range(20)]
    plain = [np.array_equal(crop, whole) for crop in crops]
    assert 2 < sum(plain) < 18
    assert all(same or np.array_equal(crop[:, ::-1], whole) for crop, same in zip(crops, plain, strict=True))
    wide = np.tile(np.arange(96, dtype=np.uint8)[:, None, None], (1, 120, 3))
    spans = [np.ptp(data.crop_and_flip(wide, np.random.default_rng(i), size=32)[:, 0, 0]) for i in range(40)]
    assert 60 < 255 * min(spans) < 75 and 85 < 255 * max(spans) < 96  # a side of 64 to 96 rows
