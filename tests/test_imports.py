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
    "losses": {
        "jax",
        "nstjax.losses",
        "nstjax.transforms",
        "nstjax.ops.moments",
        "nstjax.ops.samples",
        "nstjax.ops.shapes",
    },
    "transforms": {
        "jax",
        "nstjax.transforms",
        "nstjax.ops.moments",
        "nstjax.ops.samples",
        "nstjax.ops.shapes",
    },
    "moments.py": {"jax"},
    "points.py": {"jax"},
    "shapes.py": {"jax"},
    "vgg.py": {"jax", "flax", "numpy", "nstjax.errors"},
    "nets.py": {"jax", "flax", "nstjax.networks.vgg"},
    "weights.py": {
        *("jax", "flax", "numpy", "h5py", "safetensors"),
        *(
            "nstjax.networks.download",
            "nstjax.networks.torch_file",
            "nstjax.images",
            "nstjax.networks.decoder",
            "nstjax.networks.vgg",
            "nstjax.errors",
        ),
    },
    "fetch.py": {"tqdm", "platformdirs", "nstjax.errors"},
    "levels.py": {
        "jax",
        "numpy",
        "nstjax.images",
        "nstjax.networks.decoder",
        "nstjax.networks.torch_file",
        "nstjax.networks.vgg",
        "nstjax.networks",
        "nstjax.errors",
    },
    "torch_file.py": {"numpy", "nstjax.errors"},
    "errors.py": set(),
    "config.py": {"ml_collections", "nstjax.errors"},
    "presets.py": {"nstjax.config", "nstjax.networks.vgg", "nstjax.errors"},
    "checks.py": {"nstjax.networks.vgg", "nstjax.errors"},
    "memory.py": {"jax", "nstjax.networks.vgg", "nstjax.errors"},
    "control.py": {"jax"},
    "objective.py": {"jax", "nstjax.ops.gradients", "nstjax.losses", "nstjax.transforms"},
    "optimize.py": {"jax", "numpy", "optax", "nstjax.errors", "nstjax.optimize"},
    "masks.py": {"jax", "nstjax.networks.vgg"},
    "terms.py": {
        *(
            "nstjax.runs.validate",
            "nstjax.ops.gradients",
            "nstjax.losses",
            "nstjax.transforms",
            "nstjax.optimize",
        ),
        "nstjax.errors",
    },
    "regions.py": {"jax", "nstjax.images", "nstjax.networks.masks", "nstjax.optimize", "nstjax.errors"},
    "io.py": {"numpy", "PIL", "nstjax.errors"},
    "runfolder.py": {"jax", "numpy", "nstjax.runs.checkpoints", "nstjax.images", "nstjax.errors"},
    "checkpoints.py": {"jax", "numpy", "orbax"},
    "experiment.py": {
        *(
            "jax",
            "nstjax.images",
            "nstjax.runs.regions",
            "nstjax.runs.terms",
            "nstjax.networks.vgg",
            "nstjax.networks",
        ),
        *(
            "nstjax.runs.validate",
            "nstjax.runs.memory",
            "nstjax.errors",
            "nstjax.optimize",
            "nstjax.optimize",
        ),
        "nstjax.runs.provenance",
    },
    "run.py": {
        *("jax", "numpy", "tqdm", "nstjax.runs.experiment", "nstjax.images", "nstjax.optimize"),
        *("nstjax.errors", "nstjax.runs.report", "nstjax.runs.folder"),
    },
    "sweep.py": {"ml_collections", "nstjax.errors"},
    "kinds.py": {
        *(
            "jax",
            "nstjax.runs.experiment",
            "nstjax.images",
            "nstjax.runs.memory",
            "nstjax.runs.run",
            "nstjax.runs.transfer",
        ),
        *("nstjax.optimize", "nstjax.sweeps.measure"),
    },
    "sweeprun.py": {
        *("jax", "tqdm", "nstjax.runs.experiment", "nstjax.images", "nstjax.sweeps.kinds", "nstjax.errors"),
        "nstjax.runs.folder",
    },
    "universal.py": {"jax", "nstjax.universal.levels", "nstjax.networks.masks", "nstjax.transforms"},
    "tiled.py": {
        "jax",
        "numpy",
        "nstjax.ops.moments",
        "nstjax.transforms",
        "nstjax.universal",
        "nstjax.networks.vgg",
    },
    "universalrun.py": {
        *(
            "jax",
            "numpy",
            "nstjax.runs.validate",
            "nstjax.runs.experiment",
            "nstjax.images",
            "nstjax.universal.levels",
            "nstjax.networks.masks",
        ),
        *(
            "nstjax.runs.memory",
            "nstjax.networks.decoder",
            "nstjax.runs.provenance",
            "nstjax.runs.regions",
            "nstjax.runs.run",
        ),
        *(
            "nstjax.runs.folder",
            "nstjax.runs.terms",
            "nstjax.universal.tiled",
            "nstjax.transforms",
            "nstjax.universal",
        ),
        *("nstjax.errors", "nstjax.networks.vgg", "nstjax.networks"),
    },
    "universalbatch.py": {
        *(
            "numpy",
            "PIL",
            "tqdm",
            "nstjax.training.data",
            "nstjax.runs.experiment",
            "nstjax.images",
            "nstjax.runs.run",
        ),
        *("nstjax.runs.folder", "nstjax.images.sheet", "nstjax.runs.transfer", "nstjax.errors"),
    },
    "provenance.py": {"jax"},
    "textures.py": {"numpy"},
    "data.py": {"numpy", "grain", "PIL", "nstjax.images", "nstjax.images.textures", "nstjax.errors"},
    "train.py": {"jax", "numpy", "optax", "grain", "tqdm", "nstjax.errors"},
    "distill.py": {
        *(
            "jax",
            "numpy",
            "nstjax.images",
            "nstjax.universal.levels",
            "nstjax.networks.vgg",
            "nstjax.networks",
        ),
    },
    "reconstruct.py": {"jax", "nstjax.networks.decoder"},
    "recipe.py": {
        *(
            "jax",
            "nstjax.runs.validate",
            "nstjax.training.data",
            "nstjax.images",
            "nstjax.networks.decoder",
            "nstjax.runs.provenance",
        ),
        *(
            "nstjax.training.reconstruction",
            "nstjax.runs.folder",
            "nstjax.training.loop",
            "nstjax.networks.vgg",
            "nstjax.networks",
        ),
        "nstjax.errors",
    },
    "mini.py": {
        *(
            "jax",
            "numpy",
            "nstjax.runs.validate",
            "nstjax.training.distillation",
            "nstjax.networks.download",
            "nstjax.images",
            "nstjax.training.recipe",
        ),
        *("nstjax.networks.vgg", "nstjax.networks", "nstjax.errors"),
    },
    "fidelity.py": {
        *(
            "jax",
            "numpy",
            "nstjax.training.distillation",
            "nstjax.losses",
            "nstjax.optimize",
            "nstjax.optimize",
        ),
    },
    "metrics.py": {"jax"},
    "scoring.py": {
        *(
            "jax",
            "ml_collections",
            "PIL",
            "tqdm",
            "nstjax.runs.experiment",
            "nstjax.images",
            "nstjax.metrics",
        ),
        *("nstjax.presets", "nstjax.runs.terms", "nstjax.config", "nstjax.optimize"),
    },
    "results.py": {"numpy", "nstjax.images", "nstjax.sweeps.effects", "nstjax.errors"},
    "page.py": set(),
    "sheet.py": {"PIL"},
    "sweepreport.py": {
        *(
            "PIL",
            "nstjax.images",
            "nstjax.sweeps.page",
            "nstjax.sweeps.results",
            "nstjax.sweeps.measure",
            "nstjax.images.sheet",
        ),
        "nstjax.errors",
    },
    "statistics.py": {"numpy"},
    "report.py": {"numpy", "matplotlib", "PIL", "nstjax.images"},
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
