"""Writes the report of a sweep again, from its run folders alone.

    python -m experiments.report --workdir=runs/showdown

--table=ssim,content,gram prints a Markdown table of those measures as well.
"""

from absl import flags

from experiments import command
from nstjax import sweeps
from nstjax.sweeps import record, results

_WORKDIR = command.define_path("workdir", "The folder of a sweep.")
_TABLE = flags.DEFINE_list("table", [], "Measures, as results.csv and cross_losses.csv have them.")


def main(_):
    lines = [f"{name}: {path}" for name, path in sweeps.write_report(_WORKDIR.value).items()]
    if _TABLE.value:
        workdir = _WORKDIR.value
        design = record.read(workdir).design
        lines += ["", results.table(design, results.collect(design, workdir), _TABLE.value)]
    return "\n".join(lines)


if __name__ == "__main__":
    command.run(main, required=["workdir"])
