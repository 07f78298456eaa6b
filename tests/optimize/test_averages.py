"""Losses of averages over positions, and their objective in windows beside that of the whole picture."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from problems import picture

from nstjax import losses
from nstjax.networks import vgg, windows
from nstjax.optimize import Control, Objective, Problem, Reference, Term, make_targets, term_weights

TINY = vgg.random_params(0, vgg.TINY_WIDTHS)
OF_AVERAGES = {
    "gram": losses.gram(convention="neural_style", shift=-1.0),
    "gram_l1_normalised": losses.gram_l1_normalised(),
    "covariance": losses.covariance(),
    "correlation": losses.correlation(),
    "mean_std": losses.mean_std(),
    "wasserstein_gaussian": losses.wasserstein_gaussian(),
    "mmd_linear": losses.mmd_linear(),
    "mmd_polynomial": losses.mmd_polynomial(c=1.0),
}


@pytest.mark.parametrize("name", OF_AVERAGES)
def test_a_score_is_the_distance_of_averages(name):
    loss = OF_AVERAGES[name]
    x, style = (np.random.default_rng(i).normal(i, 1, (7, 9, 3)).astype(np.float32) for i in (0, 1))
    where = np.random.default_rng(2).uniform(size=(7, 9)).astype(np.float32)
    target = loss.target(style)
    of_rows = [loss.target(x[rows], where=where[rows]) for rows in (slice(4), slice(4, 7))]
    shares = np.array([where[:4].sum(), where[4:].sum()]) / where.sum()
    averaged = jax.tree.map(lambda a, b: shares[0] * a + shares[1] * b, *of_rows)
    np.testing.assert_allclose(loss.distance(averaged, target), loss.score(x, target, where=where), rtol=1e-4)


@pytest.mark.parametrize("convention", ["deep_photo", "neural_texture_synthesis"])
def test_a_score_that_depends_on_the_area_is_none(convention):
    assert losses.gram(convention=convention).distance is None


def regions(shape, taps, seed):
    """Soft masks of two labels at some taps, one of them 0 in most of the picture."""
    rng, made = np.random.default_rng(seed), {"left": {}, "right": {}}
    for tap in taps:
        sides = [
            -(-n // windows.scale_of(tap)) if tap == "image" else n // windows.scale_of(tap) for n in shape
        ]
        left = np.zeros(sides, np.float32)
        left[:, : sides[1] // 3] = rng.uniform(size=(sides[0], sides[1] // 3))
        made["left"][tap], made["right"][tap] = left, 1 - left
    return made


TAPS = ("relu1_1", "relu2_1", "relu3_1")
TERMS = (
    *(Term(name, loss, TAPS[1:], "style", regions="area") for name, loss in OF_AVERAGES.items()),
    Term("whole", losses.gram(), TAPS[:2], "style"),
    Term("content", losses.feature(), ("relu3_1",), "content"),
    Term("limited", losses.gram(), ("relu2_2",), "style", control=Control(limit=0.1), regions="sum"),
)


def scored(make, image):
    """{"targets", "value", "gradient"} of the terms through an encoder."""
    encoder = make(vgg.make_encoder(TINY, vgg.CAFFE))
    taps = (*TAPS, "relu2_2")
    styles = [
        Reference(picture(i, (90 + 8 * i, 110)), 1.0 + i, regions((90 + 8 * i, 110), taps, i)) for i in (1, 2)
    ]
    references = {"style": styles, "content": [Reference(picture(3, image.shape[:2]))]}
    masks = regions(image.shape[:2], taps, 4)

    def of_picture(image):
        targets = make_targets(encoder.apply, encoder.params, TERMS, references, masks)
        numbers = term_weights(TERMS, {term.name: 1.0 for term in TERMS})
        problem = Problem(encoder.params, targets, numbers, jax.random.key(0))
        objective = Objective(encoder.apply, TERMS)
        value, gradient = jax.value_and_grad(objective, has_aux=True)(image, problem)
        return {"targets": targets, "value": value, "gradient": gradient}

    return jax.jit(of_picture)(image)


def test_averages_of_windows_are_those_of_the_whole_picture():
    image = picture(0, (100, 150))
    tiled = scored(lambda encoder: windows.tiled(encoder, 32), image)
    whole = scored(lambda encoder: encoder, image)
    for ours, theirs in zip(jax.tree.leaves(tiled), jax.tree.leaves(whole), strict=True):
        assert np.abs(ours - theirs).max() <= 1e-4 * np.abs(theirs).max()


def test_an_objective_of_averages_keeps_the_ends_of_blocks_alone():
    size, width = 512, 32
    params = vgg.random_params(0, (width, *vgg.TINY_WIDTHS[1:]))
    encoder = windows.tiled(vgg.make_encoder(params, vgg.CAFFE), 32)
    terms = (Term("whole", losses.gram(), TAPS[:2], "style"),)

    def graded(image):
        targets = make_targets(encoder.apply, encoder.params, terms, {"style": [Reference(image)]})
        numbers = term_weights(terms, {"whole": 1.0})
        problem = Problem(encoder.params, targets, numbers, jax.random.key(0))
        return jax.grad(Objective(encoder.apply, terms), has_aux=True)(image, problem)

    program = jax.jit(graded).lower(jnp.zeros((size, size, 3))).compile()
    of_end = 4 * (size // 2) ** 2 * width
    assert program.memory_analysis().temp_size_in_bytes < 2.2 * of_end  # and its gradient
