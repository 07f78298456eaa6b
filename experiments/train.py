"""Trains what a config says: a network that stylizes, or decoders; each resumes from its last checkpoint.

python -m experiments.train --config=configs/johnson2016.py --config.data=photographs \\
    --workdir=runs/johnson2016
python -m experiments.train --config=configs/decoder.py --config.weights=vgg19 --config.data=photographs \\
    --workdir=runs/decoders
"""

from absl import flags
from ml_collections import config_flags

from experiments import command
from nstjax import files, runs
from nstjax.errors import UserError
from nstjax.training import recipe

_CONFIG = config_flags.DEFINE_config_file("config", None, "The recipe.", lock_config=True)
_WORKDIR = command.define_path("workdir", "The folder to make, or to resume.")
_RESTART = flags.DEFINE_bool("restart", False, "Replace the network that is in the workdir.")


def main(_):
    config = _CONFIG.value
    if config.get("method") == "train":
        outputs = runs.run(config, _WORKDIR.value, command.line(), restart=_RESTART.value)
        return "\n".join(f"{name}: {path}" for name, path in outputs.items())
    if "method" in config:
        raise UserError(f"method {config.method!r}: expected a network's, such as configs/johnson2016.py")
    outputs = recipe.make_decoders(*recipe.load_decoders(config, _WORKDIR.value, command.line()))
    return "\n".join(f"{k}: {path}  SHA-256 {files.file_hash(path, 'sha256')}" for k, path in outputs.items())


if __name__ == "__main__":
    command.run(main, required=["config", "workdir"])
