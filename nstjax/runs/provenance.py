"""The inputs of a result and the programs that made it."""

import subprocess
from importlib import metadata
from pathlib import Path

import jax

_PACKAGES = ("nstjax", "jax", "jaxlib", "flax", "optax", "numpy", "pillow")


def describe(inputs, command="", notes=()):
    """A dict for `provenance.json`.

    Args:
      inputs: everything that the result depends on, a dict for JSON.
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


def _version(name):
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"


def _git_commit():
    folder = Path(__file__).parent
    try:
        head = subprocess.run(
            ["git", "-C", folder, "rev-parse", "HEAD"], capture_output=True, text=True, timeout=10
        )
        dirty = subprocess.run(
            ["git", "-C", folder, "status", "--porcelain"],
            capture_output=True,
            text=True,
            timeout=10,
        )
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    if head.returncode:
        return "unknown"
    return head.stdout.strip() + (" with changes" if dirty.stdout.strip() else "")
