"""Regions of an objective."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from problems import picture

from nstjax import losses
from nstjax.optimize import Objective, Problem, Reference, Term, make_targets, term_weights


def halves(shape):
    """Masks of the left and the right half at the tap `image`."""
    left = jnp.zeros(shape).at[:, : shape[1] // 4].set(1)
    return {"left": {"image": left}, "right": {"image": 1 - left}}


@pytest.mark.parametrize("share, by", [("equal", (0.5, 0.5)), ("area", (0.25, 0.75)), ("sum", (1, 1))])
def test_regions_are_compared_label_by_label(share, by):
    terms = (Term("style", losses.gram(), ("image",), "style", regions=share),)
    style, image, other = picture(0, (6, 8)), picture(1, (6, 8)), picture(2, (6, 8))
    regions, only_left = halves((6, 8)), {"left": {"image": jnp.ones((6, 8))}}
    references = {"style": [Reference(style, 1.0, regions), Reference(other, 3.0, only_left)]}
    targets = make_targets(None, None, terms, references, regions)
    gram = losses.gram()
    blended = 0.25 * gram.target(style[:, :2]) + 0.75 * gram.target(other)
    left = gram.score(image[:, :2], blended)
    right = gram.score(image[:, 2:], gram.target(style[:, 2:]))
    objective, numbers = Objective(None, terms), term_weights(terms, {"style": 2.0})
    total, report = objective(image, Problem(None, targets, numbers, jax.random.key(0)))
    expected = by[0] * left + by[1] * right
    np.testing.assert_allclose(report["style/image"], expected, rtol=1e-5)
    np.testing.assert_allclose(total, 2 * expected, rtol=1e-5)
    foreign = {"sky": regions["left"], **regions}
    found = make_targets(None, None, terms, {"style": [Reference(style, masks=regions)]}, foreign)
    assert list(found["style"]["image"]) == ["left", "right"]
    with pytest.raises(ValueError, match="term 'style' has regions, and no masks are given"):
        make_targets(None, None, terms, {"style": [Reference(style, masks=regions)]})
    with pytest.raises(ValueError, match="term 'style' has regions, and no masks are given"):
        make_targets(None, None, terms, {"style": [Reference(style)]}, regions)
