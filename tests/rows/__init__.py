"""The shared table: every loss, a row for each way of binding it that takes another path."""

from rows import feature, moments, pairs, picture, transport
from rows.row import Row, features, flat, value

TABLE = (*feature.ROWS, *moments.ROWS, *transport.ROWS, *pairs.ROWS, *picture.ROWS)

__all__ = ["TABLE", "Row", "features", "flat", "value"]
