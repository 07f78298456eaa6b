"""Writes a trained network as one file that runs without this package: ONNX, or a program of JAX.

    python -m experiments.export --out=paintings.onnx
    python -m experiments.export --network=runs/johnson2016/network.safetensors --out=mosaic.jax

`nstjax.feedforward.onnx` and `nstjax.feedforward.export` say how such a file is called.
"""

from absl import flags

from experiments import command
from nstjax import files
from nstjax.errors import UserError
from nstjax.feedforward.export import to_jax
from nstjax.feedforward.onnx import to_onnx
from nstjax.networks import stylizers

_NETWORK = flags.DEFINE_string(
    "network", "paintings", "A trained network: its file, or the name of one that comes along."
)
_OUT = command.define_path("out", "The file to write; its suffix, .onnx or .jax, is its format.")
_FORMATS = {".onnx": to_onnx, ".jax": to_jax}


def main(_):
    path = _OUT.value
    if path.suffix not in _FORMATS:
        raise UserError(f"out {path}: expected a file that ends in {' or '.join(_FORMATS)}")
    files.write_atomic(path, _FORMATS[path.suffix](stylizers.load(_NETWORK.value)))
    return f"exported: {path}"


if __name__ == "__main__":
    command.run(main, required=["out"])
