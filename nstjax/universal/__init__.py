"""Universal style transfer: any style without training, by a transform of features at several levels."""

from nstjax.universal.transfer import (
    StyleRegion,
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
    "StyleRegion",
    "blend",
    "encode",
    "moved",
    "shares",
    "statistics",
    "style",
    "stylize",
    "transfer",
]
