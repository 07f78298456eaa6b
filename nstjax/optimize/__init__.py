"""Optimising a picture: terms and their objective, methods, the loop, calibration."""

from nstjax.ops.gradients import FREE, Control
from nstjax.optimize._minimize import Minimized, minimize
from nstjax.optimize.calibrate import calibrate, tap_gradient_norms, term_gradient_norms
from nstjax.optimize.loop import (
    UNLIMITED,
    Batch,
    Plan,
    State,
    diagnose,
    initial_state,
    make_batch,
    next_scale,
    result,
    run_batch,
    run_chunk,
)
from nstjax.optimize.methods import OPTIMIZERS, SCHEDULES, make_method
from nstjax.optimize.objective import Objective, Problem, term_weights
from nstjax.optimize.targets import (
    REGIONS,
    WHOLE,
    Reference,
    Region,
    Term,
    averaged_taps,
    extract,
    make_targets,
    single_taps,
)

__all__ = [
    "FREE",
    "OPTIMIZERS",
    "REGIONS",
    "SCHEDULES",
    "UNLIMITED",
    "WHOLE",
    "Batch",
    "Control",
    "Minimized",
    "Objective",
    "Plan",
    "Problem",
    "Reference",
    "Region",
    "State",
    "Term",
    "averaged_taps",
    "calibrate",
    "diagnose",
    "extract",
    "initial_state",
    "make_batch",
    "make_method",
    "make_targets",
    "minimize",
    "next_scale",
    "result",
    "run_batch",
    "run_chunk",
    "single_taps",
    "tap_gradient_norms",
    "term_gradient_norms",
    "term_weights",
]
