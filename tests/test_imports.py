"""Who may import whom, as docs/design.md says, and what `import nstjax.losses` loads."""

import ast
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "nstjax"
DESIGN = (ROOT / "docs" / "design.md").read_text()
STANDARD = set(sys.stdlib_module_names)


def table():
    """{package: what it may import} of the table of parts."""
    rows = re.findall(r"^\| `(\w+)` \| [^|]+ \|([`\w ]*)\|([\w ]*)\|$", DESIGN, re.MULTILINE)
    return {
        package: {package, *re.findall(r"`(\w+)`", packages), *libraries.split()}
        for package, packages, libraries in rows
    }


MAY_IMPORT = table()
FILES = [path for path in sorted(PACKAGE.rglob("*.py")) if path != PACKAGE / "__init__.py"]


def part_of(path):
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(path):
    """Names of packages of nstjax and of libraries that a file imports anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            inner = node.module == "nstjax"
            names = [f"nstjax.{alias.name}" for alias in node.names] if inner else [node.module]
        for name in names:
            top, *rest = name.split(".")
            yield rest[0] if top == "nstjax" else top


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_part_imports_what_the_design_lets_it(path):
    assert set(imported(path)) - STANDARD <= MAY_IMPORT[part_of(path)]


def test_the_table_is_the_package_and_asks_for_no_more_than_is_used():
    used = {}
    for path in FILES:
        used.setdefault(part_of(path), {part_of(path)}).update(set(imported(path)) - STANDARD)
    assert used == MAY_IMPORT


def test_every_path_of_the_design_exists():
    for path in re.findall(r"`((?:nstjax/)?\w+/\w+\.py)`", DESIGN):
        assert (ROOT / path).exists() or (PACKAGE / path).exists(), path


@pytest.mark.parametrize("package", ["losses", "transforms"])
def test_no_public_name_is_a_module_and_a_function(package):
    public = importlib.import_module(f"nstjax.{package}")
    files = {path.stem for path in (PACKAGE / package).glob("*.py")}
    assert not files & set(public.__all__)
    assert all(name.startswith("_") for name in files)


def test_losses_load_jax_alone():
    code = "import nstjax.losses, sys; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    tops = {name.split(".")[0] for name in loaded.stdout.split()}
    assert "jax" in tops
    heavy = ["flax", "PIL", "orbax", "ml_collections", "optax", "h5py", "matplotlib", "absl", "tqdm", "grain"]
    assert not tops & set(heavy)
