"""Measures of finished pictures, by hand."""

import numpy as np

from nstjax import metrics


def test_gaps_are_in_units_of_the_references_deviations():
    rng = np.random.default_rng(0)
    style = rng.normal(size=(20, 30, 4)) * [1, 2, 0.5, 0] + 3
    unit = np.sqrt(style.var((0, 1)).mean())
    gaps = metrics.channel_gaps(2 * style + 1, style)
    np.testing.assert_allclose(gaps["mean"], (style.mean((0, 1)) + 1) / unit, rtol=1e-5)
    np.testing.assert_allclose(gaps["deviation"], style.std((0, 1)) / unit, rtol=1e-5, atol=1e-6)
    same = metrics.channel_gaps(style[::-1], style)
    assert max(np.abs(values).max() for values in same.values()) < 1e-5
