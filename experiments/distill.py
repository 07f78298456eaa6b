"""Trains the small encoder and its decoders, one part after the other; each resumes from its last checkpoint.

python -m experiments.distill --config=configs/mini.py --workdir=runs/mini
"""

from ml_collections import config_flags

from experiments import command
from nstjax import files
from nstjax.training import mini

_CONFIG = config_flags.DEFINE_config_file("config", None, "The recipe.", lock_config=True)
_WORKDIR = command.define_path("workdir", "The folder to make, or to resume.")


def main(_):
    outputs = mini.make(mini.load(_CONFIG.value, _WORKDIR.value, command.line()))
    digests = {path: files.file_hash(path, "sha256") for path in outputs.values()}
    return "\n".join(f"{kind + ':':9} {path}  SHA-256 {digests[path]}" for kind, path in outputs.items())


if __name__ == "__main__":
    command.run(main, required=["config", "workdir"])
