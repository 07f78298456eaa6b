"""Trains what a config says: a network that stylizes, or decoders; each resumes from its last checkpoint.

python -m experiments.train --config=configs/johnson2016.py --config.data=photographs \\
    --workdir=runs/johnson2016
python -m experiments.train --config=configs/decoder.py --config.weights=vgg19 --config.data=photographs \\
    --workdir=runs/decoders

With --distributed, processes on several machines train one network: start the same command in each, with
--coordinator, --processes and --process where no cluster manager tells JAX about them.
"""

import jax
from absl import flags
from ml_collections import config_flags

from experiments import command
from nstjax import files, runs
from nstjax.errors import UserError
from nstjax.training import recipe

_CONFIG = config_flags.DEFINE_config_file("config", None, "The recipe.", lock_config=True)
_WORKDIR = command.define_path("workdir", "The folder to make, or to resume.")
_RESTART = flags.DEFINE_bool("restart", False, "Replace the network that is in the workdir.")
_DISTRIBUTED = flags.DEFINE_bool("distributed", False, "Train one network with others of this command.")
_COORDINATOR = flags.DEFINE_string("coordinator", None, "HOST:PORT of the first process.")
_PROCESSES = flags.DEFINE_integer("processes", None, "How many processes there are.", lower_bound=1)
_PROCESS = flags.DEFINE_integer("process", None, "Which of them this is, from 0.", lower_bound=0)


def _join():
    """Waits for the other processes."""
    try:
        jax.distributed.initialize(_COORDINATOR.value, _PROCESSES.value, _PROCESS.value)
    except (ValueError, RuntimeError) as error:
        raise UserError(
            f"distributed: {str(error).splitlines()[0]}; expected a cluster manager that JAX knows, or "
            "--coordinator=HOST:PORT --processes=N --process=I"
        ) from None


def main(_):
    config = _CONFIG.value
    if _DISTRIBUTED.value:
        if config.get("method") != "train":
            raise UserError("distributed: processes share the training of a network that stylizes alone")
        _join()
        if jax.process_index():
            runs.follow(config)
            return "the first process has the network"
    if config.get("method") == "train":
        outputs = runs.run(config, _WORKDIR.value, command.line(), restart=_RESTART.value)
        return "\n".join(f"{name}: {path}" for name, path in outputs.items())
    if "method" in config:
        raise UserError(f"method {config.method!r}: expected a network's, such as configs/johnson2016.py")
    outputs = recipe.make_decoders(*recipe.load_decoders(config, _WORKDIR.value, command.line()))
    return "\n".join(f"{k}: {path}  SHA-256 {files.file_hash(path, 'sha256')}" for k, path in outputs.items())


if __name__ == "__main__":
    command.run(main, required=["config", "workdir"])
