"""What a result depends on and what it was made with."""

import subprocess
from importlib import metadata
from pathlib import Path

import jax

_PACKAGES = ("nstjax", "jax", "jaxlib", "flax", "optax", "numpy", "pillow")


def describe(inputs, command="", notes=()):
    """A dict for `provenance.json`.

    Args:
      inputs: what the result depends on, a dict for JSON.
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


def inputs(work, network, seed, further=None):
    """What a picture depends on, for `describe`.

    Args:
      work: with `content`, a `Picture` or None, `styles` and `labels`, `LabelPictures` or None.
      network: with `label` and `sha256`.
      seed: a number.
      further: {name: `Picture`} that it is made of besides.
    """
    pictures = {"content": work.content} if work.content else {}
    pictures |= {f"style {i}": p for i, p in enumerate(work.styles)} | (further or {})
    if work.labels:
        pictures["content mask"] = work.labels.canvas
        pictures |= {f"style mask {i}": p for i, p in enumerate(work.labels.styles)}
    return {
        "weights": {"label": network.label, "sha256": network.sha256},
        "pictures": {k: {"name": p.name, "sha256": p.sha256} for k, p in pictures.items()},
        "seed": seed,
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
