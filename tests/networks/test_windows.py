"""Features, gradients and objectives in windows beside those of the whole picture."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks import bench_steps
from nstjax import images, losses, runs
from nstjax.config import default_config, term
from nstjax.errors import UserError
from nstjax.networks import vgg, windows
from nstjax.optimize import (
    Objective,
    Problem,
    Reference,
    Term,
    make_targets,
    tap_gradient_norms,
    term_weights,
)
from nstjax.runs import memory

TINY = vgg.random_params(0, vgg.TINY_WIDTHS)


def picture(*shape, seed=0):
    return np.random.default_rng(seed).uniform(size=(*shape, 3)).astype(np.float32)


def close(mine, whole, share=1e-5):
    for a, b in zip(jax.tree.leaves(mine), jax.tree.leaves(whole), strict=True):
        assert a.shape == b.shape
        assert np.abs(a - b).max() <= share * np.abs(b).max()


@pytest.mark.parametrize(
    ("shape", "taps", "options"),
    [
        ((301, 70), ("relu1_1", "image"), {}),
        ((70, 330), ("relu2_1", "pool3"), {"padding": "reflect"}),
        pytest.param(
            *((257, 319), ("conv4_2", "pool5"), {"pooling_size": "ceil", "padding": "replicate"}),
            marks=pytest.mark.slow,
        ),
        pytest.param(*((2, 192, 130), ("relu3_1",), {"conv": "winograd"}), marks=pytest.mark.slow),
        ((40, 33), ("relu5_1",), {}),
    ],
)
def test_features_and_gradients_are_those_of_the_whole(shape, taps, options):
    encoder = vgg.make_encoder(TINY, vgg.TORCHVISION, **options)
    image = picture(*shape)

    @functools.partial(jax.jit, static_argnums=0)
    def run(apply, params, image):
        made, back = jax.vjp(lambda params, image: apply(params, image, taps), params, image)
        given = {tap: jnp.cos(jnp.arange(x.size, dtype=x.dtype)).reshape(x.shape) for tap, x in made.items()}
        return made, back(given)

    params = encoder.apply.prepare(encoder.params)
    whole = run(encoder.apply, params, image)
    close(run(windows.tiled(encoder, 32).apply, params, image), whole, 3e-5)


@pytest.mark.slow
def test_a_gradient_through_vgg19_at_512_pixels_is_that_of_the_whole():
    params, image = vgg.random_params(0), picture(512, 512)

    def gradient(tile):
        objective, problem = bench_steps.make_problem(params, image, tile=tile, conv="direct")
        return jax.jit(jax.grad(lambda image, problem: objective(image, problem)[0]))(image, problem)

    close(gradient(256), gradient(0))


@pytest.mark.parametrize("tile", [8, 96, 512])
@pytest.mark.parametrize("halo", [0, 2, 4])
def test_windows_have_every_position_once(tile, halo):
    for size in (*range(1, 70), 511, 512, 513, 1000, 4096):
        axis = windows.along(size, tile, halo)
        assert list(axis.lows) == [0, *axis.highs[:-1]] and axis.highs[-1] == size
        assert (axis.highs > axis.lows).all() and (axis.highs - axis.lows <= tile + 2 * halo).all()
        assert not (axis.starts % 2).any()
        ends = axis.starts + axis.length
        assert (axis.starts >= 0).all() and (ends <= size).all() and axis.length <= tile + 2 * halo + 1
        assert ((axis.starts == 0) | (axis.lows - axis.starts >= halo)).all()
        assert ((ends == size) | (ends - axis.highs >= halo)).all()


def test_blocks_end_where_the_next_begins():
    first, second, third = windows.blocks(("relu3_1", "image", "pool1", "relu1_1"))
    assert first == windows.Block(1, ("image", "relu1_1", "pool1"), "pool1") and first.start == "image"
    assert second == windows.Block(2, ("pool2",), "pool2") and second.start == "pool1"
    assert third == windows.Block(3, ("relu3_1",), "") and third.start == "pool2"
    names = ("conv1_1", "conv1_2"), ("conv2_1", "conv2_2"), ("conv3_1",)
    assert tuple(block.convolutions for block in (first, second, third)) == names
    assert windows.blocks(("image",)) == (windows.Block(1, ("image",), ""),)


TERMS = (
    Term("content", losses.feature(), ("relu3_2",), "content"),
    Term("style", losses.gram(), ("relu1_1", "relu3_1"), "style"),
    Term("tv", losses.tv_nine_point(), ("image",), "content"),
    Term("moments", losses.moments_l1(), ("relu2_1+image", "relu3_2"), "style"),
)


def scored(way, encoder, image):
    references = {
        "content": [Reference(picture(100, 150, seed=1))],
        "style": [Reference(picture(130, 90, seed=2))],
    }
    targets = jax.jit(make_targets, static_argnums=(0, 2))(encoder.apply, encoder.params, TERMS, references)
    weights = term_weights(TERMS, {"content": 1.0, "style": 10.0, "tv": 0.1, "moments": 1.0})
    problem = Problem(encoder.params, targets, weights, jax.random.key(0))
    objective = Objective(encoder.apply, TERMS)

    def value(image):
        return objective(image, problem)

    def mixed(image):
        (_, report), back = jax.vjp(value, image)
        return back((jnp.float32(2), dict.fromkeys(report, jnp.float32(0.5))))

    ways = {
        "gradient": jax.value_and_grad(value, has_aux=True),
        "value": value,
        "both": mixed,
        "norms": lambda image: tap_gradient_norms(objective, image, problem),
    }
    return jax.jit(ways[way])(image)


@pytest.mark.parametrize(
    "way", ["gradient", *(pytest.param(way, marks=pytest.mark.slow) for way in ("value", "both", "norms"))]
)
def test_an_objective_goes_by_groups_of_taps(way, monkeypatch):
    monkeypatch.setattr(windows, "_ROOM", 5)
    encoder = vgg.make_encoder(TINY, vgg.TORCHVISION)
    taps = [tap for each in TERMS for tap in each.taps]
    groups = windows.groups(TINY, dict.fromkeys(taps))
    assert groups == (("image", "relu1_1"), ("relu2_1+image", "relu3_1", "relu3_2"))
    image = picture(100, 150)
    close(scored(way, windows.tiled(encoder, 32), image), scored(way, encoder, image))


@pytest.mark.parametrize("tile", [-32, 0, 100])
def test_a_tile_that_cannot_be_is_refused(tile):
    with pytest.raises(ValueError, match=f"tile must be a multiple of 32 above 0; got {tile}"):
        windows.tiled(vgg.make_encoder(TINY, vgg.CAFFE), tile)


def optimised(**values):
    config = default_config()
    config.update(weights="random-tiny", size=150, steps=3, style="example:mosaic", **values)
    config.terms.content = term("feature", "relu3_1", reference="content")
    config.terms.style = term("gram", ("relu1_1", "relu2_1"), weight=10.0)
    return config


@pytest.mark.slow
def test_a_run_in_windows_paints_the_picture_of_one_without(tmp_path):
    pictures = [
        images.load_picture(runs.run(optimised(tile=tile), tmp_path / str(tile))["picture"]).pixels
        for tile in (0, 32)
    ]
    assert np.abs(pictures[0].astype(int) - pictures[1]).max() <= 1


def test_windows_come_by_themselves_where_memory_is_short_and_it_is_said(monkeypatch):
    room = memory.needed((112, 150), TINY, ("relu3_1",), backward=True)
    monkeypatch.setattr(memory, "available", lambda devices=1: int(2 * room))
    assert any("windows of 512" in note for note in runs.load(optimised()).notes)
    with pytest.raises(UserError, match="tile must be a multiple of 32, or 0; got 100"):
        runs.load(optimised(tile=100))
