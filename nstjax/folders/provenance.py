"""The inputs of a result and the programs that made it."""

import subprocess
from importlib import metadata
from pathlib import Path

import jax

_PACKAGES = ("nstjax", "jax", "jaxlib", "flax", "optax", "numpy", "pillow")


def describe(inputs, command="", notes=()):
    """A dict for `provenance.json`.

    Args:
      inputs: everything that the result depends on, `precision` among it, a dict for JSON.
      command: the command line, for people.
      notes: lines about the inputs, for people.
    """
    device = jax.local_devices()[0]
    return {
        "inputs": inputs,
        "notes": list(notes),
        "versions": {name: _version(name) for name in _PACKAGES},
        "device": f"{device.platform}: {device.device_kind} x {jax.local_device_count()}",
        "git_commit": _git_commit(),
        "command": command,
    }


def precision() -> dict:
    """What JAX's settings make of floats: {"x64": bool, "matmul": name or None}."""
    return {"x64": jax.config.jax_enable_x64, "matmul": jax.config.jax_default_matmul_precision}


def _version(name):
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"


def _git_commit():
    """The commit of the repository that this file is part of; "unknown" for an installed package."""
    here = Path(__file__)

    def git(*arguments):
        line = ["git", "-C", here.parent, *arguments]
        return subprocess.run(line, capture_output=True, text=True, timeout=10, check=True).stdout.strip()

    try:
        git("ls-files", "--error-unmatch", here.name)
        changed = git("status", "--porcelain")
        return git("rev-parse", "HEAD") + (" with changes" if changed else "")
    except (OSError, subprocess.SubprocessError):
        return "unknown"
