"""Universal style transfer: any style without training, by a transform of features at several levels."""

from nstjax.universal.transfer import (
    Region,
    blend,
    encode,
    moved,
    shares,
    statistics,
    style,
    stylize,
    transfer,
)

__all__ = [
    "Region",
    "blend",
    "encode",
    "moved",
    "shares",
    "statistics",
    "style",
    "stylize",
    "transfer",
]
