"""The shared table: every loss, a row for each way of binding it that takes another path."""

from rows import feature, moments, picture, transport
from rows.row import Row, features, flat, value

TABLE = (*feature.ROWS, *moments.ROWS, *transport.ROWS, *picture.ROWS)

__all__ = ["TABLE", "Row", "features", "flat", "value"]
