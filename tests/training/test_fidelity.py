"""The measures of a slim encoder, where their values are known."""

import jax.numpy as jnp
import numpy as np

from nstjax.networks import vgg
from nstjax.training import distillation, fidelity

TAPS = ("relu1_1", "relu2_1")


def encoder(seed):
    return vgg.make_encoder(vgg.random_params(seed, vgg.TINY_WIDTHS), vgg.TORCHVISION)


def test_psnr_of_a_known_error():
    pictures = [np.full((8, 8, 3), 0.5, np.float32), np.zeros((4, 6, 3), np.float32)]
    found = fidelity.psnr(encoder(0), lambda x: x + 0.1, "image", pictures)
    np.testing.assert_allclose(found, 20, rtol=1e-4)


def test_importance_is_how_far_a_channel_moves_the_teacher():
    linear = {"kernel": jnp.array([[3.0, 4.0], [0.0, 2.0]]), "bias": jnp.ones(2)}
    np.testing.assert_allclose(distillation.importance(linear), [5, 2])


def test_gram_losses_left_are_fewer_through_the_judge_itself():
    rng = np.random.default_rng(0)
    content = jnp.full((16, 16, 3), 0.5) + 0.05 * rng.normal(size=(16, 16, 3)).astype(np.float32)
    style = rng.uniform(size=(16, 16, 3)).astype(np.float32)

    def remaining(through, steps):
        fractions = fidelity.remaining_gram(
            encoder(through), encoder(0), content, style, taps=TAPS, steps=steps, learning_rate=0.02
        )
        return np.array([fractions[tap] for tap in TAPS])

    np.testing.assert_allclose(remaining(0, 0), 1, rtol=1e-5)
    own, other = remaining(0, 60), remaining(1, 60)
    assert (own > 0).all() and own.mean() < min(0.1, other.mean())


def test_the_tables_say_what_was_measured():
    result = {
        "photographs": 2,
        "correlation": {"mini": {"relu1_1": 0.5, "relu4_2": 0.25}},
        "gram": [
            {
                "vgg19": [{"relu1_1": 1e-4, "relu2_1": 1e-4}, {"relu1_1": 1e-2, "relu2_1": 1e-2}],
                "mini": [{"relu1_1": 0.005, "relu2_1": 0.015}, {"relu1_1": 0.1, "relu2_1": 0.1}],
            },
            {"vgg19": [{"relu5_1": 0.01}], "mini": [{"relu5_1": 0.1}]},
        ],
        "psnr": {"relu1_1": 30.04},
    }
    rows = [line.strip("| ").split(" | ") for line in fidelity.markdown(result).splitlines()]
    assert ["`mini`", "0.500", "0.250"] in rows
    # Means of the logarithms over two pairs; the first takes half of its judge's way, and so the second.
    assert ["`vgg19`", "0.10%", "0.10%", "0.10%", "100% (100% to 100%)"] in rows
    assert ["`mini`", "2.24%", "3.87%", "3.16%", "50% (50% to 50%)"] in rows
    assert ["`mini`", "10.00%", "10.00%", "50% (50% to 50%)"] in rows
    assert ["PSNR in dB", "30.0"] in rows
