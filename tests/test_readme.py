"""What the README shows runs, and what it names exists."""

import re
from pathlib import Path

from nstjax import images, losses
from nstjax.networks import pretrained

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def test_python_snippets_run():
    snippets = re.findall(r"```python\n(.*?)```", README, re.S)
    assert snippets
    for snippet in snippets:
        exec(compile(snippet, "README.md", "exec"), {})


def test_configs_pictures_weights_and_files_exist():
    table = README.split("## Experiments")[1].split("Arguments follow")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", table, re.M)) == {
        p.stem for p in (ROOT / "configs").glob("*.py")
    }
    examples = README.split("`example:NAME`")[1].split("![")[0]
    assert set(re.findall(r"`(\w+)`", examples)) == set(images.example_names())
    sets = README.split("| `--config.weights=`")[1].split("Preprocessing belongs")[0]
    assert all(f"`{name}`" in sets for name in pretrained.NAMES)
    for path in re.findall(r"\]\(([^)#]+)\)|`((?:docs|nstjax|tests)/[\w./]+)`", README):
        assert (ROOT / "".join(path)).exists(), path


def test_every_loss_is_listed():
    table = README.split("| `nstjax.losses` |")[1].split("\n\n")[0]
    assert set(re.findall(r"`(\w+)`", table)) == set(losses.__all__) - {"Loss"}


def test_every_make_target_that_is_named_exists():
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.M))
    assert set(re.findall(r"make ([\w-]+)", README)) <= targets
