"""Measures what things cost: python -m benchmarks [KIND ...] --out=runs/bench

Lines on stdout, and `KIND.json` in --out; without a kind, `steps`. Programs run in turns in one process, and
medians are reported. Ratios are compared with those in docs/bench.json, and the ones that differ by more than
its margin are named; --keep puts them there instead. `make bench` measures the kinds of the first list.

  steps        a step of the optimisation by Adam: content + Gram + total variation through VGG-19 to relu5_1
  picture      time until the objective is where PyTorch's L-BFGS brings it in 300 evaluations
  universal    the published WCT chain beside PyTorch's, from what --weights, --content and --style name
  networks     a pass through the residual network beside PyTorch's
  losses       the value and gradient of every loss by size, beside a pass of VGG-19 to relu3_1
  sweep        points of a sweep run together and one by one
  start        commands from their start to a picture, with an empty and with a warm cache of programs
  sizes        time and memory of a step by the size of the picture, those from 2048 pixels on in windows
  terms        time and memory of a step by the number of terms

  convolution  the layers of VGG-19 by both algorithms
  data         the crops that networks learn from, of the folders that --data names and of 100 000 small files
  gpu          what there is to know of an accelerator in five minutes
  lbfgs        what L-BFGS reaches in 300 evaluations by its memory, beside PyTorch's
  matting      the matting-Laplacian term beside a pass through VGG-19

The programs of `steps`, of which --programs names some:

  nstjax              always measured; the ratios are multiples of its seconds
  mini                the same step through the small encoder
  direct              the step without Winograd's algorithm
  YNNPACK             the step with the products of jaxlib's default on a CPU, which drivers turn off
  nstjax lbfgs        a step of L-BFGS, its line search included
  derived transpose   a step with the convolution gradient that XLA derives, not that of `convolve`
  PyTorch             the same step there; "PyTorch channels last" in the other memory layout (nstjax[oracle])
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
    bench_start,
    bench_steps,
    bench_sweep,
    bench_terms,
    bench_universal,
    ratios,
)
from experiments import command
from nstjax import files

_OUT = command.define_path("out", "Folder for the files of figures.")
_SIZES = flags.DEFINE_list("sizes", [], "Picture sides in pixels; each kind has its own by default.")
_WEIGHTS = flags.DEFINE_string("weights", "", "Folder of the wct16x files, for universal.")
_CONTENT = flags.DEFINE_string("content", "example:coffee", "A picture, for universal.")
_STYLE = flags.DEFINE_string("style", "example:brushwork", "A picture, for universal.")
_DATA = flags.DEFINE_string("data", "", "Folders of photographs, for data; the examples by default.")
_BUDGET = flags.DEFINE_integer("budget", 270, "Seconds after which gpu begins nothing more.", lower_bound=1)
_PROGRAMS = flags.DEFINE_list("programs", [], "Some of the programs of steps or picture; all by default.")
_ROUNDS = flags.DEFINE_integer("rounds", 5, "Rounds, of which medians are reported.", lower_bound=1)
_KEEP = flags.DEFINE_bool("keep", False, "Put the ratios into docs/bench.json.")


def _sizes(*usual):
    return [int(size) for size in _SIZES.value] or usual


_KINDS = {
    "convolution": lambda: bench_convolution.measure(_sizes(256, 512), _ROUNDS.value),
    "data": lambda: bench_data.measure(_DATA.value, _sizes(256)),
    "gpu": lambda: bench_gpu.measure(_sizes(256, 512, 1024, 2048), _BUDGET.value),
    "lbfgs": lambda: bench_lbfgs.measure(_sizes(128)),
    "losses": lambda: bench_losses.measure(_sizes(256, 512), _ROUNDS.value),
    "matting": lambda: bench_matting.measure(_ROUNDS.value),
    "networks": lambda: bench_networks.measure(_sizes(256, 512, 1024), _ROUNDS.value),
    "picture": lambda: bench_picture.measure(_sizes(512), _PROGRAMS.value, _OUT.value),
    "sizes": lambda: bench_sizes.measure(_sizes(256, 512, 1024, 2048, 4096)),
    "start": lambda: bench_start.measure(_sizes(256)),
    "steps": lambda: bench_steps.measure(_sizes(256, 512, 1024), _ROUNDS.value, _PROGRAMS.value),
    "sweep": lambda: bench_sweep.measure(_sizes(128), _ROUNDS.value),
    "terms": lambda: bench_terms.measure(_sizes(256), _ROUNDS.value),
    "universal": lambda: bench_universal.measure(_WEIGHTS.value, _CONTENT.value, _STYLE.value, _ROUNDS.value),
}


def main(argv):
    kinds = [word for word in argv if word in _KINDS] or ["steps"]
    if "gpu" in kinds:  # PyTorch and commands need memory of the same card.
        os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"
    head = {"device": f"{jax.devices()[0].platform}: {jax.devices()[0].device_kind}", "jax": jax.__version__}
    files.make_folder(_OUT.value)
    for kind in kinds:
        rows = _KINDS[kind]()
        files.write_json(_OUT.value / f"{kind}.json", head | {"rows": rows})
        found = ratios.ratios_of(rows)
        if _KEEP.value:
            ratios.keep(kind, head, found)
        else:
            for line in ratios.changed(kind, found):
                print(line, flush=True)
    return _OUT.value


if __name__ == "__main__":
    command.run(main, required=["out"], words=sorted(_KINDS))
