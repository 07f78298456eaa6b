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
from nstjax.errors import CannotWrite, FailedError, UserError
from nstjax.images import stream
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


def counted(monkeypatch):
    """The contents of pictures that are made from now on."""
    made, make_image = [], transfer.make_image
    monkeypatch.setattr(
        transfer, "make_image", lambda one, *rest: (made.append(one.content.name), make_image(one, *rest))[1]
    )
    return made


def test_a_picture_that_cannot_be_written_is_the_only_one_that_fails(place, monkeypatch):
    frames, made = [str(place / "frames")], counted(monkeypatch)
    blocked = place / "out" / "warm" / "frame1.png"
    (blocked / "in the way").mkdir(parents=True)
    with pytest.raises(FailedError, match=r"1 of 3 pictures failed; .*frame1\.png: cannot write .*frame1"):
        grid.run(config(), frames, [str(place / "warm.png")], place / "out")
    assert len(made) == 3 and {p.name for p in blocked.parent.glob("*.png") if p.is_file()} == {
        *("frame2.png", "frame10.png")
    }


def test_where_nothing_can_be_written_nothing_more_is_made(place, monkeypatch):
    for number in range(20, 30):
        paint(place / "frames" / f"frame{number}.png", number)
    frames, made = [str(place / "frames")], counted(monkeypatch)

    def full(*_):
        raise CannotWrite("cannot write it: No space left on device")

    monkeypatch.setattr(stream, "_write", full)
    with pytest.raises(FailedError, match=r"3 pictures in a row could not be written; .*No space left"):
        grid.run(config(), frames, [str(place / "warm.png")], place / "out")
    assert len(made) == 4  # the fourth was made while the third was refused


@pytest.mark.parametrize("damage", [lambda _: b"", lambda content: content[:-9], lambda _: b"GIF89a"])
def test_a_damaged_picture_is_made_again(place, damage):
    frames, styles = [str(place / "frames")], [str(place / "warm.png")]
    grid.run(config(), frames, styles, place / "out")
    path = place / "out" / "warm" / "frame2.png"
    content = path.read_bytes()
    path.write_bytes(damage(content))
    grid.run(config(), frames, styles, place / "out")
    assert path.read_bytes() == content


def test_every_content_in_every_style_each_once(place, monkeypatch):
    frames, styles = [str(place / "frames")], [str(place / "warm.png"), str(place / "cold.png")]
    made, known, regions_of = counted(monkeypatch), [], transfer.regions_of
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
