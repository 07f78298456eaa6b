"""Who may import whom, and what `import nstjax.losses` loads."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "nstjax"
STANDARD = set(sys.stdlib_module_names)
# The import column of docs/design.md: what each part may import beside the standard library.
MAY_IMPORT = {
    "losses": {"jax", "nstjax.losses", "nstjax.transforms", "nstjax.moments", "nstjax.points", "nstjax.shapes"},
    "transforms": {"jax", "nstjax.transforms", "nstjax.moments", "nstjax.points", "nstjax.shapes"},
    "moments.py": {"jax"},
    "points.py": {"jax"},
    "shapes.py": {"jax"},
    "vgg.py": {"jax", "flax", "numpy", "nstjax.errors"},
    "nets.py": {"jax", "flax", "nstjax.vgg"},
    "weights.py": {
        *("jax", "flax", "numpy", "h5py", "safetensors"),
        *("nstjax.fetch", "nstjax.torch_file", "nstjax.io", "nstjax.nets", "nstjax.vgg", "nstjax.errors"),
    },
    "fetch.py": {"tqdm", "platformdirs", "nstjax.errors"},
    "levels.py": {
        "jax",
        "numpy",
        "nstjax.io",
        "nstjax.nets",
        "nstjax.torch_file",
        "nstjax.vgg",
        "nstjax.weights",
        "nstjax.errors",
    },
    "torch_file.py": {"numpy", "nstjax.errors"},
    "errors.py": set(),
    "config.py": {"ml_collections", "nstjax.errors"},
    "presets.py": {"nstjax.config", "nstjax.vgg", "nstjax.errors"},
    "checks.py": {"nstjax.vgg", "nstjax.errors"},
    "memory.py": {"jax", "nstjax.vgg", "nstjax.errors"},
    "control.py": {"jax"},
    "objective.py": {"jax", "nstjax.control", "nstjax.losses", "nstjax.transforms"},
    "optimize.py": {"jax", "numpy", "optax", "nstjax.errors", "nstjax.objective"},
    "masks.py": {"jax", "nstjax.vgg"},
    "terms.py": {
        *("nstjax.checks", "nstjax.control", "nstjax.losses", "nstjax.transforms", "nstjax.objective"),
        "nstjax.errors",
    },
    "regions.py": {"jax", "nstjax.io", "nstjax.masks", "nstjax.objective", "nstjax.errors"},
    "io.py": {"numpy", "PIL", "nstjax.errors"},
    "runfolder.py": {"jax", "numpy", "nstjax.checkpoints", "nstjax.io", "nstjax.errors"},
    "checkpoints.py": {"jax", "numpy", "orbax"},
    "experiment.py": {
        *("jax", "nstjax.io", "nstjax.regions", "nstjax.terms", "nstjax.vgg", "nstjax.weights"),
        *("nstjax.checks", "nstjax.memory", "nstjax.errors", "nstjax.objective", "nstjax.optimize"),
        "nstjax.provenance",
    },
    "run.py": {
        *("jax", "numpy", "tqdm", "nstjax.experiment", "nstjax.io", "nstjax.optimize"),
        *("nstjax.errors", "nstjax.report", "nstjax.runfolder"),
    },
    "sweep.py": {"ml_collections", "nstjax.errors"},
    "kinds.py": {
        *("jax", "nstjax.experiment", "nstjax.io", "nstjax.memory", "nstjax.run", "nstjax.universalrun"),
        *("nstjax.objective", "nstjax.scoring"),
    },
    "sweeprun.py": {
        *("jax", "tqdm", "nstjax.experiment", "nstjax.io", "nstjax.kinds", "nstjax.errors"),
        "nstjax.runfolder",
    },
    "universal.py": {"jax", "nstjax.levels", "nstjax.masks", "nstjax.transforms"},
    "tiled.py": {"jax", "numpy", "nstjax.moments", "nstjax.transforms", "nstjax.universal", "nstjax.vgg"},
    "universalrun.py": {
        *("jax", "numpy", "nstjax.checks", "nstjax.experiment", "nstjax.io", "nstjax.levels", "nstjax.masks"),
        *("nstjax.memory", "nstjax.nets", "nstjax.provenance", "nstjax.regions", "nstjax.run"),
        *("nstjax.runfolder", "nstjax.terms", "nstjax.tiled", "nstjax.transforms", "nstjax.universal"),
        *("nstjax.errors", "nstjax.vgg", "nstjax.weights"),
    },
    "universalbatch.py": {
        *("numpy", "PIL", "tqdm", "nstjax.data", "nstjax.experiment", "nstjax.io", "nstjax.run"),
        *("nstjax.runfolder", "nstjax.sheet", "nstjax.universalrun", "nstjax.errors"),
    },
    "provenance.py": {"jax"},
    "textures.py": {"numpy"},
    "data.py": {"numpy", "grain", "PIL", "nstjax.io", "nstjax.textures", "nstjax.errors"},
    "train.py": {"jax", "numpy", "optax", "grain", "tqdm", "nstjax.errors"},
    "distill.py": {
        *("jax", "numpy", "nstjax.io", "nstjax.levels", "nstjax.vgg", "nstjax.weights"),
    },
    "reconstruct.py": {"jax", "nstjax.nets"},
    "recipe.py": {
        *("jax", "nstjax.checks", "nstjax.data", "nstjax.io", "nstjax.nets", "nstjax.provenance"),
        *("nstjax.reconstruct", "nstjax.runfolder", "nstjax.train", "nstjax.vgg", "nstjax.weights"),
        "nstjax.errors",
    },
    "mini.py": {
        *("jax", "numpy", "nstjax.checks", "nstjax.distill", "nstjax.fetch", "nstjax.io", "nstjax.recipe"),
        *("nstjax.vgg", "nstjax.weights", "nstjax.errors"),
    },
    "fidelity.py": {
        *("jax", "numpy", "nstjax.distill", "nstjax.losses", "nstjax.objective", "nstjax.optimize"),
    },
    "metrics.py": {"jax"},
    "scoring.py": {
        *("jax", "ml_collections", "PIL", "tqdm", "nstjax.experiment", "nstjax.io", "nstjax.metrics"),
        *("nstjax.presets", "nstjax.terms", "nstjax.config", "nstjax.objective"),
    },
    "results.py": {"numpy", "nstjax.io", "nstjax.statistics", "nstjax.errors"},
    "page.py": set(),
    "sheet.py": {"PIL"},
    "sweepreport.py": {
        *("PIL", "nstjax.io", "nstjax.page", "nstjax.results", "nstjax.scoring", "nstjax.sheet"),
        "nstjax.errors",
    },
    "statistics.py": {"numpy"},
    "report.py": {"numpy", "matplotlib", "PIL", "nstjax.io"},
    "__init__.py": set(),
}


def imported(path):
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            if node.module == "nstjax":
                names |= {f"nstjax.{alias.name}" for alias in node.names}
            else:
                names.add(node.module)
    return names


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_a_part_imports_what_the_design_lets_it(path):
    allowed = MAY_IMPORT[path.relative_to(PACKAGE).parts[0]]
    for name in imported(path):
        top = name.split(".")[0]
        if top in STANDARD:
            continue
        if top == "nstjax":
            assert any(name == a or name.startswith(a + ".") for a in allowed - {"nstjax"}), name
        else:
            assert top in allowed, name


def test_losses_load_jax_alone():
    code = "import nstjax.losses, sys; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    tops = {name.split(".")[0] for name in loaded.stdout.split()}
    assert "jax" in tops
    heavy = ["flax", "PIL", "orbax", "ml_collections", "optax", "h5py", "matplotlib", "absl", "tqdm", "grain"]
    assert not tops & set(heavy)


def test_every_file_of_the_package_is_in_the_design():
    design = (PACKAGE.parent / "docs" / "design.md").read_text()
    for path in PACKAGE.glob("*.py"):
        if path.name != "__init__.py":
            assert f"nstjax/{path.name}" in design, path.name
