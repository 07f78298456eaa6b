"""The photorealistic filters against transcriptions of their definitions, pixel by pixel."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nstjax import losses, photorealism
from nstjax.images.matting import matting_laplacian

PICTURE, CONTENT = np.random.default_rng(0).uniform(size=(2, 7, 9, 3))


def filtered(make, image=PICTURE, content=CONTENT, **options):
    image, content = (jnp.asarray(x, jnp.float32) for x in (image, content))
    return np.asarray(jax.jit(make(**options))(image, content))


def window(i, j, radius, shape=PICTURE.shape):
    return np.ix_(
        range(max(i - radius, 0), min(i + radius + 1, shape[0])),
        range(max(j - radius, 0), min(j + radius + 1, shape[1])),
    )


def model(guide, x, at, ridge):
    """[4, 3]: slopes and offset of x as a function of the guide in a window, a ridge on the slopes."""
    g, y = guide[at].reshape(-1, 3), x[at].reshape(-1, 3)
    rows = np.concatenate([np.c_[g, np.ones(len(g))], np.sqrt(ridge) * np.eye(3, 4)])
    return np.linalg.lstsq(rows, np.concatenate([y, np.zeros((3, 3))]), rcond=None)[0]


@pytest.mark.parametrize("radius, colour", [(2, 0.3), (15, 0.1)])
def test_local_affine_is_a_weighted_mean_of_the_fits_of_windows(radius, colour):
    h, w, _ = PICTURE.shape
    models = np.array([[model(CONTENT, PICTURE, window(i, j, 1), 1e-3) for j in range(w)] for i in range(h)])
    wanted = np.zeros_like(PICTURE)
    for i in range(h):
        for j in range(w):
            total = 0
            for y in range(max(i - radius, 0), min(i + radius + 1, h)):
                for x in range(max(j - radius, 0), min(j + radius + 1, w)):
                    near = ((i - y) ** 2 + (j - x) ** 2) / (2 * (radius / 3) ** 2)
                    alike = np.mean((CONTENT[i, j] - CONTENT[y, x]) ** 2) / (2 * colour**2)
                    weight = np.exp(-near - alike)
                    wanted[i, j] += weight * (np.r_[CONTENT[i, j], 1] @ models[y, x])
                    total += weight
            wanted[i, j] /= total
    found = filtered(photorealism.local_affine, radius=radius, colour=colour)
    np.testing.assert_allclose(found, wanted, atol=1e-4)


def test_the_guided_filter_is_the_mean_of_the_fits_of_windows():
    h, w, _ = PICTURE.shape
    radius, contrast, wanted = 2, 0.2, np.zeros_like(PICTURE)
    for i in range(h):
        for j in range(w):
            rows, columns = (a.ravel() for a in window(i, j, radius))
            found = [
                np.r_[CONTENT[i, j], 1]
                @ model(CONTENT, PICTURE, at := window(y, x, radius), contrast**2 * CONTENT[at][..., 0].size)
                for y in rows
                for x in columns
            ]
            wanted[i, j] = np.mean(found, 0)
    found = filtered(photorealism.guided_filter, radius=radius, contrast=contrast)
    np.testing.assert_allclose(found, wanted, atol=1e-4)
    own = filtered(photorealism.guided_filter, CONTENT, radius=radius, contrast=contrast)
    added = filtered(photorealism.detail, radius=radius, contrast=contrast)
    np.testing.assert_allclose(added, PICTURE + CONTENT - own, atol=1e-5)


def test_matting_solves_the_linear_system():
    epsilon, strength = 1e-3, 5.0  # of a condition that float32 can solve to the digits compared
    laplacian = matting_laplacian(CONTENT, epsilon=epsilon).toarray()
    wanted = np.linalg.solve(np.eye(len(laplacian)) + strength * laplacian, PICTURE.reshape(-1, 3))
    found = filtered(photorealism.matting, strength=strength, epsilon=epsilon)
    np.testing.assert_allclose(found, wanted.reshape(PICTURE.shape), atol=1e-3)


@pytest.mark.parametrize(
    "make", [photorealism.local_affine, pytest.param(photorealism.matting, marks=pytest.mark.slow)]
)
def test_a_change_of_colours_stays_and_painted_texture_goes(make):
    rows, columns = np.mgrid[:24, :24] / 24
    content = np.stack([rows, columns, np.sin(9 * rows) * 0.4 + 0.5], -1)
    recoloured = content @ np.array([[0.5, 0.2, 0.0], [0.1, 0.6, 0.0], [0.0, 0.1, 0.4]]) + 0.1
    painted = recoloured + 0.1 * np.random.default_rng(1).normal(size=content.shape)
    np.testing.assert_allclose(filtered(make, recoloured, content), recoloured, atol=2e-2)
    loss = losses.matting()
    target = loss.target(jnp.asarray(content, jnp.float32))
    before, after = (float(loss.score(x, target)) for x in (painted, filtered(make, painted, content)))
    assert after < 0.3 * before
    assert np.abs(filtered(make, painted, content) - recoloured).mean() < 0.06


@pytest.mark.parametrize("name", photorealism.NAMES)
def test_the_smallest_pictures_and_what_is_none(name):
    make = getattr(photorealism, name)
    for shape in ((1, 1, 3), (1, 5, 3), (3, 3, 3)):
        even = np.full(shape, 0.25)
        np.testing.assert_allclose(filtered(make, even, even), even, atol=1e-5)
    with pytest.raises(ValueError, match=r"must be \[h, w, 3\]; got \(7, 9, 3\) and \(3, 3, 3\)"):
        make()(PICTURE, CONTENT[:3, :3])


def test_arguments_out_of_range_are_refused():
    for make in (photorealism.local_affine, photorealism.detail, photorealism.guided_filter):
        with pytest.raises(ValueError, match="radius must be at least 1; got 0"):
            make(radius=0)
    with pytest.raises(ValueError, match="colour must be above 0; got 0"):
        photorealism.local_affine(colour=0)
    with pytest.raises(ValueError, match="strength must be above 0; got -1"):
        photorealism.matting(strength=-1)
