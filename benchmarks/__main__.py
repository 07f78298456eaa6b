"""Measures the time of a step: python -m benchmarks --out=runs/bench

Lines on stdout, and `bench.json` in --out. One process, the programs in turns, medians over rounds.
`python -m benchmarks losses --out=...` measures every loss instead, into `losses.json`; with `sweep`,
points of a sweep run together and one by one, into `sweep.json`; with `universal`, the published WCT chain
beside PyTorch's, into `universal.json`, from the files that --weights, --content and --style name; with
`lbfgs`, what L-BFGS reaches in 300 evaluations by its memory, beside PyTorch's, into `lbfgs.json`; with
`networks`, a pass through the residual network beside PyTorch's, into `networks.json`; with `data`, the crops
that networks learn from, of the folders that --data names and of 100 000 small files, into `data.json`; with
`matting`, the matting-Laplacian term beside a pass through VGG-19, into `matting.json`; with `convolution`,
the layers of VGG-19 by both algorithms, into `convolution.json`; with `sizes`, time and memory of a step by
the size of the picture, those from 2048 pixels on in windows, into `sizes.json`; with `gpu`, what there is to
know of an accelerator in five minutes, into `gpu.json` (--sizes=256,512,1024,2048).

  nstjax              a step of Adam on content + Gram + total variation through full-width VGG-19
  mini                the same step through the small encoder
  direct              the step of Adam without Winograd's algorithm
  nstjax lbfgs        a step of L-BFGS, its line search included
  derived transpose   a step of Adam with the convolution gradient that XLA derives, not that of `convolve`
  PyTorch             the same step of Adam there, in both memory layouts (needs nstjax[oracle])
"""

import os

import jax
from absl import flags

from benchmarks import (
    bench_convolution,
    bench_data,
    bench_gpu,
    bench_lbfgs,
    bench_losses,
    bench_matting,
    bench_networks,
    bench_picture,
    bench_sizes,
    bench_steps,
    bench_sweep,
    bench_universal,
)
from experiments import command
from nstjax import files

_OUT = command.define_path("out", "Folder for the file of figures.")
_SIZES = flags.DEFINE_list("sizes", ["128", "256", "512"], "Picture sides in pixels, but for losses.")
_WEIGHTS = flags.DEFINE_string("weights", "", "Folder of the wct16x files, for universal.")
_CONTENT = flags.DEFINE_string("content", "example:coffee", "A picture, for universal.")
_STYLE = flags.DEFINE_string("style", "example:brushwork", "A picture, for universal.")
_DATA = flags.DEFINE_string("data", "", "Folders of photographs, for data; the examples by default.")
_BUDGET = flags.DEFINE_integer("budget", 270, "Seconds after which gpu begins nothing more.", lower_bound=1)
_PROGRAMS = flags.DEFINE_list("programs", [], "Some of those below, beside nstjax; all by default.")
_ROUNDS = flags.DEFINE_integer("rounds", 5, "Rounds; medians are reported.")


def _sizes():
    return map(int, _SIZES.value)


def _universal():
    return bench_universal.measure(_WEIGHTS.value, _CONTENT.value, _STYLE.value, _ROUNDS.value)


_KINDS = {
    "convolution": lambda: bench_convolution.measure(_sizes(), _ROUNDS.value),
    "data": lambda: bench_data.measure(_DATA.value, _sizes()),
    "gpu": lambda: bench_gpu.measure(_sizes(), _BUDGET.value),
    "lbfgs": lambda: bench_lbfgs.measure(_sizes()),
    "losses": lambda: bench_losses.measure(_ROUNDS.value),
    "matting": lambda: bench_matting.measure(_ROUNDS.value),
    "networks": lambda: bench_networks.measure(_sizes(), _ROUNDS.value),
    "picture": lambda: bench_picture.measure(_sizes(), _PROGRAMS.value, _OUT.value),
    "sizes": lambda: bench_sizes.measure(_sizes()),
    "sweep": lambda: bench_sweep.measure(_sizes(), _ROUNDS.value),
    "universal": _universal,
}


def main(argv):
    if "gpu" in argv:  # PyTorch and commands need memory of the same card.
        os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"
    head = {"device": f"{jax.devices()[0].platform}: {jax.devices()[0].device_kind}", "jax": jax.__version__}
    files.make_folder(_OUT.value)
    named = [word for word in _KINDS if word in argv]
    kind = named[0] if named else "bench"
    rows = _KINDS[kind]() if named else bench_steps.measure(_sizes(), _ROUNDS.value, _PROGRAMS.value)
    path = _OUT.value / f"{kind}.json"
    files.write_json(path, head | {"rows": rows})
    return path


if __name__ == "__main__":
    command.run(main, required=["out"], words=sorted(_KINDS))
