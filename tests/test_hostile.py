"""Every number that a person can give, given wrong: one line that says so, or a config that can be run.

Keys, hyper-parameters, arguments and flags are found, not listed: what is new is covered. Nothing is run: a
config that loads has been built without arrays.
"""

import ast
import functools
import importlib.util
import inspect
import warnings
from pathlib import Path

import ml_collections
import optax
import pytest

from nstjax import config as config_module
from nstjax import losses, runs, transforms
from nstjax.config import default_config, default_transfer_config, term
from nstjax.errors import UserError
from nstjax.networks import pretrained
from nstjax.optimize.methods import OPTIMIZERS, SCHEDULES, _lbfgs
from nstjax.runs import Cache
from nstjax.runs.terms import TRANSFORMS
from nstjax.training import mini, recipe

WRONG = (0, -1, 1.5, float("nan"), float("inf"), 1e300, "x", None, ())
CONFIGS = sorted((Path(__file__).parents[1] / "configs").glob("*.py"))
NEVER = (float("nan"), float("inf"), 1e300)
LOSSES = [name for name in losses.__all__ if name != "Loss"]
CACHE = Cache()


def image(**values):
    """A small experiment."""
    made = default_config()
    made.update(size=16, weights="random-tiny", steps=2, stages=({"size": 16},))
    made.terms.style = term("gram", ("relu1_1",))
    made.update(values)
    return made


def of_term(**values):
    made = image()
    del made.terms["style"]
    with made.terms.ignore_type():
        made.terms.style = term(**{"taps": ("relu1_1",), **values})
    return made


def put(config, path, value):
    """The config with a value, of whatever type, at a dotted key."""
    *parents, last = path.split(".")
    inner = functools.reduce(lambda config, key: config[key], parents, config)
    with inner.unlocked(), inner.ignore_type():
        inner[last] = value
    return config


def wrong(make, load=lambda config: runs.load(config, CACHE), never=NEVER):
    """Whatever is wrong is a `UserError` of one line; what is no number for anything is refused."""
    for value in WRONG:
        try:
            load(make(value))
            assert value not in never
        except UserError as error:
            assert "\n" not in str(error) and len(str(error)) > 10


def parameters(function, but=()):
    return [name for name in inspect.signature(function).parameters if name not in but]


@pytest.mark.parametrize("key", [*default_config()])
def test_a_key_of_an_experiment(key):
    wrong(lambda value: put(image(), key, value))
    wrong(lambda value: image(stages=({key: value},)))


@pytest.mark.parametrize("key", [*default_transfer_config()])
def test_a_key_of_a_transfer(key):
    def make(value):
        made = default_transfer_config()
        made.update(size=16, levels=(1,))
        return put(made, key, value)

    wrong(make)


@pytest.mark.parametrize("key", [*term("gram", "relu1_1")])
def test_a_key_of_a_term(key):
    wrong(lambda value: put(image(), f"terms.style.{key}", value))


@pytest.mark.parametrize("loss, name", [(n, key) for n in LOSSES for key in parameters(getattr(losses, n))])
def test_a_hyper_parameter_of_a_loss(loss, name):
    wrong(lambda value: of_term(loss=loss, **{name: value}), never=(*NEVER, "x"))


@pytest.mark.parametrize(
    "values, line",
    [
        ({"loss": "sliced_wasserstein", "directions": 1.5}, "terms.style.directions: 1.5 cannot be used ("),
        ({"loss": "cross_gram"}, "terms.style.split is missing; cross_gram needs it"),
        ({"loss": "shifted_gram", "shifts": 4}, "terms.style.shifts: 4 cannot be used ("),
        ({"loss": "wasserstein_gaussian", "iterations": 1.5}, "terms.style.iterations: 1.5 cannot be used ("),
        ({"loss": "gram", "taps": (1,)}, "terms.style.taps must be names; got (1,)"),
        (
            {"loss": "gram", "weight": 1e300},
            "terms.style.weight must be at most 3.4e+38, as float32 can hold",
        ),
    ],
)
def test_a_term_that_could_not_make_a_step_is_named(values, line):
    with pytest.raises(UserError) as refused:
        runs.load(of_term(**values), CACHE)
    assert str(refused.value).startswith(line)


@pytest.mark.parametrize(
    "values, line",
    [
        ({"optimizer": "lbfgs", "optimizer_args": {"memory_size": 0}}, "optimizer_args: memory_size must be"),
        (
            {"optimizer": "lbfgs", "optimizer_args": {"memory_size": 10**9}},
            "optimizer_args: the state of lbfgs",
        ),
        ({"optimizer_args": {"b1": None}}, "optimizer_args.b1 must be a number; got None"),
        ({"optimizer_args": {"mu_dtype": "x"}}, "optimizer_args.mu_dtype: 'x' cannot be used ("),
        (
            {"schedule": "cosine_decay_schedule", "schedule_args": {"init_value": 1.0, "decay_steps": 0}},
            "schedule_args.decay_steps must be at least 1; got 0",
        ),
        (
            {
                "schedule": "cosine_onecycle_schedule",
                "schedule_args": {"peak_value": 1.0, "transition_steps": 5, "div_factor": 0},
            },
            "schedule_args.div_factor: 0 cannot be used (",
        ),
        ({"steps_per_call": 10**7}, "steps_per_call must be at most 1000000"),
    ],
)
def test_a_method_that_could_not_make_a_step_is_named(values, line):
    with pytest.raises(UserError) as refused:
        runs.load(image(**values), CACHE)
    assert str(refused.value).startswith(line)


@pytest.mark.parametrize("style", ["example:woodblock", "example:brushwork,example:mosaic"])
def test_a_loss_that_keeps_positions_needs_styles_of_one_size(style):
    with pytest.raises(UserError, match=r"^terms\.style: .*(features|pictures of one size)"):
        runs.load(put(of_term(loss="feature"), "style", style), CACHE)


@pytest.mark.parametrize(
    "transform, name", [(n, key) for n in TRANSFORMS for key in parameters(getattr(transforms, n))]
)
def test_an_argument_of_a_transform(transform, name):
    def make(value):
        args = {"transform": transform, "transform_args": {name: value}}
        return of_term(loss="feature", reference="content", **args)

    wrong(make, never=(*NEVER, "x"))


FACTORIES = {name: getattr(optax, name) for name in OPTIMIZERS} | {"lbfgs": _lbfgs}
QUICK = ("adam", "lbfgs", "noisy_sgd", "rprop")


@pytest.mark.parametrize(
    "optimizer, name",
    [
        pytest.param(n, key, marks=[] if n in QUICK else [pytest.mark.slow])
        for n, made in FACTORIES.items()
        for key in parameters(made, ("learning_rate", "project"))
    ],
)
def test_an_argument_of_an_optimizer(optimizer, name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of optax, on what is to come
        wrong(lambda value: image(optimizer=optimizer, optimizer_args={name: value}))


GIVEN = {"boundaries_and_scales": {"5": 0.1}, "interpolate_type": "linear", "cosine_kwargs": ()}


@pytest.mark.parametrize(
    "schedule, name", [(n, key) for n in SCHEDULES for key in parameters(getattr(optax, n))]
)
def test_an_argument_of_a_schedule(schedule, name):
    about = inspect.signature(getattr(optax, schedule)).parameters
    needed = {key: GIVEN.get(key, 2.0) for key, each in about.items() if each.default is each.empty}
    if schedule == "constant_schedule":
        needed = {}
    wrong(lambda value: image(schedule=schedule, schedule_args={**needed, name: value}))


def module(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


def arguments(path):
    """The numeric arguments of a config."""
    seen, parse_arg = {}, config_module.parse_arg
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            config_module, "parse_arg", lambda arg, **own: seen.update(own) or parse_arg(arg, **own)
        )
        module(path).get_config()
    return [name for name, default in seen.items() if type(default) in (int, float)]


@pytest.mark.parametrize("path, name", [(p, name) for p in CONFIGS for name in arguments(p)])
def test_an_argument_of_a_config(path, name):
    def make(value):
        made = module(path).get_config(f"smoke,{name}={value}")
        return put(put(made, "weights", "random-tiny"), "normalise", False) if "method" in made else made

    def load(made):
        if "method" in made:
            runs.load(made, CACHE)
        else:
            mini.check(made)

    wrong(make, load, (*NEVER[:2], "x", None, ()))


def recipe_of(name):
    return module(next(p for p in CONFIGS if p.stem == name)).get_config("smoke")


def numbers(name):
    """Dotted keys of the numbers of a recipe."""
    made, found = recipe_of(name), []
    for key, value in made.items():
        inner = value.items() if isinstance(value, ml_collections.ConfigDict) else ()
        found += [f"{key}.{each}" for each, number in inner if isinstance(number, (int, float))]
        found += [key] if isinstance(value, (int, float)) else []
    return found


@pytest.mark.parametrize("name, key", [(name, key) for name in ("mini", "decoder") for key in numbers(name)])
def test_a_number_of_a_recipe(name, key, tmp_path, monkeypatch):
    def load(made):
        mini.check(made) if name == "mini" else recipe.load_decoders(made, tmp_path)

    monkeypatch.setattr(recipe, "load", lambda *_: None)
    monkeypatch.setattr(pretrained, "load", functools.cache(pretrained.load))
    wrong(lambda value: put(recipe_of(name), key, value), load)


def number_flags():
    """(driver, name, call) of the flags of numbers of all drivers."""
    for path in sorted((CONFIGS[0].parents[1] / "experiments").glob("*.py")):
        for call in ast.walk(ast.parse(path.read_text())):
            if isinstance(call, ast.Call) and getattr(call.func, "attr", "") in (
                "DEFINE_integer",
                "DEFINE_float",
            ):
                yield path.stem, call.args[0].value, call


@pytest.mark.parametrize("driver, name, call", number_flags())
def test_a_number_on_the_command_line_has_a_bound(driver, name, call):
    """absl refuses the rest, and `command.run` makes a line of it."""
    bounds = {word.arg: ast.literal_eval(word.value) for word in call.keywords}
    assert call.func.attr == "DEFINE_integer" and bounds["lower_bound"] >= 0


def test_there_are_many():
    """So that a change of what is found here is seen."""
    there = [term("gram", "relu1_1"), default_config(), default_transfer_config(), LOSSES, OPTIMIZERS]
    assert [len(each) for each in (*there, [*number_flags()])] == [11, 47, 25, 34, 28, 10]
