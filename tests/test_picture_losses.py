"""Content and picture losses by hand."""

import jax.numpy as jnp
import numpy as np
from rows import features, value

from nstjax import losses


def test_feature_by_hand():
    p = features((4, 5, 3), 0)
    np.testing.assert_allclose(value(losses.feature_sum(), p + 2, p), 0.5 * 20 * 3 * 4, rtol=1e-5)
    np.testing.assert_allclose(value(losses.feature(), p + 2, p), 4, rtol=1e-5)


def test_total_variation_by_hand():
    ramp = jnp.tile(jnp.arange(4.0)[None, :, None], (4, 1, 1))
    board = jnp.indices((4, 4)).sum(0)[..., None] % 2 * 1.0
    expected = {
        losses.tv_anisotropic(): (12, 24),
        losses.tv_corner(pixel_range=1.0): (4.5, 9),
        losses.tv_nine_point(): (0.7, 1.16),
    }
    for loss, (on_ramp, on_board) in expected.items():
        np.testing.assert_allclose(value(loss, ramp, ramp), on_ramp, rtol=1e-6)
        np.testing.assert_allclose(value(loss, board, board), on_board, rtol=1e-6)
        x = features((5, 6, 3), 0)
        np.testing.assert_allclose(value(loss, x + 5, x), value(loss, x, x), rtol=1e-4)  # float32
        np.testing.assert_allclose(value(loss, 3 * x, x), 9 * value(loss, x, x), rtol=1e-5)
