"""The drivers at the command line: one line that says what to mend, or the traceback of a bug."""
# ruff: noqa: F401, F811 - fixtures are imported, then named as arguments

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import types

import jax
import numpy as np
import pytest
from driver import DEMO, RANDOM, ROOT, drive, finished, place
from PIL import Image

from experiments import command, stylize
from nstjax.errors import NotFiniteError
from nstjax.runs import memory


@pytest.fixture
def refuse(drive, tmp_path):
    """Runs the driver where it must refuse: the one line it says, without `error: `."""

    def run(*arguments, **options):
        workdir = tmp_path / "refused"
        status, out, err = drive(f"--workdir={workdir}", *arguments, **options)
        err = err.removeprefix(RANDOM)
        assert (status, out) == (2, ""), err
        assert err.startswith("error: ") and err.count("\n") == 1 and err.endswith("\n")
        assert not workdir.exists()
        return err.removeprefix("error: ").rstrip("\n")

    return run


# Unknown keys and wrong values --------------------------------------------------------------------


@pytest.mark.parametrize(
    "argument, line",
    {
        "--config.sze=64": "config key 'sze' is unknown; did you mean 'size'?",
        "--config.foo=1": "config key 'foo' is unknown; valid: beyond_weights, calibrate, ",
        "--config.terms.style.lss=gram": "'terms.style.lss' is unknown; did you mean 'terms.style.loss'?",
        "--config.terms.stile.loss=gram": "'terms.stile.loss' is unknown; did you mean 'terms.style.loss'?",
        "--config.terms.style.loss.x=1": "'terms.style.loss.x' is unknown; did you mean 'terms.style.loss'?",
        "--config.terms['style'].loss=gram": "is unknown; did you mean 'terms.style.loss'?",
        "--noconfig.projct": "config key 'projct' is unknown; did you mean 'project'?",
        "--config.=1": "config key '' is unknown; valid: ",
        "--wrokdir=x": "flag --wrokdir is unknown; did you mean 'workdir'?",
        "--flagfile=/no/such": "/no/such",
        "extra": "argument 'extra' is not understood; flags look like --name=value",
        "--workdir=": "flag --workdir is required: ",
        "--config.size=big": "config key 'size' must be of type int; got 'big'",
        "--config.size=": "config key 'size' must be of type int; got ''",
        "--config.project=maybe": "config key 'project' must be of type bool; got 'maybe'",
        "--config.learning_rate=fast": "config key 'learning_rate' must be of type float; got 'fast'",
        "--config.terms=gram": "config key 'terms' must be of type dict; got 'gram'",
        "--config.style_weights=(1,": "config key 'style_weights' must be of type tuple; got '(1,'",
        "--config.style_weights=x": "style_weights: expected a number; got 'x'",
        "--config.style_weights=1,2": "style_weights has 2 numbers for 1 style pictures",
        "--config.terms={'a': 1}": "terms.a must be a dict of loss, taps, reference, weight, ",
        "--config.terms={'a': {'loss': 'gram'}}": "terms.a.taps is missing",
        "--config.terms={}": "terms is empty",
        "--config.terms.style.loss=gramm": "terms.style.loss 'gramm' is unknown; did you mean 'gram'?",
        "--config.terms.style.weight=nan": "terms.style.weight must be finite; got nan",
        "--config.terms.style.tap_weights=(1,2,3,4,float('nan'))": "tap_weights",
        "--config.terms.style.tap_weights=(1,2,3,4,1e999)": "terms.style.tap_weights must be finite; got inf",
        "--config.terms.style.tap_weights=(1,2,3,4,'x')": "tap_weights: expected a number; got 'x'",
        "--config.terms.style.taps=relu42": "tap 'relu42' does not exist; did you mean 'relu4_2'?",
        "--config.terms.style.taps=()": "terms.style.taps is empty",
        "--config.optimizer=adm": "optimizer 'adm' is unknown; did you mean 'adam'?",
        "--config.optimizer_args={'b9': 1}": "optimizer_args.b9 is unknown; valid: b1, b2, ",
        "--config.optimizer_args={'b1': 'x'}": "optimizer_args.b1 must be a number; got 'x'",
        "--config.learning_rate=nan": "learning_rate must be finite; got nan",
        "--config.learning_rate=-1": "learning_rate must be at least 0; got -1.0",
        "--config.size=-5": "size must be at least 1; got -5",
        "--config.size=1000000": "size: 1000000 x 750000 pixels need over ",
        "--config.style_size=1000000": "style_size: 1000000 x 750000 pixels need over ",
        "--config.steps=-1": "steps must be at least 0; got -1",
        "--config.steps=100000000000": "steps must be at most 2147483647",
        "--config.seed=-1": "seed must be at least 0; got -1",
        "--config.seed=4294967296": "seed must be at most 4294967295",
        "--config.stages=({'sze': 32},)": "stages[0].sze is unknown; did you mean 'size'?",
        "--config.stages=({'terms': {'style': {'wait': 1}}},)": ".wait is unknown; did you mean 'weight'?",
        "--config.stages=({'size': 'x'},)": "stages[0].size must be of type int; got 'x'",
        "--config.stages=1": "stages[0] must be a dict of config keys; got 1",
        "--config.weights=vgg91": "weights 'vgg91': no such file or weight set; did you mean 'vgg19'?",
        "--config.content=/no/such.png": "picture /no/such.png: no such file",
        "--config.content=": "init is 'content', but content is empty; give another init",
        "--config.style=": "terms.style compares with the style, which is empty",
        "--config.init=contnt": "did you mean 'content'?",
        "--config.init=": "init: the name of a picture is empty",
        "--config.init=/dev/zero": "init: picture /dev/zero: is not a regular file",
    }.items(),
)
def test_a_mistake_is_one_line_with_the_nearest_valid_name(refuse, argument, line):
    assert line in refuse(argument)


def test_a_bad_member_of_a_style_list_is_named(refuse, place):
    line = refuse(f"--config.style={place / 'style.png'},{place / 'stile.png'}")
    assert line == f"picture {place / 'stile.png'}: no such file; did you mean 'style.png'?"


def test_overrides_before_the_config_are_refused(refuse):
    assert "--config.size=3" in refuse("--config.size=3", f"--config={DEMO}", config=None)


@pytest.mark.parametrize(
    "source, line",
    {
        "def get_config(:\n": "{}, line 1: invalid syntax",
        "def get_config(arg=None):\n    return nothing\n": "{}, line 2: NameError: name 'nothing' is not",
        "import nowhere\n": "{}, line 1: ModuleNotFoundError: No module named 'nowhere'",
        "def get_config(arg=None):\n    raise ValueError('a\\nb')\n": "{}, line 2: ValueError: a b",
        "x = 1\n": "{}: has no function get_config",
        "def get_config(): pass\n": "{}: get_config must return a ConfigDict, not NoneType",
        "\0": "{}, line ",
    }.items(),
)
def test_a_config_file_that_fails_is_one_line_that_says_where(refuse, tmp_path, source, line):
    path = tmp_path / "broken.py"
    path.write_text(source)
    assert refuse(config=path).startswith(line.format(f"config {path}"))


def test_a_config_that_is_not_there(refuse, drive, tmp_path):
    assert refuse(config=f"{DEMO.parent}/dmo.py").endswith("no such file; did you mean 'demo.py'?")
    assert refuse(config=DEMO.parent).startswith(f"config '{DEMO.parent}': no such file")
    assert refuse("--config=", config=None) == "config '': no such file"
    assert refuse(config=None).startswith("flag --config is required")
    gatys = DEMO.parent / "gatys2016.py"
    assert refuse(config=f"{gatys}:variant=cod").endswith("variant 'cod' is unknown; did you mean 'code'?")
    risser = DEMO.parent / "risser2017.py"
    assert refuse(config=f"{risser}:size=x").endswith("config argument 'size' must be int; got 'x'")


def test_help_lists_flags_and_keys(drive):
    status, out, err = drive("--help", config=None)
    assert (status, err) == (0, "")
    assert stylize.__doc__ in out and "--config: " in out and "--workdir: " in out
    status, out, err = drive("--help")
    assert (status, err) == (0, "")
    assert "  size = 16\n" in out or "  size = 64\n" in out
    assert "  terms.style.loss = 'gram'\n" in out and "--smoke: " in out


@pytest.mark.parametrize(
    "given",
    [("--config", f"{DEMO}:size=100"), pytest.param((f"--config={DEMO}",), marks=pytest.mark.slow)],
)
def test_smoke_is_a_flag_as_well(drive, tmp_path, given):
    status, _, err = drive(
        *given, "--smoke", "--config.weights=random-tiny", f"--workdir={tmp_path}", config=None
    )
    assert status == 0, err
    config = json.loads((tmp_path / "config.json").read_text())
    assert (config["size"], config["steps"], config["stages"]) == (64, 6, [])


# How a driver ends --------------------------------------------------------------------------------


def test_a_fault_of_the_program_keeps_its_traceback(drive, tmp_path):
    def main(_):
        raise KeyError("a bug")

    with pytest.raises(KeyError, match="a bug"):
        drive(f"--workdir={tmp_path}", main=main)


@pytest.mark.parametrize(
    "error, status, line",
    [
        (NotFiniteError("stopped at step 3"), 1, "error: stopped at step 3\n"),
        (MemoryError(), 1, "error: out of memory; try a smaller size\n"),
        (KeyboardInterrupt(), 130, "error: interrupted; the same command goes on from the last checkpoint\n"),
    ],
)
def test_other_ends_are_one_line_too(drive, tmp_path, error, status, line):
    def main(_):
        raise error

    assert drive(f"--workdir={tmp_path}", main=main) == (status, "", line)


def test_an_interrupt_that_a_callback_swallows_comes_again(drive, tmp_path, monkeypatch):
    monkeypatch.setattr(command, "_AGAIN", 0.05)
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGALRM)]

    def main(_):
        with contextlib.suppress(KeyboardInterrupt):  # as a callback of the garbage collector does
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(10)
        time.sleep(10)

    status, _, err = drive(f"--workdir={tmp_path}", main=main)
    assert (status, err) == (130, "error: interrupted; the same command goes on from the last checkpoint\n")
    assert handlers == [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGALRM)]
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)


@pytest.mark.parametrize("driver", ["stylize", "sweep"])
def test_an_interrupt_during_imports_is_one_line(driver):
    code = f"""
import builtins, os, runpy, signal, sys
found = builtins.__import__
def interrupted(name, *rest, **more):
    if name == "jax":
        os.kill(os.getpid(), signal.SIGINT)
    return found(name, *rest, **more)
builtins.__import__ = interrupted
runpy.run_module("experiments.{driver}", run_name="__main__")
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == -signal.SIGINT and done.stderr == "error: interrupted\n"


def surrounded(tmp_path, **settings):
    """A driver in other surroundings: its end."""
    line = [sys.executable, "-m", "experiments.stylize", f"--config={DEMO}:smoke", "--config.size=16"]
    line += ["--config.weights=random-tiny", f"--workdir={tmp_path / 'run'}"]
    return subprocess.run(line, cwd=ROOT, env=os.environ | settings, capture_output=True, text=True)


def test_programs_not_used_for_longest_are_given_up(drive, tmp_path, monkeypatch):
    programs = tmp_path / "programs"
    programs.mkdir()
    for age in range(4):
        (programs / f"{age}").write_bytes(bytes(100))
        os.utime(programs / f"{age}", (1e9 - age, 0))
    monkeypatch.setenv("NSTJAX_CACHE", str(tmp_path))
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR")
    monkeypatch.setattr(command, "_MOST_KEPT", 250)
    before = jax.config.jax_compilation_cache_dir
    try:
        assert drive(f"--workdir={tmp_path}", main=lambda _: "done") == (0, "done\n", "")
        assert jax.config.jax_compilation_cache_dir == str(programs)
    finally:
        jax.config.update("jax_compilation_cache_dir", before)
    assert sorted(path.name for path in programs.iterdir()) == ["0", "1"]


@pytest.mark.parametrize("given", ["", "--xla_cpu_experimental_ynn_fusion_type=+dot"])
def test_products_are_left_to_eigen_unless_a_user_says_what(tmp_path, given):
    (tmp_path / "compiles.py").write_text(
        "import os, jax\n"
        "from experiments import command\n"
        "def main(_):\n"
        "    product = jax.jit(lambda x: x @ x).lower(jax.numpy.ones((36, 256, 256)))\n"
        "    by = 'YNNPACK' if '__ynn' in product.compile().as_text() else 'Eigen'\n"
        "    return f'{by} by {os.environ[\"XLA_FLAGS\"]}'\n"
        "command.run(main, [])\n"
    )
    place = {"XLA_FLAGS": given, "PYTHONPATH": str(ROOT), "JAX_DISABLE_MOST_OPTIMIZATIONS": "0"}
    line = [sys.executable, "compiles.py"]
    done = subprocess.run(line, cwd=tmp_path, env=os.environ | place, capture_output=True, text=True)
    assert done.stdout.endswith(f" by {given}\n") if given else done.stdout.startswith("Eigen by "), (
        done.stderr
    )


@pytest.mark.slow
@pytest.mark.parametrize("platform", ["cuda", "abacus"])
def test_a_device_that_is_not_there_is_one_line(tmp_path, platform):
    if platform == jax.default_backend():
        pytest.skip("it is there")
    done = surrounded(tmp_path, JAX_PLATFORMS=platform)
    assert done.returncode == 2 and not (tmp_path / "run").exists()
    expected = (
        f"error: JAX finds no device JAX_PLATFORMS={platform}; without that setting it takes what there is\n"
    )
    assert done.stderr.removeprefix(RANDOM) == expected


@pytest.mark.slow
def test_no_screen_is_needed_whatever_matplotlib_is_told(tmp_path):
    done = surrounded(tmp_path, MPLBACKEND="abacus")
    assert (done.returncode, done.stderr) == (0, RANDOM) and (tmp_path / "run" / "report.html").exists()


def test_memory_is_counted_by_hand():
    params = {"conv1_1": {"bias": np.zeros(4)}, "conv1_2": {"bias": np.zeros(6)}}
    params |= {"conv2_1": {"bias": np.zeros(8)}, "conv2_2": {"bias": np.zeros(99)}}
    count = dict(backward=True), dict(backward=False)
    taps = {"relu2_1", "image"}
    assert [memory.needed((10, 20), params, taps, **c) for c in count] == [4 * 200 * (3 + 24), 4 * 200 * 15]
    assert memory.needed((10, 20), params, {"image"}, backward=True) == 4 * 600
    # A window of 36 x 36 pixels in the first block; of the whole, pool1, and relu2_1 with its gradient.
    tiled = memory.needed((64, 64), params, taps, backward=True, tile=32, kept=("relu2_1",))
    assert tiled == 4 * (64 * 64 * (3 + 4 / 4 + 2 * 8 / 4) + 2 * (4 + 6) * 36 * 36)
    assert memory.needed((64, 64), params, taps, backward=False, tile=32) == 4 * (
        64 * 64 * 3 + 2 * 8 * 32 * 32
    )
    assert memory.available() > 1e8


@pytest.mark.slow
def test_closed_and_broken_streams(finished, tmp_path):
    """Whoever does not listen loses the words and not the picture."""
    pictures = f"--config.content={tmp_path}/a.png --config.style={tmp_path}/a.png"
    Image.new("RGB", (16, 12), (200, 90, 30)).save(tmp_path / "a.png")
    line = f"{sys.executable} -m experiments.stylize --config={DEMO}:smoke --config.weights=random-tiny"
    line += f" --config.size=16 {pictures} --workdir={tmp_path}/run"

    def shell(text):
        return subprocess.run(["bash", "-c", text], cwd=ROOT, capture_output=True, text=True)

    done = shell(f"{line} <&- >&- 2>&-; echo $?")
    assert done.stdout == "0\n" and not done.stderr
    for row in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines():
        json.loads(row)  # no library wrote here for want of a stderr
    assert shell(f"{line} 2>&-").stdout.startswith("picture: ")
    done = shell(f"({line}; echo $? >&2) | true")
    assert done.stderr.endswith("error: cannot write to the standard output: Broken pipe\n2\n")
    assert "Traceback" not in done.stderr and "Exception" not in done.stderr
    shell(f"({line}-2 2>&1 >/dev/null; echo $? > {tmp_path}/status) | true")
    assert (tmp_path / "status").read_text() == "0\n"
    done = shell(f"PYTHONIOENCODING=ascii {line}-é")
    assert done.stdout.startswith(f"picture: {tmp_path}/run-é/image.png\n"), done.stderr
