"""A picture through a trained network, whatever its size: one result, few programs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nstjax.feedforward import apply, windows
from nstjax.networks.stylizers import Stylizer
from nstjax.networks.transformer import PRESETS, UPSAMPLINGS, Condition

SMALL = {"widths": (4, 6, 8), "blocks": 2, "styles": 2, "strengths": 1}
CONDITION = Condition(jnp.array([0.3, 0.7]), jnp.ones(1))


def slow(value):
    return pytest.param(value, marks=pytest.mark.slow)


def made(preset, **options):
    network = PRESETS[preset].clone(**SMALL, **options)
    variables = jax.jit(network.init)(jax.random.key(0), jnp.zeros((8, 8, 3)), CONDITION)
    keys = iter(jax.random.split(jax.random.key(1), 200))

    def moved(x):  # norms and biases; kernels are random
        return x + 0.1 * jax.random.uniform(next(keys), x.shape) if x.ndim < 4 else x

    return network, jax.tree.map(moved, variables)


def picture(h, w):
    return np.random.default_rng(h).random((h, w, 3), np.float32)


def assert_close(a, b):
    assert a.shape == b.shape and np.isfinite(a).all() and np.ptp(b) > 0
    np.testing.assert_allclose(a, b, atol=1e-5 * np.abs(b).max())


@pytest.mark.slow
@pytest.mark.parametrize("preset", PRESETS)
def test_windows_give_what_one_pass_gives(preset):
    network, variables = made(preset)
    whole = network.apply(variables, picture(131, 38), CONDITION)
    given = network, variables, jnp.asarray(picture(131, 38)), CONDITION
    assert_close(windows.stylize(*given, positions=32 * 38), whole)


def test_a_large_picture_goes_through_in_windows(monkeypatch):
    network, variables = made("pytorch_examples", output="sigmoid")
    stylizer, image = Stylizer(network, variables, ("a", "b"), {"style": (1.0, 2.0)}, ""), picture(70, 41)
    whole = apply.stylize(stylizer, image, CONDITION)
    monkeypatch.setattr(apply, "_whole", None)
    assert_close(apply.stylize(stylizer, image, CONDITION, largest=70 * 41 * 4 - 1), whole)


@pytest.mark.parametrize("upsampling", ["nearest", *(slow(u) for u in UPSAMPLINGS if u != "nearest")])
def test_pictures_of_many_sizes_share_a_program_and_have_their_own_borders(upsampling):
    network, variables = made("pytorch_examples", upsampling=upsampling, output="sigmoid")
    stylizer = Stylizer(network, variables, ("a", "b"), {"style": (1.0, 2.0)}, "")
    before = apply._whole._cache_size()
    for h, w in ((61, 34), (26, 51)):
        image = picture(h, w)
        alone = jax.jit(network.apply)(variables, image, CONDITION)[:h, :w]
        assert_close(apply.stylize(stylizer, image, CONDITION), np.clip(alone, 0, 1))
    assert apply._whole._cache_size() == before + 1
