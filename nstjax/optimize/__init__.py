"""Optimising a picture: terms and their objective, the loop, its methods."""

from nstjax.optimize.loop import *  # noqa: F403
from nstjax.optimize.loop import OPTIMIZERS, UNLIMITED, Plan, run_chunk, run_lanes  # noqa: F401
