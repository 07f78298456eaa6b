"""The optimisers of networks."""

import jax
import jax.numpy as jnp
import numpy as np

from nstjax.training import optimizers


def test_muon_moves_kernels_as_matrices_and_biases_at_a_tenth_of_the_rate():
    rng = np.random.default_rng(0)
    params = {"kernel": jnp.zeros((3, 3, 8, 4)), "bias": jnp.zeros(4)}
    # A gradient of rank 4 whose singular values are far apart: Muon brings them together.
    gradient = rng.normal(size=(72, 4)) * np.array([1, 0.3, 0.1, 0.03])
    gradient = {"kernel": gradient.reshape(3, 3, 8, 4), "bias": np.array([1.0, -2.0, 3.0, 4.0])}
    gradient = jax.tree.map(lambda g: g.astype(np.float32), gradient)
    optimizer = optimizers.muon(optimizers.warmup_cosine(0.01, 1000))
    state, step = optimizer.init(params), jax.jit(optimizer.update)
    for _ in range(21):  # the warm-up
        update, state = step(gradient, state, params)
    values = np.linalg.svd(np.reshape(update["kernel"], (72, 4)), compute_uv=False)
    assert values.min() > 0.006 and values.max() < 0.0125
    np.testing.assert_allclose(update["bias"], [-0.001, 0.001, -0.001, -0.001], rtol=1e-2)
