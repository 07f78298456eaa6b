"""A loss of power at any moment: the run goes on, and the bytes are those of one that never lost it."""

import json

import numpy as np
import pytest
from PIL import Image
from power import Disk, PowerLoss

from nstjax import runs
from nstjax.config import default_config, term
from nstjax.runs import report


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    """Of two stages with four checkpoints each, L-BFGS the second."""
    place, rng = tmp_path_factory.mktemp("place"), np.random.default_rng(0)
    made = default_config()
    for name in ("content", "style"):
        Image.fromarray(rng.integers(0, 255, (16, 20, 3), np.uint8)).save(place / f"{name}.png")
        made[name] = str(place / f"{name}.png")
    made.weights, made.size = "random-tiny", 20
    made.terms.content = term("feature", "relu2_1", reference="content")
    made.terms.style = term("gram", ("relu1_1", "relu3_1"), weight=3.0)
    made.steps_per_call = made.log_every = made.checkpoint_every = 2
    made.preview_every = 4
    made.stages = ({"size": 16, "steps": 8}, {"size": 20, "steps": 8, "optimizer": "lbfgs"})
    made.lock()
    return made


@pytest.fixture(autouse=True)
def plain_report(monkeypatch):
    """A report takes a second, and this test makes a dozen runs."""
    monkeypatch.setattr(report, "write", lambda run, folder: (folder / "report.html").write_text("done"))


def outcome(folder):
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return (folder / "image.png").read_bytes(), [
        {k: v for k, v in row.items() if k != "seconds"} for row in rows
    ]


@pytest.mark.slow
@pytest.mark.parametrize("trials", [2, 10])
def test_losses_of_power(config, tmp_path, capfd, trials):
    disk = Disk()
    (tmp_path / "whole").mkdir()
    with disk.until():
        runs.run(config, tmp_path / "whole")
    whole = outcome(tmp_path / "whole")
    disk.write(tmp_path / "whole", tmp_path / "certain")
    assert outcome(tmp_path / "certain") == whole  # a finished run is there for certain
    resumed = 0
    for trial, last in enumerate(np.linspace(0, disk.syncs - 1, trials).astype(int).tolist()):
        before, after, cut = tmp_path / f"before{trial}", tmp_path / f"after{trial}", Disk()
        before.mkdir()
        with pytest.raises(PowerLoss), cut.until(last):
            runs.run(config, before)
        cut.write(before, after)
        resumed += any(after.glob("checkpoints/[0-9]*"))
        runs.run(config, after)
        assert outcome(after) == whole, last
        assert [path.name for path in after.rglob(".*")] == [".lock"]
    assert resumed >= trials // 2 and "damaged" not in capfd.readouterr().err
