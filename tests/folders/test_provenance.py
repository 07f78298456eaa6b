"""What a result says of its making, and that it is true."""

import shutil
import subprocess
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

from nstjax.errors import UserError
from nstjax.folders import RunFolder, provenance


def git(folder, *arguments):
    who = ["-c", "user.name=a", "-c", "user.email=a@b"]
    line = ["git", *who, "-C", folder, *arguments]
    return subprocess.run(line, check=True, capture_output=True, text=True).stdout.strip()


def test_the_commit_is_that_of_a_repository_that_has_the_file(tmp_path, monkeypatch):
    installed = tmp_path / "repository" / "site-packages" / "provenance.py"
    installed.parent.mkdir(parents=True)
    shutil.copy(provenance.__file__, installed)
    monkeypatch.setattr(provenance, "__file__", str(installed))
    assert provenance.describe({})["git_commit"] == "unknown"  # no repository
    git(tmp_path / "repository", "init", "-q")
    git(tmp_path / "repository", "commit", "-q", "--allow-empty", "-m", "theirs")
    assert provenance.describe({})["git_commit"] == "unknown"  # in somebody's repository, but not of it
    git(tmp_path / "repository", "add", "-A")
    git(tmp_path / "repository", "commit", "-q", "-m", "ours")
    commit = git(tmp_path / "repository", "rev-parse", "HEAD")
    assert provenance.describe({})["git_commit"] == commit
    Path(installed).write_text("changed")
    assert provenance.describe({})["git_commit"] == f"{commit} with changes"


@pytest.mark.parametrize(
    "setting, difference",
    [
        (lambda: jax.enable_x64(True), r"precision\.x64: False there, True here"),
        (lambda: jax.default_matmul_precision("highest"), r"precision\.matmul: None there, 'highest' here"),
    ],
)
def test_a_run_of_another_precision_is_another_run(setting, difference, tmp_path):
    def described():
        return provenance.describe({"precision": provenance.precision()})

    with RunFolder(tmp_path, {}, described()) as folder:
        folder.save(1, {"x": jnp.zeros(2)}, {"step": 1})
    with setting(), pytest.raises(UserError, match=rf"holds a run with other inputs \({difference}\)"):
        RunFolder(tmp_path, {}, described())
    RunFolder(tmp_path, {}, described()).close()
