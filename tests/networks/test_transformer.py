"""The residual network: published sizes and parameters, plain convolutions beside its own, conditioning."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from nstjax.networks import transformer
from nstjax.networks.transformer import PRESETS, Condition, Transformer
from nstjax.networks.vgg import CAFFE, TORCHVISION

SMALL = Transformer(widths=(4, 6, 8), blocks=1)
PLAIN = Condition(jnp.ones(1), jnp.zeros(0))


def picture(*shape, seed=0):
    return np.random.default_rng(seed).uniform(size=(*shape, 3)).astype(np.float32)


def variables(network, condition=PLAIN, seed=0):
    """Random variables of a network, every array of them away from its start."""
    made = jax.jit(network.init)(jax.random.key(seed), jnp.zeros((8, 8, 3)), condition)
    leaves, structure = jax.tree.flatten(made)
    rng = np.random.default_rng(seed)
    return jax.tree.unflatten(
        structure, [x + 0.1 * rng.normal(size=x.shape).astype(np.float32) for x in leaves]
    )


@functools.partial(jax.jit, static_argnums=0, static_argnames=("training", "mutable"))
def applied(network, *arguments, **options):
    return network.apply(*arguments, **options)


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize(("size", "wanted"), [(256, 256), (630, 632), (255, 256), (41, 44), (1, 4)])
def test_sizes_are_the_published_ones(name, size, wanted):
    def run(image):
        return PRESETS[name].init_with_output(jax.random.key(0), image, PLAIN)[0]

    assert jax.eval_shape(run, jnp.zeros((size, 64, 3))).shape == (wanted, 64, 3)


def test_blocks_without_borders_use_up_the_reflection_at_the_start():
    network = PRESETS["fast_neural_style"]
    made = jax.eval_shape(network.init, jax.random.key(0), jnp.zeros((256, 256, 3)), PLAIN)

    def run(made, image):
        return network.apply(made, image, PLAIN, capture_intermediates=True)[1]["intermediates"]

    layers = jax.eval_shape(run, made, jnp.zeros((256, 256, 3)))
    sizes = {name: layer["__call__"][0].shape[0] for name, layer in layers.items() if "_call__" in str(layer)}
    assert [sizes[k] for k in ("first", "down1", "down2", "block1_2", "block5_2")] == [336, 168, 84, 80, 64]


def test_the_number_of_parameters_is_that_of_the_program():
    made = jax.eval_shape(PRESETS["pytorch_examples"].init, jax.random.key(0), jnp.zeros((8, 8, 3)), PLAIN)
    biases_before_norms = 32 + 64 + 128 + 10 * 128 + 64 + 32
    assert sum(x.size for x in jax.tree.leaves(made)) == 1_679_235 - biases_before_norms


def plain_convolution(x, kernel, stride, padding, **options):
    layout = ("NHWC", "HWIO", "NHWC")
    return lax.conv_general_dilated(x[None], kernel, stride, padding, dimension_numbers=layout, **options)[0]


@pytest.mark.parametrize("size", [(8, 6), (7, 9)])
@pytest.mark.parametrize("border", [0, 1])
def test_stride_two_is_that_of_a_plain_convolution(size, border):
    rng = np.random.default_rng(0)
    x, kernel = rng.normal(size=(*size, 5)), rng.normal(size=(3, 3, 5, 6))
    wanted = plain_convolution(x, kernel, (2, 2), [(border, border)] * 2)
    found = transformer._halved(jnp.asarray(x), jnp.asarray(kernel), border)
    np.testing.assert_allclose(found[: wanted.shape[0], : wanted.shape[1]], wanted, rtol=1e-4, atol=1e-5)


def upsampled(kind, mode, x, kernel):
    """An up-sampling of [h, w, c] by its definition."""
    if kind.startswith("transposed"):
        size = kernel.shape[0]
        sides = (size - 2, size - 1 if size == 3 else size - 2)
        flipped = jnp.flip(kernel, (0, 1))
        return plain_convolution(x, flipped, (1, 1), [sides] * 2, lhs_dilation=(2, 2))
    if kind == "subpixel":
        y = plain_convolution(jnp.pad(x, ((1, 1), (1, 1), (0, 0)), mode=mode), kernel, (1, 1), "VALID")
        h, w, c = y.shape
        squares = y.reshape(h, w, 2, 2, c // 4)
        return jnp.stack([squares[i // 2, j // 2, i % 2, j % 2] for i in range(2 * h) for j in range(2 * w)])
    if kind == "nearest":
        x = jnp.repeat(jnp.repeat(x, 2, 0), 2, 1)
    else:
        x = jax.image.resize(x, (2 * x.shape[0], 2 * x.shape[1], x.shape[2]), "linear")
    return plain_convolution(jnp.pad(x, ((1, 1), (1, 1), (0, 0)), mode=mode), kernel, (1, 1), "VALID")


# A transposed convolution is defined with zeros at its border; ours can repeat the edge instead.
DEFINED = [(kind, mode) for kind in transformer.UPSAMPLINGS for mode in ("constant", "edge")]
DEFINED = [(kind, mode) for kind, mode in DEFINED if (kind[:10], mode) != ("transposed", "edge")]


@pytest.mark.parametrize(("kind", "mode"), DEFINED)
def test_upsampling_is_its_definition(kind, mode):
    x = np.random.default_rng(0).normal(size=(5, 4, 6)).astype(np.float32)
    layer = transformer._Upsample(kind, mode, 7)
    found, made = layer.init_with_output(jax.random.key(0), x)
    wanted = upsampled(kind, mode, x, made["params"]["kernel"])
    np.testing.assert_allclose(found, wanted.reshape(found.shape), rtol=1e-4, atol=1e-5)


def test_a_reflected_border_is_what_interpolation_reflects():
    """After nearest-neighbour interpolation, a row of reflection repeats the edge of the smaller map."""
    x = np.random.default_rng(0).normal(size=(5, 4, 6)).astype(np.float32)
    layer = transformer._Upsample("nearest", "edge", 7)
    found, made = layer.init_with_output(jax.random.key(0), x)
    larger = jnp.pad(jnp.repeat(jnp.repeat(x, 2, 0), 2, 1), ((1, 1), (1, 1), (0, 0)), mode="reflect")
    wanted = plain_convolution(larger, made["params"]["kernel"], (1, 1), "VALID")
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("options", [{}, {"padding": "start", "output": "tanh"}, {"output": "sigmoid"}])
def test_a_batch_is_its_pictures(options):
    network = SMALL.clone(**options)
    both, made = picture(2, 16, 12), variables(network)
    together = applied(network, made, both, PLAIN)
    for image, found in zip(both, together, strict=True):
        np.testing.assert_allclose(found, applied(network, made, image, PLAIN), rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_outputs_are_in_their_range():
    made, image = variables(SMALL), picture(16, 16)
    sigmoid = applied(SMALL.clone(output="sigmoid"), made, image, PLAIN)
    assert np.min(sigmoid) > 0 and np.max(sigmoid) < 1
    scaled = jax.tree.map(lambda x: 1e3 * x, made)
    tanh = (
        PRESETS["johnson2016"].clone(widths=(4, 6, 8), blocks=1, norm="instance").apply(scaled, image, PLAIN)
    )
    assert np.min(tanh) >= -1e-6 and np.max(tanh) <= 1 + 1e-6


@pytest.mark.parametrize("preprocessing", [CAFFE, TORCHVISION])
def test_preprocessing_has_an_inverse(preprocessing):
    image = picture(4, 5)
    np.testing.assert_allclose(preprocessing.inverse(preprocessing(image)), image, atol=1e-6)


def test_one_style_of_several_is_a_network_of_that_style():
    network = SMALL.clone(styles=3)
    both = Condition(jnp.ones(3) / 3, jnp.zeros(0))
    made, image = variables(network, both), picture(16, 16)

    def cut(path, array):
        return array[1:2] if path[-1].key in ("scale", "shift") else array

    alone = applied(SMALL, jax.tree_util.tree_map_with_path(cut, made), image, PLAIN)
    chosen = applied(network, made, image, Condition(jnp.asarray([0.0, 1.0, 0.0]), jnp.zeros(0)))
    np.testing.assert_array_equal(chosen, alone)
    assert np.max(np.abs(applied(network, made, image, both) - alone)) > 1e-3


@pytest.mark.slow
def test_strengths_start_without_effect_and_have_one_later():
    network, image = SMALL.clone(strengths=1), picture(16, 16)
    weak, strong = (Condition(jnp.ones(1), jnp.asarray([s])) for s in (-3.0, 3.0))
    start = network.init(jax.random.key(0), image, weak)
    np.testing.assert_array_equal(
        applied(network, start, image, weak), applied(network, start, image, strong)
    )
    later = variables(network, weak)
    assert (
        np.max(np.abs(applied(network, later, image, weak) - applied(network, later, image, strong))) > 1e-3
    )


@pytest.mark.parametrize("output", transformer.OUTPUTS)
def test_strengths_can_give_the_picture_itself(output):
    network = SMALL.clone(strengths=1, output=output)
    condition, image = Condition(jnp.ones(1), jnp.ones(1)), 0.1 + 0.8 * picture(15, 14)
    params = dict(variables(network, condition)["params"])
    params["last"] = jax.tree.map(jnp.zeros_like, params["last"])
    params["skip"] = {"kernel": jnp.zeros((64, 3)), "bias": jnp.ones(3)}
    found = applied(network, {"params": params}, image, condition)
    assert found.shape == (16, 16, 3)
    np.testing.assert_allclose(found[:15, :14], image, atol=1e-6)


def test_a_style_that_is_added_is_at_first_the_mean_of_the_others():
    network = SMALL.clone(styles=2, strengths=1)
    condition = Condition(jnp.ones(2) / 2, jnp.ones(1))
    params, image = variables(network, condition)["params"], picture(16, 16)
    more = transformer.extended(params, transformer.mean_style(params, 1))
    third = Condition(jnp.asarray([0.0, 0.0, 1.0]), jnp.ones(1))
    found = applied(network.clone(styles=3), {"params": more}, image, third)
    wanted = applied(network, {"params": params}, image, condition)
    np.testing.assert_allclose(found, wanted, atol=1e-6)


def test_batch_norm_uses_the_batch_in_training_and_its_statistics_afterwards():
    network, images = SMALL.clone(norm="batch"), picture(3, 16, 16)
    made = variables(network)
    trained, changed = applied(network, made, images, PLAIN, training=True, mutable="statistics")
    later = applied(network, {**made, **changed}, images, PLAIN)
    np.testing.assert_allclose(later, trained, rtol=1e-3, atol=1e-5)  # two orders of summation
    assert np.max(np.abs(applied(network, made, images, PLAIN) - trained)) > 1e-3


def test_the_network_is_that_of_the_pytorch_examples():
    torch = pytest.importorskip("torch")
    network = PRESETS["pytorch_examples"].clone(widths=(8, 12, 16))
    made, image = variables(network), picture(37, 48)
    params = made["params"]

    def convolution(name, x, stride=1):
        kernel = torch.from_numpy(np.array(params[name]["kernel"]).transpose(3, 2, 0, 1).copy())
        side = kernel.shape[-1] // 2
        bias = torch.from_numpy(np.array(params[name]["bias"])) if "bias" in params[name] else None
        x = torch.nn.functional.pad(x, (side,) * 4, mode="reflect")
        return torch.nn.functional.conv2d(x, kernel, bias, stride)

    def norm(name, x):
        scale, shift = (torch.from_numpy(np.array(params[name][k][0])) for k in ("scale", "shift"))
        return torch.nn.functional.instance_norm(x, weight=scale, bias=shift, eps=1e-5)

    x = torch.from_numpy(image.transpose(2, 0, 1)[None]) * 255
    for name, stride in (("first", 1), ("down1", 2), ("down2", 2)):
        x = torch.relu(norm(f"norm_{name}", convolution(name, x, stride)))
    for i in range(1, 6):
        y = torch.relu(norm(f"norm{i}_1", convolution(f"block{i}_1", x)))
        x = x + norm(f"norm{i}_2", convolution(f"block{i}_2", y))
    for name in ("up1", "up2"):
        x = torch.nn.functional.interpolate(x, scale_factor=2, mode="nearest")
        x = torch.relu(norm(f"norm_{name}", convolution(name, x)))
    wanted = convolution("last", x)[0].numpy().transpose(1, 2, 0) / 255
    np.testing.assert_allclose(applied(network, made, image, PLAIN), wanted, rtol=1e-4, atol=1e-4)
