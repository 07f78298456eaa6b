"""What is measured of the claims of universal style transfer."""

import subprocess
import sys
from pathlib import Path

import pytest

from nstjax import files

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_claims_are_counted_over_pairs(tmp_path):
    line = [sys.executable, "-m", "experiments.claims", f"--config={ROOT}/configs/wct.py"]
    line += ["--config.size=32", "--config.levels=2,1", f"--out={tmp_path}/claims"]
    line += ["--contents=example:coffee,example:chelsea", "--styles=example:brushwork"]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = files.read_json(tmp_path / "claims" / "claims.json")
    assert found["pairs"] == 2 and list(found["levels"]) == ["relu2_1", "relu1_1"]
    for row in found["levels"].values():
        assert 0 < row["wct"] < row["decoded"] < 1.5 and 0 <= row["holds"] <= 2
        assert row["wct features"] < 0.01 < 0.1 < row["adain features"] < 1
        assert row["mean_shift features"] == pytest.approx(1, rel=1e-3)
    assert set(found["order"]) == {"coarse to fine", "fine to coarse", "holds"}
    style, content = (found["alpha"][name] for name in ("style", "content"))
    assert len(style) == len(content) == len(found["alpha"]["alpha"])
    assert style[-1] < style[0] and content[0] < content[-1]
    assert f"| relu2_1 | {found['levels']['relu2_1']['wct']:.3g} |" in done.stdout
