"""Trains decoders for an encoder, one level after the other; each resumes from its last checkpoint.

python -m experiments.train --config=configs/decoder.py --config.weights=vgg19 --config.data=photographs \\
    --workdir=runs/decoders
"""

from ml_collections import config_flags

from experiments import command
from nstjax import files
from nstjax.training import recipe

_CONFIG = config_flags.DEFINE_config_file("config", None, "The recipe.", lock_config=True)
_WORKDIR = command.define_path("workdir", "The folder to make, or to resume.")


def main(_):
    plan, loaded = recipe.load_decoders(_CONFIG.value, _WORKDIR.value, command.line())
    outputs = recipe.make_decoders(plan, loaded)
    return "\n".join(f"{k}: {path}  SHA-256 {files.file_hash(path, 'sha256')}" for k, path in outputs.items())


if __name__ == "__main__":
    command.run(main, required=["config", "workdir"])
