"""The matting-Laplacian term: its matrix, what it allows and what it does not, its gradient, its memory."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nstjax import images, losses
from nstjax.errors import UserError
from nstjax.images.matting import matting_laplacian

LOSS = losses.matting(convention="deep_photo")


@pytest.fixture(scope="module")
def photograph():
    return images.load("example:coffee", 96)[:64, :64].astype(np.float64)


@pytest.fixture(scope="module")
def matrix(photograph):
    return matting_laplacian(photograph)


def energy(matrix, x):
    channels = x.reshape(-1, x.shape[-1])
    return np.sum(channels * (matrix @ channels))


def test_the_matrix_is_symmetric_and_knows_nothing_of_affine_functions():
    small = np.random.default_rng(0).random((8, 9, 3))
    matrix = matting_laplacian(small)
    dense = matrix.toarray()
    np.testing.assert_allclose(dense, dense.T, atol=1e-12)
    assert np.diff(matrix.indptr).max() <= 25
    values = np.linalg.eigvalsh(dense)
    assert values[0] > -1e-10 and np.sum(values < 1e-5) == 4  # 1 and three channels
    assert np.abs(dense.sum(1)).max() < 1e-10
    assert np.trace(dense) == pytest.approx(5 * 42, abs=1e-3)
    slopes, windows = np.array([1.0, -0.5, 0.9]), 42
    (recoloured,) = (small @ slopes + 0.1).reshape(1, -1)
    assert 0 < recoloured @ dense @ recoloured <= 1e-7 * windows * slopes @ slopes
    even = matting_laplacian(np.full((8, 9, 3), 0.4))
    assert np.trace(even.toarray()) == pytest.approx(8 * 42)


def test_the_score_is_the_energy_of_the_matrix(photograph, matrix):
    target = LOSS.target(jnp.asarray(photograph, jnp.float32))
    rng = np.random.default_rng(0)
    for x in (rng.random((64, 64, 3)), np.roll(photograph, 1, 0), photograph @ rng.random((3, 3)) / 3):
        found, wanted = float(LOSS.score(jnp.asarray(x, jnp.float32), target)), energy(matrix, x)
        assert found == pytest.approx(wanted, rel=1e-5, abs=1e-5)
    x = rng.random((64, 64, 3))
    gradient = jax.grad(LOSS.score)(jnp.asarray(x, jnp.float32), target)
    wanted = (2 * matrix @ x.reshape(-1, 3)).reshape(x.shape)
    np.testing.assert_allclose(gradient, wanted, atol=1e-5 * np.abs(wanted).max())


def test_windows_of_one_colour_are_safe_in_float32():
    even = jnp.full((16, 16, 3), 0.3).at[:8].set(jnp.array([0.9, 0.1, 0.2]))
    noise = jax.random.uniform(jax.random.key(0), even.shape)
    value, gradient = jax.value_and_grad(LOSS.score)(noise, LOSS.target(even))
    wanted = energy(matting_laplacian(np.asarray(even)), np.asarray(noise, float))
    assert float(value) == pytest.approx(wanted, rel=1e-4)
    assert np.isfinite(gradient).all()


def test_a_mask_counts_the_windows_that_are_inside(photograph):
    x = jax.random.uniform(jax.random.key(0), (64, 64, 3))
    mask = jnp.zeros((64, 64)).at[5:25, 10:50].set(1)
    guide = jnp.asarray(photograph, jnp.float32)
    loss = losses.matting()
    inside = float(loss.score(x[5:25, 10:50], loss.target(guide[5:25, 10:50])))
    assert loss.score(x, loss.target(guide), where=mask) == pytest.approx(inside, rel=1e-5)
    whole = LOSS.score(x, LOSS.target(guide), where=mask)
    assert whole == pytest.approx(64 * 64 * inside, rel=1e-5)


def test_memory_grows_with_the_number_of_pixels():
    loss, spent = losses.matting(), []
    for side in (64, 128, 256, 512):
        picture = jax.ShapeDtypeStruct((side, side, 3), jnp.float32)
        target = jax.eval_shape(loss.target, picture)
        program = jax.jit(jax.value_and_grad(loss.score)).lower(picture, target).compile()
        spent.append(program.memory_analysis().temp_size_in_bytes / side**2)
    assert max(spent[1:]) < 1.1 * min(spent[1:]) and max(spent) < 400


def test_what_cannot_be_is_said():
    with pytest.raises(ValueError, match="epsilon must be above 0; got 0"):
        losses.matting(epsilon=0)
    with pytest.raises(ValueError, match="convention must be one of mean, deep_photo; got 'sum'"):
        losses.matting(convention="sum")
    with pytest.raises(UserError, match="needs 3 x 3 pixels; got 2 x 9"):
        matting_laplacian(np.zeros((9, 2, 3)))
    small = jnp.ones((2, 9, 3))
    assert losses.matting().score(small, losses.matting().target(small)) == 0
