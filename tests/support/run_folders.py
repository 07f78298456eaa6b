"""What a run left in its folder, and whether two runs left the same."""

import json


def content_of(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def metrics(folder):
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in row.items() if key != "seconds"} for row in rows]


def same_result(folder, other):
    assert (folder / "image.png").read_bytes() == (other / "image.png").read_bytes()
    assert metrics(folder) == metrics(other)
    assert {p.name for p in folder.iterdir()} == {p.name for p in other.iterdir()} - {"checkpoints"}
    assert [p.name for p in folder.rglob(".*")] == [".lock"]
