"""A finished sweep, to be read."""

import pytest
from sweep_points import config, weights_by_seeds

from nstjax import sweeps
from nstjax.runs import report
from nstjax.sweeps import Options


@pytest.fixture(scope="module")
def without_curves():
    """Curves take longer than these runs; reports are a write all the same."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(report, "_curves", lambda rows: "")
        yield


@pytest.fixture(scope="module")
def done(without_curves, tmp_path_factory):
    """The folder of a finished sweep, to be read."""
    workdir = tmp_path_factory.mktemp("sweep")
    summary = sweeps.run(config(), weights_by_seeds(), workdir, Options(measure=False, command="this"))
    assert len(summary.finished) == 4 and not summary.failed and summary.outputs == {}
    assert not (workdir / "unfinished").exists()
    assert {path.name for path in workdir.iterdir()} == {".lock", "points", "sweep.json"}
    return workdir
