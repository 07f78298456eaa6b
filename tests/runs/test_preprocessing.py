"""The key `preprocessing` of a config: what it changes, what a run says and records."""

import importlib.util
import json
from pathlib import Path

import pytest
from weight_files import keras, write_h5

from nstjax import runs
from nstjax.config import default_config, smoke, term
from nstjax.errors import UserError
from nstjax.networks import vgg
from nstjax.runs import image, transfer


@pytest.fixture
def config(tmp_path):
    config = default_config()
    config.terms.style = term("gram", ("relu1_1",))
    config = smoke(config)
    config.size, config.steps, config.learning_rate = 16, 2, 0.02
    config.weights = str(write_h5(tmp_path / "mine.h5", keras("{layer}/{part}:0")))
    return config


def test_a_guess_is_said_and_recorded(config, tmp_path, capsys):
    runs.run(config, tmp_path / "run")
    assert "note: weights mine.h5: no published file that is known; read with" in capsys.readouterr().err
    provenance = json.loads((tmp_path / "run" / "provenance.json").read_text())
    assert provenance["inputs"]["weights"]["preprocessing"] == {
        "order": "bgr",
        "scale": 255.0,
        "mean": [103.939, 116.779, 123.68],
        "std": [1.0, 1.0, 1.0],
    }
    assert any("preprocessing=torchvision reads them otherwise" in note for note in provenance["notes"])


@pytest.mark.parametrize("given", ["caffe", "torchvision"])
def test_the_key_ends_the_guess(config, given):
    config.preprocessing = given
    loaded = image.load(config)
    assert loaded.network.preprocessing == vgg.PREPROCESSINGS[given] and loaded.notes == ()


def test_a_transfer_has_the_key_and_the_note():
    path = Path(__file__).parents[2] / "configs" / "wct.py"
    spec = importlib.util.spec_from_file_location("wct", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    config = module.get_config("smoke")
    assert config.preprocessing == "" and transfer.load(config).notes == ()
    config.preprocessing = "caffe"
    loaded = transfer.load(config)
    assert "weights mini: were trained with the preprocessing torchvision" in loaded.notes[0]
    assert loaded.provenance()["inputs"]["weights"]["preprocessing"]["order"] == "bgr"


def test_the_key_is_checked(config):
    config.preprocessing = "cafe"
    with pytest.raises(UserError, match="preprocessing 'cafe' is unknown; did you mean 'caffe'"):
        image.load(config)
    config.preprocessing, config.stages = "", ({"size": 8, "preprocessing": "caffe"},)
    with pytest.raises(UserError, match=r"stages\[0\]\.preprocessing cannot differ between stages"):
        image.load(config)
