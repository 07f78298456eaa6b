"""A config to a run folder: `runs.run(config, workdir)`."""

from nstjax.runs._run import LOADERS, follow, load, outcome_files
from nstjax.runs._run import run as run
from nstjax.runs.base import Outcome, Run, Subject
from nstjax.runs.cache import Cache

__all__ = ["LOADERS", "Cache", "Outcome", "Run", "Subject", "follow", "load", "outcome_files", "run"]
