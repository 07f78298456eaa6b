"""The network that comes with the package: its styles, its strength, and the command without a file."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nstjax import images, metrics, networks
from nstjax.feedforward import painting
from nstjax.feedforward.apply import stylize
from nstjax.networks import stylizers

PAINTINGS = ("brushwork", "hatching", "mosaic", "stained_glass", "watercolour", "woodblock")
TAPS = ("relu1_1", "relu2_1", "relu3_1")


@pytest.fixture(scope="module")
def trained():
    return stylizers.load("paintings")


@pytest.fixture(scope="module")
def gap():
    """The relative distance of Gram matrices of two pictures, mean over taps of the small encoder."""
    encoder = networks.make_encoder(networks.load("mini"))

    @jax.jit
    def between(x, style):
        ours, theirs = (encoder.apply(encoder.params, each, TAPS) for each in (x, style))
        return jnp.mean(jnp.stack([metrics.gram_gap(ours[tap], theirs[tap]) for tap in TAPS]))

    return between


def test_what_it_is(trained):
    assert trained.styles == PAINTINGS and trained.strengths == {"style": (0.1, 10.0)}
    assert trained.about["licence of that"] and trained.about["trained through"] == "vgg19-8bit"


@pytest.mark.slow
@pytest.mark.parametrize("photograph", ["coffee", "astronaut"])
def test_each_style_is_that_of_its_painting(trained, gap, photograph):
    """Nearer to its painting than the photograph is by far, and than what is painted in other styles."""
    content = images.resize_to_cover(images.load_picture(f"example:{photograph}").pixels, 192, 192)
    painted = {name: stylize(trained, content, trained.condition(name)) for name in PAINTINGS}
    for name in PAINTINGS:
        style = images.load(f"example:{name}", 256)
        gaps = {other: float(gap(picture, style)) for other, picture in painted.items()}
        assert gaps[name] < 0.5 * float(gap(content, style)), name
        assert min(gaps, key=gaps.get) == name, gaps


def test_a_larger_strength_leaves_less_of_the_content(trained, gap):
    content = images.load("example:chelsea", 192)
    made = [
        stylize(trained, content, trained.condition("mosaic", {"style": strength}))
        for strength in (0.1, 1.0, 10.0)
    ]
    kept = [float(metrics.ssim(picture, jnp.asarray(content))) for picture in made]
    style = images.load("example:mosaic", 256)
    gaps = [float(gap(picture, style)) for picture in made]
    assert kept == sorted(kept, reverse=True) and gaps == sorted(gaps, reverse=True)
    assert kept[0] > kept[2] + 0.1


def test_a_blend_of_one_is_the_style_alone(trained):
    content = images.load("example:coffee", 64)
    alone = stylize(trained, content, trained.condition("mosaic"))
    np.testing.assert_array_equal(stylize(trained, content, trained.condition({"mosaic": 3.0})), alone)


def test_it_paints_by_its_name(trained, tmp_path):
    made = painting.run("paintings", ["example:coffee"], tmp_path / "a.png", styles=["mosaic"], size=64)
    wanted = stylize(trained, images.load("example:coffee", 64), trained.condition("mosaic"))
    found = images.load_picture(made["picture"]).pixels.astype(int)
    assert np.abs(found - images.to_uint8(wanted).astype(int)).max() <= 1
