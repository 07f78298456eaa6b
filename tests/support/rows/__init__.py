"""The shared table: every loss, a row for each way of binding it that takes another path."""

from rows import feature, moments, pairs, picture, second_order, transport
from rows.row import Row, blended_value, eager_value, features, flat, value

TABLE = (*feature.ROWS, *moments.ROWS, *transport.ROWS, *second_order.ROWS, *pairs.ROWS, *picture.ROWS)

__all__ = ["TABLE", "Row", "blended_value", "eager_value", "features", "flat", "value"]
