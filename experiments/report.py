"""Writes the report of a sweep again, from its run folders alone.

    python -m experiments.report --workdir=runs/showdown

--table=ssim,content,gram prints a Markdown table of those measures as well.
"""

from pathlib import Path

from absl import flags

from experiments import command
from nstjax import files
from nstjax.sweeps import report as sweepreport
from nstjax.sweeps import results

_WORKDIR = flags.DEFINE_string("workdir", None, "The folder of a sweep.")
_TABLE = flags.DEFINE_list("table", [], "Measures, as results.csv and cross_losses.csv have them.")


def main(_):
    lines = [f"{kind}: {path}" for kind, path in sweepreport.write(_WORKDIR.value).items()]
    if _TABLE.value:
        workdir = Path(_WORKDIR.value).expanduser()
        plan = files.read_json(workdir / "sweep.json")
        lines += ["", results.table(plan, results.collect(plan, workdir), _TABLE.value)]
    return "\n".join(lines)


if __name__ == "__main__":
    command.run(main, required=["workdir"])
