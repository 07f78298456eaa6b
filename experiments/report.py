"""Writes the report of a sweep again, from its run folders alone.

python -m experiments.report --workdir=runs/showdown
"""

from absl import flags

from experiments import command
from nstjax import sweepreport

_WORKDIR = flags.DEFINE_string("workdir", None, "The folder of a sweep.")


def main(_):
    return "\n".join(f"{kind}: {path}" for kind, path in sweepreport.write(_WORKDIR.value).items())


if __name__ == "__main__":
    command.run(main, required=["workdir"])
