"""The ratios of benchmarks that the repository keeps, and what differs from them.

Ratios of programs that ran in turns hold from one machine of a kind to the next, where times do not.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from nstjax import files

KEPT = Path(__file__).parents[1] / "docs" / "bench.json"
MARGIN = 0.15  # by which a ratio may differ from run to run, as a share
_NAMES = ("network", "widths", "size", "pair", "terms", "loss", "command", "what", "program")
_LAYERS = ("channels", "features")


def ratios_of(rows: Sequence[Mapping]) -> dict[str, float]:
    """{name: "ratio"} of the rows that have one; a name is what the row is of."""
    return {
        " ".join(str(row[key]) for key in (*_NAMES, *_LAYERS) if key in row): round(float(row["ratio"]), 3)
        for row in rows
        if row.get("ratio") is not None
    }


def changed(kind: str, found: Mapping[str, float], path: Path = KEPT) -> list[str]:
    """A line for each ratio of a kind that differs by more than `MARGIN` from the one that is kept."""
    kept = files.read_json(path)["kinds"].get(kind, {"ratios": {}})["ratios"] if path.exists() else {}
    return [
        f"{kind}, {name}: {ratio:.2f}, was {kept[name]:.2f}"
        for name, ratio in found.items()
        if name in kept and not 1 / (1 + MARGIN) <= ratio / kept[name] <= 1 + MARGIN
    ]


def keep(kind: str, head: Mapping, found: Mapping[str, float], path: Path = KEPT) -> None:
    """Writes the ratios of a kind beside the machine that they are of, with earlier ones of that machine."""
    kept = files.read_json(path) if path.exists() else {"margin": MARGIN, "kinds": {}}
    before = kept["kinds"].get(kind, {})
    same = all(before.get(key) == value for key, value in head.items())
    ratios = (before["ratios"] if same and before else {}) | dict(found)
    kept["kinds"] |= {kind: {**head, "ratios": ratios}}
    files.write_json(path, kept)
