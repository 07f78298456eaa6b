"""Content losses."""

from nstjax import losses
from rows.row import Row


def mean_square(x, s):
    return ((x - s) ** 2).mean()


ROWS = (
    Row("feature", losses.feature(), mean_square),
    Row("feature_sum", losses.feature_sum(), lambda x, s: 0.5 * ((x - s) ** 2).sum()),
    Row("feature_deep_photo", losses.feature_deep_photo(), lambda x, s: ((x - s) ** 2).sum() / 2 / x.size),
)
