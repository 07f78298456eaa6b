"""Exported networks, run by ONNX Runtime and by JAX alone, beside the network itself."""

import jax
import jax.numpy as jnp
import numpy as np
import onnxruntime
import pytest

from nstjax.errors import UserError
from nstjax.feedforward import export
from nstjax.feedforward.apply import stylize
from nstjax.feedforward.onnx import to_onnx
from nstjax.networks.stylizers import Stylizer
from nstjax.networks.transformer import UPSAMPLINGS, Condition, Transformer

TOLD = Condition(np.array([0.2, 0.3, 0.5], np.float32), np.array([1.0, -2.0], np.float32))
CASES = {
    **{f"{kind}, reflect": {"upsampling": kind} for kind in UPSAMPLINGS},
    **{f"{kind}, start": {"upsampling": kind, "padding": "start"} for kind in UPSAMPLINGS},
    "batch norm": {"norm": "batch"},
    "tanh": {"output": "tanh"},
    "sigmoid": {"output": "sigmoid"},
    "plain": {"output": "sigmoid", "styles": 1, "strengths": 0},
}


def trained(**options):
    """A network whose arrays are all away from their start."""
    options = {"widths": (4, 6, 8), "blocks": 1, "styles": 3, "strengths": 2, **options}
    network = Transformer(**options)
    none = Condition(jnp.zeros(network.styles), jnp.zeros(network.strengths))
    made = jax.jit(network.init)(jax.random.key(0), jnp.zeros((8, 8, 3)), none)
    rng = np.random.default_rng(0)
    made = jax.tree.map(lambda x: x + 0.1 * rng.normal(size=x.shape).astype(np.float32), made)
    if network.output != "linear":
        made["params"]["last"]["kernel"] *= 0.1  # far from saturation
    names = tuple("abc"[: network.styles])
    ranges = {name: (0.1, 10.0) for name in "xy"[: network.strengths]}
    return Stylizer(network, made, names, ranges, "test")


def told(made):
    return TOLD if made.network.styles > 1 else Condition(np.ones(1, np.float32), np.zeros(0, np.float32))


@pytest.mark.parametrize("options", list(CASES.values()), ids=list(CASES))
@pytest.mark.parametrize("size", [(45, 38), pytest.param((32, 48), marks=pytest.mark.slow)])
def test_onnx_runtime_paints_the_same(options, size):
    made = trained(**options)
    session = onnxruntime.InferenceSession(to_onnx(made))
    image = np.random.default_rng(0).uniform(size=(*size, 3)).astype(np.float32)
    given = {"image": image, "styles": TOLD.styles, "strengths": TOLD.strengths}
    inputs = {each.name: given[each.name] for each in session.get_inputs()}
    (painted,) = session.run(None, inputs)
    wanted = np.asarray(stylize(made, image, told(made)))
    assert painted.shape == image.shape and wanted.std() > 0.01
    np.testing.assert_allclose(painted, wanted, atol=1e-5)


def test_a_model_says_what_it_was_taught():
    session = onnxruntime.InferenceSession(to_onnx(trained()))
    taught = session.get_modelmeta().custom_metadata_map
    assert taught == {"label": "test", "styles": "a, b, c", "strengths": "x [0.1, 10], y [0.1, 10]"}


@pytest.mark.parametrize("padding", ["reflect", "start"])
def test_jax_alone_paints_the_same(padding):
    made = trained(padding=padding)
    program = jax.export.deserialize(bytearray(export.to_jax(made)))
    image = np.random.default_rng(0).uniform(size=(64, 96, 3)).astype(np.float32)
    painted = program.call(image, TOLD.styles, TOLD.strengths)
    np.testing.assert_allclose(painted, stylize(made, image, TOLD), atol=1e-5)


def test_a_library_that_is_missing_is_one_line():
    with pytest.raises(
        UserError, match=r"needs the package onyx, which is not installed; install nstjax\[export\]"
    ):
        export.import_library("onyx")
