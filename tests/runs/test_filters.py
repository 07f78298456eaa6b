"""Runs whose finished picture goes through photorealistic filters."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nstjax import images, photorealism, runs
from nstjax.config import default_config, default_transfer_config, term
from nstjax.errors import UserError
from nstjax.runs import filters

GIVEN = {"photorealistic": "local_affine, detail", "photorealistic_args": {"local_affine": {"radius": 2}}}


def optimised(**values):
    config = default_config()
    config.update(weights="random-tiny", size=24, steps=2, style="example:mosaic", **values)
    config.terms.style = term("gram", "relu1_1")
    return config


def transferred(**values):
    config = default_transfer_config()
    config.update(size=32, levels=(1,), style="example:mosaic", **values)
    return config


@pytest.mark.parametrize("make", [optimised, transferred])
def test_the_picture_is_that_without_filters_through_them(make, tmp_path):
    plain = runs.run(make(), tmp_path / "plain")["picture"]
    picture = runs.run(make(**GIVEN), tmp_path / "filtered")["picture"]
    before = images.load_picture(tmp_path / "filtered" / "unfiltered.png").pixels
    np.testing.assert_array_equal(before, images.load_picture(plain).pixels)
    content = jnp.asarray(images.resize(images.load_picture("example:coffee").pixels, *before.shape[:2]))
    wanted = jnp.asarray(before / np.float32(255))
    for follow in (photorealism.local_affine(radius=2), photorealism.detail()):
        wanted = jnp.clip(jax.jit(follow)(wanted, content), 0, 1)
    found = images.load_picture(picture).pixels / 255
    np.testing.assert_allclose(found, wanted, atol=4 / 255)
    assert np.abs(found - before / 255).max() > 0.02


def test_a_restart_leaves_no_picture_of_another_run(tmp_path):
    runs.run(optimised(**GIVEN), tmp_path / "run")
    assert (tmp_path / "run" / "unfiltered.png").exists()
    runs.run(optimised(), tmp_path / "run", restart=True)
    assert not (tmp_path / "run" / "unfiltered.png").exists()


def test_a_picture_that_is_not_finite_is_said(monkeypatch, tmp_path):
    monkeypatch.setattr(filters, "build", lambda config: [lambda image, content: image * jnp.nan])
    config = optimised(photorealistic="detail")
    with pytest.raises(UserError, match="photorealistic: the filtered picture is not finite"):
        runs.run(config, tmp_path / "run")
    assert not (tmp_path / "run" / "image.png").exists()


def test_filters_need_a_content():
    with pytest.raises(UserError, match="photorealistic is given, but content is empty"):
        runs.load(optimised(content="", init="noise", photorealistic="matting"))
