"""One picture on several devices: the same numbers, with the rows of all features divided among them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from nstjax import validate
from nstjax.config import default_config
from nstjax.errors import UserError
from nstjax.networks import vgg

PROGRAM = Path(__file__).parents[1] / "support" / "divided_rows.py"


@pytest.mark.parametrize(
    ("optimizer", "padding"), [("adam", "zero"), pytest.param("lbfgs", "reflect", marks=pytest.mark.slow)]
)
def test_devices_divide_the_rows_and_find_the_same(optimizer, padding):
    environment = os.environ | {"XLA_FLAGS": "--xla_force_host_platform_device_count=8"}
    line = [sys.executable, PROGRAM, optimizer, padding]
    done = subprocess.run(line, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    one = found.pop("1")
    assert max(one["heights"]) >= 149
    for devices, several in found.items():
        np.testing.assert_allclose(several["total"], one["total"], rtol=1e-5)
        assert np.abs(np.array(several["image"]) - one["image"]).max() < 1e-4
        assert max(several["heights"]) <= -(-149 // int(devices)) + 4  # rows of the neighbours


def test_winograds_algorithm_is_for_one_device():
    with pytest.raises(ValueError, match="conv 'winograd' is for one device; got row_devices=2"):
        vgg.make_encoder(vgg.random_params(0, vgg.SLIM_WIDTHS), vgg.CAFFE, conv="winograd", row_devices=2)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"row_devices": 9}, "row_devices must be at most 8, the devices here; got 9"),
        ({"row_devices": 2, "tile": 64}, "tile=64 is for one device; got row_devices=2"),
        ({"row_devices": 0, "conv": "winograd"}, "conv=winograd is for one device; got row_devices=0"),
    ],
)
def test_what_cannot_be_divided_is_refused(given, message, monkeypatch):
    monkeypatch.setattr("jax.local_device_count", lambda: 8)
    config = default_config()
    config.update(given)
    with pytest.raises(UserError, match=message):
        validate.stage_values(config)
