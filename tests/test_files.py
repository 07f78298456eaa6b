"""Files: whole or not there. Paths as people type them: as they were meant, or one line says why not."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from nstjax import files, images, networks, sweeps
from nstjax.config import default_config
from nstjax.errors import UserError
from nstjax.folders import RunFolder
from nstjax.runs import pictures
from nstjax.sweeps.design import read_pairs
from nstjax.training import recipe
from nstjax.universal import levels

ROOT = Path(__file__).parents[1]
LONG = "x" * 300


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home folder with a picture and a folder of pictures, which is the working directory too."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    for name in ("a.png", "folder/b.png", " c.png"):
        Image.new("RGB", (4, 3), "red").save(tmp_path / name)
    return tmp_path


def test_a_path_is_the_one_that_was_meant(home):
    for typed in ("a.png", "~/a.png", " a.png ", "\ta.png\n", "./a.png", str(home / "a.png"), Path("a.png")):
        assert files.user_path(typed) == home / "a.png", typed
    assert files.user_path(" c.png") == home / " c.png"  # blanks that are there belong to the name
    assert files.user_path("~/new/run ") == home / "new" / "run"
    assert files.user_path("~") == home and files.user_path("~root") == Path("~root").expanduser()


def refusal(make):
    with pytest.raises(UserError) as error:
        make()
    line = str(error.value)
    assert line.isprintable() and len(line) < 700
    return line


# What takes a path, by the mistake that it has to refuse.
TAKES = {
    "picture": lambda name: images.load_picture(name),
    "picture as arrays": lambda name: images.load(name),
    "style": lambda name: pictures.read_styles(_config(style=name), lambda _, make: make()),
    "folder of pictures": lambda name: images.picture_files(name),
    "data": lambda name: recipe.picture_files(_config(data=name)),
    "pairs": lambda name: read_pairs(name),
    "weights": lambda name: networks.load(name),
    "decoders": lambda name: networks.load_decoders(name),
    "levels": lambda name: levels.load(name, (1,)),
    "workdir": lambda name: RunFolder(name, {}, {}),
    "report": lambda name: sweeps.write_report(name),
}


def _config(**values):
    config = default_config()
    with config.unlocked():
        config.update(values)
    return config


@pytest.mark.parametrize("name", TAKES)
def test_every_mistake_with_a_path_is_one_line(home, name, monkeypatch):
    take = TAKES[name]
    assert "~nobody_here" in refusal(lambda: take("~nobody_here/a"))
    assert "null byte" in refusal(lambda: take("a\0b"))
    assert "File name too long" in refusal(lambda: take(LONG))
    assert LONG in refusal(lambda: take(f"{LONG}/a"))
    if name != "workdir":
        refusal(lambda: take("no/such"))
    denied = OSError(13, "Permission denied")
    with monkeypatch.context() as patched:
        for function in ("stat", "open", "mkdir", "listdir", "scandir"):
            patched.setattr(os, function, lambda *_, **__: (_ for _ in ()).throw(denied))
        patched.setattr("io.open", lambda *_, **__: (_ for _ in ()).throw(denied))
        patched.setattr("builtins.open", lambda *_, **__: (_ for _ in ()).throw(denied))
        assert "Permission denied" in refusal(lambda: take("locked/a"))


@pytest.mark.parametrize("name", TAKES)
def test_a_working_directory_that_is_gone_is_one_line(home, name, monkeypatch):
    (home / "gone").mkdir()
    monkeypatch.chdir(home / "gone")
    (home / "gone").rmdir()
    assert "the working directory is gone" in refusal(lambda: TAKES[name]("runs/a"))
    assert images.load_picture(str(home / "a.png")).pixels.shape == (3, 4, 3)
    monkeypatch.chdir(home)


def test_names_in_a_list_may_have_blanks(home):
    assert pictures.names("a.png, ~/b.png ,c.png,") == ("a.png", "~/b.png", "c.png")
    assert pictures.names(f"{LONG},b") == (LONG, "b")
    Image.new("RGB", (4, 3)).save(home / "a, b.png")
    assert pictures.names("a, b.png") == ("a, b.png",)
    assert images.load(home / "a.png").shape == (3, 4, 3)
    assert images.load_picture(" example:coffee ").sha256 == images.load_picture("example:coffee").sha256
    assert [p.name for p in recipe.picture_files(_config(data="~/folder, folder"))] == ["b.png", "b.png"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_a_file_of_pairs_may_begin_with_a_mark(home, encoding):
    (home / "pairs.csv").write_text("a.png, é.png\n", encoding=encoding)
    assert read_pairs("~/pairs.csv") == [("a.png", "é.png")]


def test_the_drivers_make_paths_in_one_way():
    """No module but `files` expands a home folder; every flag that names a place is made by `define_path`."""
    sources = [
        path for part in ("nstjax", "experiments", "benchmarks") for path in (ROOT / part).rglob("*.py")
    ]
    expanding = [path.name for path in sources if ".expanduser()" in path.read_text()]
    assert expanding == ["files.py"]
    for path in sources:
        text = path.read_text()
        assert not re.search(r'DEFINE_string\(\s*"(workdir|out)"', text), path
        if "command.run(" in text and path.parent.name == "experiments":
            assert re.search(r'command\.define_path\("(workdir|out)"', text), path


@pytest.mark.slow
def test_a_driver_takes_a_home_folder_for_its_config_and_workdir(home, monkeypatch):
    source = "from nstjax.config import default_config\nget_config = lambda arg=None: default_config()\n"
    (home / "mine.py").write_text(source)
    line = [sys.executable, "-m", "experiments.stylize", "--config=~/mine.py", "--config.terms={}"]
    for workdir, said in (
        ("~/run", "terms is empty"),
        ("~nobody_here/run", "the home folder ~nobody_here is"),
    ):
        done = subprocess.run([*line, f"--workdir={workdir}"], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 2 and done.stderr.count("\n") == 1 and said in done.stderr, done.stderr
    assert not (home / "run").exists()


def test_write_atomic_replaces_or_leaves_alone(tmp_path):
    path = tmp_path / "a.txt"
    files.write_atomic(path, "old")
    files.write_atomic(path, os.fsdecode(b"new \xe9"))
    assert path.read_text() == "new \\udce9"
    with pytest.raises(UserError, match=r"cannot write .*: No such file or directory"):
        files.write_atomic(tmp_path / "no" / "a.txt", "x")
    (tmp_path / "folder").mkdir()
    with pytest.raises(UserError, match="Is a directory"):
        files.write_atomic(tmp_path / "folder", "x")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.txt", "folder"]


def test_read_json_names_the_file_and_the_fault(tmp_path):
    path = tmp_path / "a.json"
    for content, reason in ((b"{", "Expecting"), (b"[]", "expected a dict, found list"), (b"\xff", "codec")):
        path.write_bytes(content)
        with pytest.raises(UserError, match=f"cannot read {path}: .*{reason}"):
            files.read_json(path)
    path.write_text('{"a": 1}\n{"a": 2}\n')
    assert files.read_json_lines(path) == [{"a": 1}, {"a": 2}]
    assert files.read_json_lines(path, 9) == [{"a": 1}]
    with pytest.raises(UserError, match="99 bytes were written, 18 are there"):
        files.read_json_lines(path, 99)
