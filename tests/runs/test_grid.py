"""Many contents in many styles: what is left, in which order, and what is made once."""

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nstjax import runs
from nstjax.errors import FailedError, UserError
from nstjax.runs import grid, transfer

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "configs" / "wct.py"


def config(**values):
    spec = importlib.util.spec_from_file_location("wct", CONFIG)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    made = module.get_config("smoke").copy_and_resolve_references()
    with made.unlocked():
        made.update({"size": 32, "levels": (2, 1), **values})
    return made


def paint(path, seed, shape=(24, 32)):
    rng = np.random.default_rng(seed)
    colours = rng.uniform(0, 255, 3) + rng.uniform(-60, 60, (*shape, 1))
    Image.fromarray(np.clip(colours, 0, 255).astype(np.uint8)).save(path)
    return str(path)


@pytest.fixture
def place(tmp_path):
    """A folder of three frames, with what a Mac leaves beside them, and two styles."""
    (tmp_path / "frames").mkdir()
    (tmp_path / "frames" / "._frame1.png").write_bytes(b"Mac OS X")
    for number in (10, 2, 1):
        paint(tmp_path / "frames" / f"frame{number}.png", number)
    paint(tmp_path / "warm.png", 50)
    paint(tmp_path / "cold.png", 51)
    return tmp_path


def test_every_content_in_every_style_each_once(place, monkeypatch):
    frames, styles = [str(place / "frames")], [str(place / "warm.png"), str(place / "cold.png")]
    made, make_image, known, regions_of = [], transfer.make_image, [], transfer.regions_of
    monkeypatch.setattr(
        transfer, "make_image", lambda one, *rest: (made.append(one.content.name), make_image(one, *rest))[1]
    )
    monkeypatch.setattr(transfer, "regions_of", lambda *of: (known.append(of), regions_of(*of))[1])
    left = grid.run(config(), frames, styles, place / "out")
    assert [Path(name).stem for name in made] == 2 * ["frame1", "frame2", "frame10"] and len(known) == 2
    assert left == {"pictures": place / "out", "sheet": place / "out" / "sheet.jpg"}
    alone = config(content=str(place / "frames" / "frame2.png"), style=styles[1])
    picture = runs.run(alone, place / "alone")["picture"]
    of_all = place / "out" / "cold" / "frame2.png"
    np.testing.assert_array_equal(np.asarray(Image.open(picture)), np.asarray(Image.open(of_all)))
    label = Image.open(of_all).text["Comment"]
    assert re.fullmatch(r"nstjax; weights: .*; content: frame2\.png \w{16}; style: cold\.png \w{16}", label)
    assert str(place).encode() not in of_all.read_bytes()
    # What is there stays; what is gone, or was made of another file, is made again.
    made.clear()
    of_all.unlink()
    paint(place / "frames" / "frame10.png", 99)
    grid.run(config(), frames, styles, place / "out")
    assert [Path(name).stem for name in made] == ["frame10", "frame2", "frame10"]
    with pytest.raises(UserError, match="holds a run with another config"):
        grid.run(config(alpha=(0.5,)), frames, styles, place / "out")


def test_a_content_that_cannot_be_read_does_not_stop_the_others(place):
    (place / "frames" / "frame3.png").write_bytes(b"\x89PNG nothing")
    with pytest.raises(FailedError, match=r"1 of 4 pictures failed; .*frame3\.png: .*"):
        grid.run(config(), [str(place / "frames")], [str(place / "warm.png")], place / "out")
    assert sorted(p.name for p in (place / "out" / "warm").iterdir()) == [
        "frame1.png",
        "frame10.png",
        "frame2.png",
    ]
    assert (place / "out" / "sheet.jpg").exists()


def test_every_picture_says_its_notes_where_it_is_read(place, capfd):
    for name in ("frames/frame2.png", "frames/frame10.png", "cold.png"):
        with Image.open(place / name) as opaque:
            opaque.putalpha(Image.new("L", opaque.size, 200))
            opaque.save(place / name)
    styles = [str(place / "warm.png"), str(place / "cold.png")]
    grid.run(config(), [str(place / "frames")], styles, place / "out")
    said = [line for line in capfd.readouterr().err.splitlines() if "laid over white" in line]
    noted = ("cold.png", "frames/frame2.png", "frames/frame10.png")
    assert said == [f"note: {place / name}: transparent parts laid over white" for name in noted]
    left = json.loads((place / "out" / "provenance.json").read_text())
    assert left["notes"] == [said[0].removeprefix("note: ")]


def test_mistakes_are_a_line_and_leave_nothing(place):
    frames, out = [str(place / "frames")], place / "out"
    (place / "more").mkdir()
    twice = [paint(place / "more" / "warm.png", 3), str(place / "warm.png")]
    (place / "empty").mkdir()
    for contents, styles, values, line in [
        (frames, [], {"content_mask": "x.png", "style_mask": "y.png"}, "belong to one content"),
        (frames, [], {"init": "noise"}, "init is 'noise'; expected 'content'"),
        (frames, twice, {}, "styles: two pictures are called warm; rename a file"),
        (twice, [], {}, "contents: two pictures are called warm; rename a file"),
        ([str(place / "empty")], [], {}, "no picture in it"),
        (frames, [str(place / "none.png")], {}, r"none\.png: no such file"),
    ]:
        with pytest.raises(UserError, match=line):
            grid.run(config(**values), contents, styles, out)
    assert not out.exists()


@pytest.mark.slow
def test_the_driver_does_a_folder_of_frames(place):
    line = [sys.executable, "-m", "experiments.universal", f"--config={CONFIG}:smoke", "--config.levels=2,1"]
    line += [f"--contents={place}/frames", f"--styles={place}/warm.png", f"--workdir={place}/out"]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, f"pictures: {place}/out\nsheet: {place}/out/sheet.jpg\n")
    without = [word for word in line if not word.startswith("--contents")]
    done = subprocess.run(without, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and "--styles" in done.stderr
