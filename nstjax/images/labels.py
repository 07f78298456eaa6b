"""Label pictures: a region for each of nine colours."""

import numpy as np

# The labels of luanfujun/deep-photo-styletransfer, and the tolerance of each channel.
LABELS = {
    "black": (0.0, 0.0, 0.0),
    "blue": (0.0, 0.0, 1.0),
    "green": (0.0, 1.0, 0.0),
    "grey": (0.5, 0.5, 0.5),
    "light blue": (0.0, 1.0, 1.0),
    "purple": (1.0, 0.0, 1.0),
    "red": (1.0, 0.0, 0.0),
    "white": (1.0, 1.0, 1.0),
    "yellow": (1.0, 1.0, 0.0),
}
TOLERANCE = 0.1
# A smaller share of a picture is an artefact of edges, not a region.
LEAST_AREA = 1e-3


def label_masks(pixels: np.ndarray) -> dict[str, np.ndarray]:
    """The regions of a label picture.

    A pixel further than `TOLERANCE` in any channel from every label, such as one between two regions,
    belongs to no region.

    Args:
      pixels: [H, W, 3] uint8.

    Returns:
      {label: mask [H, W] float32 of 0 and 1} for the labels that cover at least `LEAST_AREA`.
    """
    picture, masks = pixels.astype(np.float32) / 255, {}
    for label, colour in LABELS.items():
        mask = (np.abs(picture - np.asarray(colour, np.float32)) <= TOLERANCE).all(-1)
        if np.mean(mask) >= LEAST_AREA:
            masks[label] = mask.astype(np.float32)
    return masks
