"""Label pictures to masks."""

import numpy as np

from nstjax.images import labels


def test_labels_of_a_picture():
    pixels = np.zeros((10, 10, 3), np.uint8)
    pixels[:, 5:] = (255, 0, 0)
    pixels[:, 4] = (128, 0, 0)  # between the two
    pixels[0, 0] = (13, 13, 23)
    found = labels.label_masks(pixels)
    assert list(found) == ["black", "red"]
    np.testing.assert_array_equal(found["black"][0], [1, 1, 1, 1, 0, 0, 0, 0, 0, 0])
    np.testing.assert_array_equal(found["red"][3], [0, 0, 0, 0, 0, 1, 1, 1, 1, 1])
