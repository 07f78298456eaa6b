"""Many runs that differ in what is compared, and their report: `sweeps.run(config, design, workdir)`."""

from nstjax.sweeps._run import Options, load
from nstjax.sweeps._run import run as run
from nstjax.sweeps.batches import Summary, run_points
from nstjax.sweeps.design import (
    Design,
    Factor,
    Level,
    chained,
    configs,
    factor,
    fixed,
    pairs,
    pairs_of,
    product,
    read_pairs,
    zipped,
)
from nstjax.sweeps.measure import measure_points
from nstjax.sweeps.report import write as write_report

__all__ = [
    "Design",
    "Factor",
    "Level",
    "Options",
    "Summary",
    "chained",
    "configs",
    "factor",
    "fixed",
    "load",
    "measure_points",
    "pairs",
    "pairs_of",
    "product",
    "read_pairs",
    "run",
    "run_points",
    "write_report",
    "zipped",
]
