"""The time of a step of the optimisation, beside PyTorch."""

import functools
import statistics
import time
from importlib import util
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np

from nstjax import losses, optimize
from nstjax.networks import pretrained, vgg, windows
from nstjax.ops import convolution
from nstjax.optimize import Objective, Problem, Reference, Term, make_targets, term_weights

STYLE, CONTENT = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1"), "relu4_2"
STEPS = 10  # in a call, which allocates its memory once: as many as in a run by default
_KINDS = ("DOT", "INDIVIDUAL_DOT", "REDUCE")  # which jaxlib 0.10 gives to YNNPACK
_YNNPACK = {"xla_cpu_experimental_ynn_fusion_type": ",".join(f"LIBRARY_FUSION_TYPE_{k}" for k in _KINDS)}
_DERIVED = (
    256  # the largest side, in pixels, at which the derived gradient, several times slower, is measured
)


def measure(sizes, rounds, programs=()):
    """Rows {"size", "program", "seconds", "ratio"}, printed as they come.

    Medians over rounds, of seconds per step and of the multiple of those of "nstjax" in the same round.
    `programs` are some of them, all by default.
    """
    params, rows = vgg.random_params(0), []
    for size in sizes:
        picture = np.random.default_rng(0).uniform(size=(size, size, 3)).astype(np.float32)
        makers = {
            "nstjax": functools.partial(jax_steps, params, picture),
            "mini": functools.partial(jax_steps, pretrained.load("mini").params, picture),
            "nstjax lbfgs": functools.partial(jax_steps, params, picture, "lbfgs"),
            "direct": functools.partial(jax_steps, params, picture, conv="direct"),
            "YNNPACK": functools.partial(jax_steps, params, picture, compiler_options=_YNNPACK),
        }
        if size <= _DERIVED:
            makers["derived transpose"] = functools.partial(_derived_steps, params, picture)
        if util.find_spec("torch"):
            from benchmarks import peers

            for name, layout in peers.LAYOUTS.items():
                given = (params, picture, STYLE, CONTENT, STEPS, layout)
                makers[name] = functools.partial(peers.make_steps, *given)
        runs = {name: make() for name, make in makers.items() if name in ("nstjax", *(programs or makers))}
        seconds = {name: [] for name in runs}
        for name in list(runs) * (rounds + 1):
            start = time.perf_counter()
            runs[name]()
            seconds[name].append((time.perf_counter() - start) / STEPS)
        for name, (_, *values) in seconds.items():
            median = statistics.median(values)
            ratio = statistics.median(a / b for a, b in zip(values, seconds["nstjax"][1:], strict=True))
            rows.append({"size": size, "program": name, "seconds": median, "ratio": ratio})
            print(f"{size:5d} {name:24s} {median:8.4f} s per step {ratio:6.2f} x nstjax", flush=True)
    return rows


def _derived_steps(params, picture):
    with mock.patch.object(vgg, "convolve", convolution.convolve.fun):
        return jax_steps(params, picture, conv="direct")


def make_problem(params, picture, *, tile=0, **options):
    """(objective, its `Problem`): content, Gram and total variation on turned pictures."""
    encoder = vgg.make_encoder(params, vgg.TORCHVISION, **options)
    encoder = windows.tiled(encoder, tile) if tile else encoder
    apply = encoder.apply if tile else _Own(encoder.apply)
    terms = (
        Term("content", losses.feature(), (CONTENT,), "content"),
        Term("style", losses.gram(), STYLE, "style"),
        Term("tv", losses.tv_nine_point(), ("image",), "content"),
    )
    image = jnp.asarray(picture)
    references = {"content": [Reference(image[::-1])], "style": [Reference(image[:, ::-1])]}
    targets = jax.jit(make_targets, static_argnums=(0, 2))(apply, encoder.params, terms, references)
    weights = term_weights(terms, {"content": 1.0, "style": 1.0, "tv": 1.0})
    return Objective(apply, terms), Problem(encoder.params, targets, weights, jax.random.key(0))


class _Own:
    """An `Encoder.apply` that is equal to itself alone, so that no compiled program is shared."""

    def __init__(self, apply):
        self._apply, self.prepare = apply, apply.prepare

    def __call__(self, *arguments):
        return self._apply(*arguments)


def jax_steps(params, picture, optimizer="adam", conv="auto", compiler_options=None):
    """A function, compiled when it is returned, that makes `STEPS` steps of the library's own loop."""
    objective, problem = make_problem(params, picture, conv=conv)
    plan, image = optimize.Plan(optimize.make_method(optimizer)), jnp.asarray(picture)
    rate = plan.method.learning_rate
    start = functools.partial(optimize.initial_state, plan, image)
    lowered = optimize.run_chunk.lower(objective, plan, start(), problem, rate, stop=STEPS, length=STEPS)
    steps = lowered.compile(compiler_options)

    def run():
        return jax.block_until_ready(steps(start(), problem, rate, stop=STEPS))

    run()
    return run
