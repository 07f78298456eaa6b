"""Run folders to tables, by hand; the report is written from them alone."""

import csv
import itertools
import json
import math

import numpy as np
import pytest
from PIL import Image

from nstjax import sweeps
from nstjax.config import term
from nstjax.errors import UserError
from nstjax.images import sheet
from nstjax.sweeps import Design, record, results
from nstjax.sweeps.record import Record

LOSSES = {
    loss: {"terms.style": term(loss, ("relu1_1",))} for loss in ("gram", "cmd", "histogram", "sliced & co")
}
PAIRS = (("example:coffee", "a/one.jpg"), ("example:chelsea", "two.png"))


def planned():
    points = sweeps.product(sweeps.factor("loss", LOSSES), sweeps.pairs(PAIRS), sweeps.factor("seed", (0, 1)))
    return Design(points, {"loss": "gram"}, ("pair", "seed"))


def share(loss, of, seed):
    """Every loss does best on its own, but for histogram, where cmd does."""
    best = {"histogram": "cmd"}.get(of, of)
    return (0.1 if loss == best else 0.4) * (1 + 0.1 * seed)


@pytest.fixture
def workdir(tmp_path):
    """A sweep whose measures are known; one point failed and one is missing."""
    record.write(Record("a sweep", "python -m experiments.sweep --config=x.py", planned()), tmp_path)
    for i, (name, at) in enumerate(planned().labels.items()):
        if at == {"loss": "cmd", "pair": "chelsea+two", "seed": "1"}:
            continue
        folder = tmp_path / "points" / name
        folder.mkdir(parents=True)
        own = {"style": {"loss": at["loss"], "reference": "style"}}
        inputs = {"pictures": {"content": {"name": at["pair"], "sha256": at["pair"] * 9}}}
        inputs["weights"] = {"label": "mini"}
        write(folder, "config", {"terms": own | {"content": {"loss": "feature", "reference": "content"}}})
        write(folder, "provenance", {"inputs": inputs})
        rows = [
            {"step": s, "stage": 0, "seconds": s / 10, "evaluations": s, "total": 9 - s} for s in range(3)
        ]
        (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        if at["loss"] == "sliced & co" and at["seed"] == "1":
            write(folder, "failed", {"reason": "stopped at step 3: <nan>"})
            continue
        write(folder, "cost", {"steps": 2, "evaluations": 2, "seconds": 0.5 + i, "bytes": 10, "together": 1})
        losses = {of: {"relu1_1": share(at["loss"], of, int(at["seed"])), "relu2_1": None} for of in LOSSES}
        write(folder, "measures", {"losses": losses, "picture": {"ssim": 0.5 + i / 100, "clipped": None}})
        Image.new("RGB", (40, 30), (10 * i, 99, 200)).save(folder / "image.png")
    (tmp_path / "pictures").mkdir()
    Image.new("RGB", (8, 8), "red").save(tmp_path / "pictures" / f"{('coffee+one' * 9)[:16]}.jpg")
    return tmp_path


def write(folder, name, value):
    (folder / f"{name}.json").write_text(json.dumps(value))


def test_the_matrix_is_the_geometric_mean_over_repeats(workdir):
    made = planned()
    cross = results.cross_losses(made, results.collect(made, workdir))
    assert cross.columns == list(LOSSES) and cross.rows == list(LOSSES)
    assert cross.own == ["gram", "cmd", "histogram", "sliced & co"]
    mean = math.sqrt(1.1)
    np.testing.assert_allclose(cross.values[0][:1] + cross.values[0][2:3], [0.1 * mean, 0.4 * mean])
    # A missing and a failed repeat leave no number that would not be of the same repeats.
    assert cross.values[0][1] is None and cross.values[0][3] is None
    cross.values[2][1] = 0.05
    assert results.own_rank(cross)["histogram"] == (2, pytest.approx(0.4 * mean / 0.05))
    assert results.own_rank(cross)["gram"] == (1, 1.0)


def test_effects_are_of_the_same_repeats(workdir):
    made = planned()
    found = results.compare(made, results.collect(made, workdir))
    by = {(each.setting, each.measure): each for each in found}
    ssim = by["histogram", "ssim"]
    # Points are numbered loss by loss, four to each: every pair and seed is 8 later.
    assert ssim.kind == "difference" and ssim.effect.effect == pytest.approx(0.08)
    assert ssim.effect.noise == pytest.approx(0, abs=1e-9)
    assert ssim.effect.baseline == pytest.approx(0.515)
    gram = by["cmd", "gram"]
    assert gram.kind == "ratio" and gram.effect.effect == pytest.approx(4)
    assert gram.effect.verdict == "higher" and ("gram", "ssim") not in by
    assert by["sliced & co", "ssim"].effect.seeds == 1
    assert ("cmd", "clipped") not in by


def test_the_tables_hold_every_point(workdir):
    made = planned()
    points = results.collect(made, workdir)
    rows = list(csv.DictReader(results.results_csv(made, points).splitlines()))
    assert len(rows) == 16 and rows[0]["ssim"] == "0.5" and rows[0]["seconds"] == "0.5"
    status = {row["name"]: row["status"] for row in rows}
    assert status["loss=cmd,pair=chelsea+two,seed=1"] == "missing"
    assert status["loss=sliced_co,pair=coffee+one,seed=1"] == "failed"
    (failed,) = [row for row in rows if row["name"] == "loss=sliced_co,pair=coffee+one,seed=1"]
    assert failed["reason"] == "stopped at step 3: <nan>" and failed["ssim"] == ""
    crossed = list(csv.DictReader(results.cross_losses_csv(made, points).splitlines()))
    assert float(crossed[1]["gram"]) == pytest.approx(0.11) and crossed[1]["seed"] == "1"


def test_a_table_has_a_row_a_setting(workdir):
    made = planned()
    lines = results.table(made, results.collect(made, workdir), ["ssim", "gram"]).splitlines()
    assert lines[0] == "|  | ssim | gram | own row |" and lines[1] == "|---|---|---|---|"
    assert lines[2] == f"| gram | 0.515 | {0.1 * math.sqrt(1.1):.3g} | 1 |"
    assert lines[3] == "| cmd |  |  |  |"  # one of its points is missing
    assert len(lines) == 6
    with pytest.raises(UserError, match="measure 'sim' is unknown; did you mean 'ssim'"):
        results.table(made, results.collect(made, workdir), ["sim"])


def test_the_report_is_written_from_run_folders_alone(workdir):
    outputs = sweeps.write_report(workdir)
    page = outputs["page"].read_text()
    data = json.loads(page.split('id="data">')[1].split("</script>")[0])
    assert "16 points, 13 finished, 2 failed" in data["facts"]
    assert "2 points are not run" not in page and "1 points are not run yet" in page
    assert [source["at"] for source in data["sources"]] == [{"pair": "coffee+one"}, {"pair": "chelsea+two"}]
    assert [len(source["pictures"]) for source in data["sources"]] == [1, 0]
    point = data["points"][1]
    assert point["command"] == (
        "python -m experiments.sweep --config=x.py --only=loss=gram,pair=coffee+one,seed=1"
    )
    assert point["curves"]["terms"] == {"total": [9, 8, 7]} and point["measures"]["ssim"] == 0.51
    # No run wrote a report here, as none does of a transfer.
    assert point["full"] == "points/loss=gram,pair=coffee+one,seed=1/image.png" and point["report"] is None
    assert Image.open(outputs["grid"]).size[0] > 4 * 40
    (workdir / "sweep.json").unlink()
    with pytest.raises(UserError, match=r"holds no sweep\.json; expected the workdir of experiments\.sweep"):
        sweeps.write_report(workdir)


OTHER = b'{"losses": 3, "inputs": 1, "terms": 2}'
FILES = ("image.png", "metrics.jsonl", "provenance.json", "config.json", "measures.json", "cost.json")
# A run of no steps leaves no metrics, and any dict may be what a run has cost.
FINE = (("metrics.jsonl", b""), ("cost.json", OTHER))
DAMAGED = itertools.product(FILES, (b"", b"{", b"[]", b"null", b"3\n", OTHER))


@pytest.mark.parametrize("file, content", [each for each in DAMAGED if each not in FINE])
def test_a_damaged_point_has_failed_and_the_others_are_there(workdir, file, content, capfd):
    name = "loss=gram,pair=coffee+one,seed=0"
    (workdir / "points" / name / file).write_bytes(content)
    points = {point.name: point for point in results.collect(planned(), workdir)}
    damaged = points.pop(name)
    assert damaged.failed.startswith("damaged: ") and damaged.image is None
    assert sum(point.failed is None and point.image is not None for point in points.values()) == 12
    assert f"note: {name}: " in capfd.readouterr().err
    if content == b"" and file == "image.png":
        outputs = sweeps.write_report(workdir)
        assert "16 points, 12 finished, 3 failed" in outputs["page"].read_text()


@pytest.mark.parametrize("content", [b"{", b"[]", b"{}", b'{"title": 1, "command": 2}', b"null"])
def test_a_damaged_record_is_one_line(workdir, content):
    saved = json.loads((workdir / "sweep.json").read_text())
    for value in (
        content,
        json.dumps(saved | {"points": 3}).encode(),
        json.dumps(saved | {"points": [3]}).encode(),
    ):
        (workdir / "sweep.json").write_bytes(value)
        with pytest.raises(UserError, match=r"sweep\.json"):
            record.read(workdir)


def test_sheets_place_pictures_by_their_labels():
    red, blue = (Image.new("RGB", (20, 10), c) for c in ("red", "blue"))
    made = sheet.grid({("a", "x"): red, ("b", "y"): blue}, ["a", "b"], ["x", "y"], width=20)
    assert made.size == (46, 22 + 2 * 38 - 6)
    assert made.getpixel((10, 22 + 22 + 5)) == (255, 0, 0) and made.getpixel((36, 22 + 38 + 27)) == (
        0,
        0,
        255,
    )
    assert made.getpixel((36, 22 + 27)) == (255, 255, 255)
    assert sheet.flow([("", red)], 3).size == (20, 10) and sheet.flow([("a", red), ("b", blue)], 1).size == (
        20,
        70,
    )


def test_no_cell_of_a_table_is_a_formula():
    names = ["=1+1", "+a", "-b", "@c", "\td", "-1.5", "+2", "e=f", "g"]
    points = sweeps.factor("x", {name: {"size": i} for i, name in enumerate(names)})
    made = Design(points, {"x": "-1.5"}, ())
    there = [
        results.Point(name, at, failed="=cmd|' /C calc'!A0", cost={"seconds": -1.0}, losses={"@loss": -2.5})
        for name, at in made.labels.items()
    ]
    expected = ["'=1+1", "'+a", "'-b", "'@c", "'\td", "-1.5", "+2", "e=f", "g"]
    for text in (results.results_csv(made, there), results.cross_losses_csv(made, there)):
        rows = list(csv.DictReader(text.splitlines()))
        assert [row["x"] for row in rows] == expected
        assert {row["seconds"] for row in rows if "seconds" in row} <= {"-1.0"}
        assert {row["reason"] for row in rows if "reason" in row} <= {"'=cmd|' /C calc'!A0"}
    assert {row["'@loss"] for row in rows} == {"-2.5"}
