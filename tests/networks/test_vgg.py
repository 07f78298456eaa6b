"""VGG-19 against independent transcriptions, at awkward sizes, cut off, batched."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracle import numpy_vgg, relative_error, torch_vgg

from nstjax.networks import pretrained, vgg

TINY = jax.tree.map(np.asarray, vgg.random_params(3, vgg.TINY_WIDTHS))
for _layer in TINY.values():
    _layer["bias"] = np.linspace(-0.1, 0.2, _layer["bias"].size, dtype=np.float32)
PREPROCESSINGS = (vgg.CAFFE, vgg.TORCHVISION)
SIZES = [(33, 18), (16, 16), (1, 1), (1, 9), (3, 2)]


def covering():
    """Every pair of size, pooling, padding and preprocessing in some row, not every combination."""
    for (i, size), (j, pooling) in itertools.product(enumerate(SIZES), enumerate(vgg.POOLINGS)):
        yield size, pooling, tuple(vgg.PADDINGS)[(i + j) % 3], PREPROCESSINGS[(i + j // 2) % 2]


ROWS = list(covering())
# One row for each pooling and each padding: `ROWS` pair them, and these pair them with real weights.
OPTIONS = list(zip(vgg.POOLINGS, vgg.PADDINGS, strict=True))


def picture(height, width, seed=0):
    return np.random.default_rng(seed).uniform(size=(height, width, 3)).astype(np.float32)


def all_taps(params, preprocessing, image, pooling, padding):
    encoder = vgg.make_encoder(params, preprocessing, pooling=pooling, padding=padding)
    return jax.jit(encoder.apply, static_argnums=2)(encoder.params, image, encoder.taps)


as_is = jax.jit(lambda apply, params, x, taps: apply(params, x, taps), static_argnums=(0, 3))


def by_hand(preprocessing, image):
    x = image.astype(np.float64)
    if preprocessing is vgg.CAFFE:
        return x[..., ::-1] * 255 - (103.939, 116.779, 123.68)
    return (x - (0.485, 0.456, 0.406)) / (0.229, 0.224, 0.225)


def test_the_rows_cover_every_pair_of_options():
    every = (SIZES, vgg.POOLINGS, vgg.PADDINGS, PREPROCESSINGS)
    for i, j in itertools.combinations(range(4), 2):
        assert {(row[i], row[j]) for row in ROWS} == set(itertools.product(every[i], every[j])), (i, j)


@pytest.mark.parametrize("size, pooling, padding, preprocessing", ROWS)
def test_every_tap_agrees_with_numpy(size, pooling, padding, preprocessing):
    image = picture(*size)
    ours = all_taps(TINY, preprocessing, image, pooling, padding)
    theirs = numpy_vgg(TINY, by_hand(preprocessing, image), pooling, padding)
    assert set(ours) == set(theirs) and list(vgg.TAPS) == list(theirs)
    for tap in ours:
        assert ours[tap].shape == theirs[tap].shape
        assert relative_error(ours[tap], theirs[tap]) < 1e-4, tap


@pytest.mark.parametrize("pooling, padding", OPTIONS)
def test_real_weights_agree_with_numpy(shared, pooling, padding):
    real = pretrained.load(str(shared / "weights" / "vgg19_keras_blocks1-3.h5"))
    image = picture(15, 22)
    ours = all_taps(real.params, real.preprocessing, image, pooling, padding)
    theirs = numpy_vgg(real.params, by_hand(vgg.CAFFE, image), pooling, padding)
    assert set(ours) == set(theirs) and list(theirs)[-1] == "pool3"
    for tap in ours:
        assert relative_error(ours[tap], theirs[tap]) < 1e-4, tap


@pytest.mark.parametrize("pooling, padding", OPTIONS)
def test_real_weights_agree_with_pytorch(shared, pooling, padding):
    pytest.importorskip("torch", reason="the oracle extra (PyTorch) is not installed")
    real = pretrained.load(str(shared / "weights" / "vgg19_keras_blocks1-3.h5"))
    image = picture(67, 50)
    ours = all_taps(real.params, real.preprocessing, image, pooling, padding)
    theirs = torch_vgg(real.params, by_hand(vgg.CAFFE, image), pooling, padding)
    for tap in ours:
        assert relative_error(ours[tap], theirs[tap]) < 1e-4, tap


@pytest.mark.parametrize("pooling", vgg.POOLINGS)
def test_an_odd_row_is_pooled_alone_where_sizes_round_up(pooling):
    for size in SIZES:
        encoder = vgg.make_encoder(TINY, vgg.CAFFE, pooling=pooling, pooling_size="ceil")
        ours = as_is(encoder.apply, encoder.params, picture(*size), encoder.taps)
        theirs = numpy_vgg(TINY, by_hand(vgg.CAFFE, picture(*size)), pooling, rounding=math.ceil)
        for tap in ours:
            assert ours[tap].shape == theirs[tap].shape
            assert relative_error(ours[tap], theirs[tap]) < 1e-4, tap


@pytest.mark.slow
@pytest.mark.parametrize("pooling", vgg.POOLINGS)
def test_sizes_that_round_up_agree_with_pytorch(pooling):
    pytest.importorskip("torch", reason="the oracle extra (PyTorch) is not installed")
    encoder = vgg.make_encoder(TINY, vgg.CAFFE, pooling=pooling, pooling_size="ceil")
    ours = as_is(encoder.apply, encoder.params, picture(67, 50), encoder.taps)
    theirs = torch_vgg(TINY, by_hand(vgg.CAFFE, picture(67, 50)), pooling, up=True)
    for tap in ours:
        assert relative_error(ours[tap], theirs[tap]) < 1e-4, tap


@pytest.mark.parametrize(
    "wrong",
    [
        vgg.Preprocessing("rgb", 255.0, vgg.CAFFE.mean[::-1]),
        vgg.Preprocessing("bgr", 255.0, (0.0, 0.0, 0.0)),
        vgg.Preprocessing("bgr", 256.0, vgg.CAFFE.mean),
    ],
    ids=["channels swapped", "mean missing", "range of 256"],
)
def test_wrong_preprocessing_is_noticed(shared, wrong):
    real = pretrained.load(str(shared / "weights" / "vgg19_keras_blocks1-3.h5"))
    image = picture(15, 22)
    encoder = vgg.make_encoder(real.params, vgg.Preprocessing("rgb", 1.0, (0.0, 0.0, 0.0)))
    ours = as_is(encoder.apply, encoder.params, wrong(image), encoder.taps)
    theirs = numpy_vgg(real.params, by_hand(vgg.CAFFE, image))
    assert all(relative_error(ours[tap], theirs[tap]) > 1e-3 for tap in ours)


@pytest.mark.parametrize("tap", ["relu1_1", "conv2_1", "pool2", "relu3_4", "conv4_2"])
def test_truncation_changes_no_value_and_no_gradient(tap):
    encoder = vgg.make_encoder(TINY, vgg.CAFFE)
    image = jnp.asarray(picture(13, 10))

    def energy(image, taps):
        return jnp.sum(jnp.square(encoder.apply(encoder.params, image, taps)[tap]))

    cut = jax.value_and_grad(energy)(image, (tap,))
    whole = jax.value_and_grad(energy)(image, (tap, "pool5"))
    np.testing.assert_array_equal(cut[0], whole[0])
    np.testing.assert_array_equal(cut[1], whole[1])


def test_vmap_is_a_loop_and_jit_is_eager():
    encoder = vgg.make_encoder(TINY, vgg.CAFFE, pooling="average", padding="reflect")
    images = jnp.stack([picture(13, 10, seed) for seed in range(3)])

    def apply(image):
        return encoder.apply(encoder.params, image, ("relu2_1", "conv4_2", "image"))

    compiled = jax.jit(apply)
    together, loop, eager = jax.jit(jax.vmap(apply))(images), [compiled(x) for x in images], apply(images[0])
    for tap in eager:
        np.testing.assert_allclose(together[tap], np.stack([x[tap] for x in loop]), rtol=1e-5, atol=1e-4)
        np.testing.assert_allclose(loop[0][tap], eager[tap], rtol=1e-5, atol=1e-4)
        assert together[tap].dtype == jnp.float32
    np.testing.assert_array_equal(eager["image"], images[0])


def test_nothing_deeper_than_the_deepest_tap_is_computed():
    encoder = vgg.make_encoder(TINY, vgg.CAFFE)
    cut = {conv: TINY[conv] for conv in ("conv1_1", "conv1_2", "conv2_1")}
    image = jnp.asarray(picture(9, 9))
    features = encoder.apply({"params": cut}, image, ("relu1_2", "conv2_1"))
    assert list(features) == ["relu1_2", "conv2_1"]


def test_random_weights_keep_the_magnitude_of_activations():
    params = vgg.random_params(0, vgg.SLIM_WIDTHS)
    features = all_taps(params, vgg.TORCHVISION, picture(96, 96), "max", "zero")
    sizes = [float(jnp.sqrt(jnp.mean(jnp.square(features[f"relu{b}_1"])))) for b in range(1, 6)]
    assert max(sizes) / min(sizes) < 10
    other = vgg.random_params(1, vgg.SLIM_WIDTHS)
    assert not np.allclose(params["conv1_1"]["kernel"], other["conv1_1"]["kernel"])


def test_taps_that_cannot_be_read_are_named():
    three = {conv: TINY[conv] for conv in vgg.CONVS[:8]}
    encoder = vgg.make_encoder(three, vgg.CAFFE)
    assert encoder.taps[-1] == "pool3"
    with pytest.raises(ValueError, match=r"'relu4_1' is deeper than my weights, which ends at 'pool3'"):
        vgg.check_taps(("image", "relu4_1"), encoder.taps, "my weights")
    with pytest.raises(ValueError, match=r"'relu31' does not exist; did you mean 'relu3_1'"):
        vgg.check_taps(("relu31",), encoder.taps)
    with pytest.raises(ValueError, match="pooling 'avg' is unknown"):
        vgg.make_encoder(TINY, vgg.CAFFE, pooling="avg")
    with pytest.raises(ValueError, match="pooling_size 'up' is unknown; valid: floor, ceil"):
        vgg.make_encoder(TINY, vgg.CAFFE, pooling_size="up")
    with pytest.raises(ValueError, match="conv 'winigrad' is unknown; did you mean 'winograd'"):
        vgg.make_encoder(TINY, vgg.CAFFE, conv="winigrad")


def test_equal_encoders_are_one_compiled_program(compilations):
    image = jnp.asarray(picture(8, 8))
    run = jax.jit(
        lambda apply, params, image: apply(params, image, ("relu1_1",))["relu1_1"] * 1.5, static_argnums=0
    )
    with compilations() as seen:
        for scale in (1.0, 2.0):
            params = jax.tree.map(lambda x, s=scale: s * x, TINY)
            encoder = vgg.make_encoder(params, vgg.CAFFE, pooling="l2")
            run(encoder.apply, encoder.params, image).block_until_ready()
    assert len(seen) == 1
