"""The folders of runs: written so that a run can be killed at any moment, with what its result depends on."""

from nstjax.folders.folder import RunFolder, hold

__all__ = ["RunFolder", "hold"]
