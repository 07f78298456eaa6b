"""Trains networks: decoders for an encoder, each level going on where it was stopped.

python -m experiments.train --config=configs/decoder.py --config.weights=vgg19 --config.data=photographs \\
    --workdir=runs/decoders
"""

from absl import flags
from ml_collections import config_flags

from experiments import command
from nstjax import files
from nstjax.training import recipe

_CONFIG = config_flags.DEFINE_config_file("config", None, "The recipe.", lock_config=True)
_WORKDIR = flags.DEFINE_string("workdir", None, "The folder to make, or to go on with.")


def main(_):
    plan, loaded = recipe.load_decoders(_CONFIG.value, _WORKDIR.value, command.line())
    left = recipe.make_decoders(plan, loaded)
    return "\n".join(f"{k}: {path}  SHA-256 {files.file_hash(path, 'sha256')}" for k, path in left.items())


if __name__ == "__main__":
    command.run(main, required=["config", "workdir"])
