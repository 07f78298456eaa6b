"""The files of trained networks, and what a network is told by name."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nstjax.errors import UserError
from nstjax.networks import stylizers
from nstjax.networks.stylizers import Stylizer
from nstjax.networks.transformer import Condition, Transformer

NETWORK = Transformer(widths=(4, 4, 6), blocks=1, styles=2, strengths=1, norm="batch", upsampling="subpixel")


@pytest.fixture(scope="module")
def trained():
    condition = Condition(jnp.ones(2), jnp.zeros(1))
    variables = jax.jit(NETWORK.init)(jax.random.key(0), jnp.zeros((8, 8, 3)), condition)
    about = {"terms": "style"}
    return Stylizer(NETWORK, variables, ("mosaic", "ink"), {"style": (0.1, 10.0)}, "test", about=about)


def test_a_file_gives_the_network_back(trained, tmp_path):
    path = tmp_path / "network.safetensors"
    path.write_bytes(stylizers.encode(trained))
    read = stylizers.load(path)
    assert read.network == trained.network and read.styles == trained.styles
    assert read.strengths == trained.strengths and read.label == "test" and read.about == {"terms": "style"}
    jax.tree.map(np.testing.assert_array_equal, read.variables, trained.variables)
    halves = stylizers.decode("halves", stylizers.encode(trained, "float16"))
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=1e-3), halves.variables, trained.variables
    )


def test_what_is_no_network_is_one_line(trained, tmp_path):
    data = stylizers.encode(trained)
    with pytest.raises(UserError, match=r"network none.safetensors: no such file or network of the package"):
        stylizers.load("none.safetensors")
    for damaged in (data[:-10], data[:20], b""):
        with pytest.raises(UserError, match="not a readable safetensors file"):
            stylizers.decode("x", damaged)
    with pytest.raises(UserError, match="holds no network that stylizes"):
        stylizers.decode("x", data.replace(b'\\"network\\"', b'\\"netwurk\\"'))
    with pytest.raises(UserError, match="upsampling 'subpixal' is unknown; did you mean 'subpixel'"):
        stylizers.decode("x", data.replace(b"subpixel", b"subpixal"))
    with pytest.raises(UserError, match=r"array 'params/.*' has shape .*, expected"):
        stylizers.decode("x", data.replace(b'\\"widths\\": [4, 4, 6]', b'\\"widths\\": [4, 5, 6]'))


def test_styles_and_strengths_by_name(trained):
    assert trained.condition().styles.tolist() == [1, 0]
    assert trained.condition("ink").styles.tolist() == [0, 1]
    blend = trained.condition({"ink": 3, "mosaic": 1}, {"style": 2.0})
    assert blend.styles.tolist() == [0.25, 0.75] and blend.strengths.tolist() == [1]
    with pytest.raises(UserError, match="style 'mosiac' is unknown; did you mean 'mosaic'"):
        trained.condition("mosiac")
    with pytest.raises(UserError, match=r"strength of style must be in \[0.1, 10\], as in training; got 11"):
        trained.condition("ink", {"style": 11})
    with pytest.raises(
        UserError, match="strength of content: the network was not trained with it; it has style"
    ):
        trained.condition("ink", {"content": 1.0})
    for weights in ({"ink": -1.0, "mosaic": 2.0}, {"ink": float("nan")}):
        with pytest.raises(UserError, match="its weight must be a number from 0 on"):
            trained.condition(weights)
    with pytest.raises(UserError, match="must add up to more than 0"):
        trained.condition({"ink": 0.0})
