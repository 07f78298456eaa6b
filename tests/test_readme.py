"""What the documentation shows runs, and what it names exists."""

import re
import runpy
import textwrap
import unicodedata
from pathlib import Path

import pytest

from nstjax import images, losses, transforms
from nstjax.config import default_config
from nstjax.losses._gram import CONVENTIONS
from nstjax.networks import pretrained
from tools import api

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
PAGES = {
    str(path.relative_to(ROOT)): path.read_text()
    for path in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md")))
}
BLOCKS = [
    pytest.param(page, textwrap.dedent(block[2]), id=f"{page}:{text.count(chr(10), 0, block.start()) + 1}")
    for page, text in PAGES.items()
    for block in re.finditer(r"^( *)```python\n(.*?)^\1```", text, re.S | re.M)
]
PLACES = "benchmarks|configs|docs|experiments|nstjax|requirements|tests|tools"


@pytest.mark.parametrize("page, code", BLOCKS)
def test_python_blocks_run(page, code, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(compile(code, page, "exec"), {"__name__": "block"})


def test_the_readme_has_python_blocks_and_keeps_to_its_size():
    assert README.count("```python") >= 2
    lines = README.splitlines()
    assert len(lines) <= 170 and max(map(len, lines)) <= 100


def first_cells(table):
    """The names in the first column of a Markdown table, in order."""
    return [name for row in table.splitlines() for name in re.findall(r"`([^`]+)`", row.split("|")[1])]


def table_of(text, head):
    """The rows below the first table whose head begins so."""
    return text.split(f"\n{head}", 1)[1].split("\n\n")[0].split("|---", 1)[1].split("\n", 1)[1]


@pytest.mark.parametrize("page, head", [("README.md", "| config |"), ("docs/experiments.md", "| config |")])
def test_every_config_is_listed(page, head):
    named = first_cells(table_of(PAGES[page], head))
    assert sorted(named) == sorted(path.stem for path in (ROOT / "configs").glob("*.py"))


def test_every_loss_and_transform_is_listed():
    named = first_cells(table_of(README, "| `nstjax.losses` |"))
    assert sorted(named) == sorted(set(losses.__all__) - {"Loss"})
    count = re.search(r"\[(\d+) losses\]", README)
    assert int(count[1]) == len(named)
    named = re.search(r"`nstjax.transforms` has (.*?)\.", README, re.S)[1]
    assert set(re.findall(r"`(\w+)`", named)) == set(transforms.__all__) - {"Transform"}


def test_every_convention_is_listed():
    assert sorted(first_cells(table_of(PAGES["docs/own_code.md"], "| `convention` |"))) == sorted(CONVENTIONS)


def test_every_picture_and_weight_set_is_listed():
    page = PAGES["docs/pictures_and_weights.md"]
    examples = page.split("`example:NAME`")[1].split("![")[0]
    assert set(re.findall(r"`(\w+)`", examples)) == set(images.example_names())
    named = first_cells(table_of(page, "| `--config.weights=` |"))
    assert sorted(named) == sorted(pretrained.NAMES)


def test_every_make_target_that_is_named_exists():
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.M))
    for page, text in PAGES.items():
        code = "\n".join(re.findall(r"```.*?```|`[^`]+`", text, re.S))
        assert set(re.findall(r"\bmake ([\w-]+)", code)) <= targets, page


def anchors(text):
    """The anchors that GitHub gives the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", re.sub(r"```.*?```", "", text, flags=re.S), re.M)
    plain = (unicodedata.normalize("NFC", heading).lower().replace("`", "") for heading in headings)
    return {re.sub(r"[^\w\- ]", "", heading).replace(" ", "-") for heading in plain}


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    text = re.sub(r"```.*?```", "", PAGES[page], flags=re.S)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"https?:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (ROOT / page).parent / path if path else ROOT / page
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target.read_text()), link


@pytest.mark.parametrize("page", PAGES)
def test_paths_and_modules_that_are_named_exist(page):
    for path in re.findall(rf"(?<![\w./])((?:{PLACES})/[\w./-]*\w)", PAGES[page]):
        made = re.search(r"\b_?name\.py$", path)  # of the steps that add one
        assert made or (ROOT / path).exists() or (ROOT / f"{path}/").is_dir(), path
    for module in re.findall(r"python -m ([\w.]+)", PAGES[page]):
        if module != "pytest":
            path = ROOT / module.replace(".", "/")
            assert path.with_suffix(".py").exists() or (path / "__main__.py").exists(), module


def test_keys_of_configs_that_are_named_exist():
    configs = [default_config()]
    for name in ("wct", "decoder", "paintings"):
        configs.append(runpy.run_path(str(ROOT / "configs" / f"{name}.py"))["get_config"]())
    keys = {key for config in configs for key in config}
    for page, text in PAGES.items():
        assert set(re.findall(r"--config\.(\w+)", text)) - {"KEY"} <= keys, page


def test_every_page_is_linked():
    linked = {link for text in PAGES.values() for link in re.findall(r"\]\((?:docs/)?([\w.]+\.md)", text)}
    assert {Path(page).name for page in PAGES} - {"README.md"} <= linked


@pytest.mark.parametrize("page", [page for page in PAGES if page != "README.md"])
def test_a_page_begins_with_what_a_reader_learns(page):
    first = PAGES[page].split("\n\n")[1]
    assert page == "docs/design.md" or re.match(r"This page \w+s .*\.$", first, re.S)


def test_the_list_of_public_names_is_up_to_date():
    assert PAGES["docs/api.md"] == api.page(), "run python -m tools.api"
