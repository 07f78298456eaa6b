"""Gradient norms of terms, and weights divided by them."""

import jax.numpy as jnp
import numpy as np
from problems import WEIGHTS, evaluate_gradient, small_problem

from nstjax.optimize.calibrate import CALIBRATIONS


def test_norms_of_terms_are_those_of_their_sums():
    objective, image, problem = small_problem()
    norms = CALIBRATIONS["terms"](objective, image, problem)
    for name in WEIGHTS:
        alone = {n: w if n == name else 0.0 for n, w in WEIGHTS.items()}
        _, gradient = evaluate_gradient(objective, image, small_problem(weights=alone)[2])
        np.testing.assert_allclose(norms[name], jnp.linalg.norm(gradient), rtol=1e-4)
