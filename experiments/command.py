"""How the drivers start and end: a user's mistake is one line, a fault of the program a traceback."""

import contextlib
import os
import re
import runpy
import shlex
import signal
import sys
import traceback

import jax
import ml_collections
from absl import flags, logging

from nstjax import files
from nstjax.errors import FailedError, UserError, nearest, notify
from nstjax.networks import download

_AGAIN = 0.5  # seconds
_WORTH_KEEPING = 0.2  # seconds of compilation
_MOST_KEPT = 2**30  # bytes of compiled programs
_YNNPACK = "--xla_cpu_experimental_ynn_fusion_type"
_HELP = {"-h", "--h", "-help", "--help", "--helpshort", "--helpfull"}


def run(main, required, words=()):
    """Parses flags, prints what `main(argv)` returns and exits: 0 done, 1 failed, 2 a user error.

    Args:
      main: a function.
      required: names of flags that must be given.
      words: arguments that may be given beside the flags.
    """
    logging.set_verbosity(logging.FATAL)
    # The number of a closed stream would go to a file of the run, and libraries would write into it.
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115
    try:
        with _interruptible():
            arguments = _parse(main, required, words)
            use_eigen()
            _keep_programs()
            _print(main(arguments))
    except UserError as error:
        _end(error, 2)
    except FailedError as error:
        _end(error, 1)
    except (MemoryError, jax.errors.JaxRuntimeError) as error:
        if isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error):
            _end("out of memory; try a smaller size", 1)
        raise
    except (RuntimeError, AssertionError) as error:
        if not traceback.extract_tb(error.__traceback__)[-1].filename.endswith("xla_bridge.py"):
            raise
        wanted = os.environ.get("JAX_PLATFORMS", "")
        _end(f"JAX finds no device JAX_PLATFORMS={wanted}; without that setting it takes what there is", 2)
    except KeyboardInterrupt:
        _end("interrupted; the same command goes on from the last checkpoint", 130)


@contextlib.contextmanager
def _interruptible():
    """An interrupt is a KeyboardInterrupt, and again every half second until one arrives.

    One that is raised in a callback, as of the garbage collector, is lost there.
    """

    def interrupt(*_):
        signal.setitimer(signal.ITIMER_REAL, _AGAIN, _AGAIN)
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGALRM)}
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in before.items():
            signal.signal(number, handler)


class _PathParser(flags.ArgumentParser):
    """Paths as a person types them."""

    def parse(self, argument):
        return files.user_path(argument) if argument else argument

    def flag_type(self):
        return "path"


flags.disclaim_key_flags()  # Flags of `define_path` belong to the driver that calls it.


def define_path(name, help):
    """A flag whose value is the absolute `Path` of what is typed."""
    return flags.DEFINE(_PathParser(), name, None, help)


def line():
    """The command line that started the driver, for provenance."""
    return f"python {shlex.join(sys.orig_argv[1:])}"


def use_eigen():
    """Leaves products on CPUs to Eigen: YNNPACK, to which jaxlib 0.10 gives them, is slower.

    Takes effect before JAX has found its devices.
    """
    given = os.environ.get("XLA_FLAGS", "")
    # Later versions may not know the flag, and would end the process.
    if _YNNPACK not in given and jax.__version_info__ < (0, 11):
        os.environ["XLA_FLAGS"] = f"{given} {_YNNPACK}=reduce"


def _keep_programs():
    """Keeps what is compiled for later starts, beside downloads, unless JAX_COMPILATION_CACHE_DIR is set."""
    if os.environ.get("JAX_COMPILATION_CACHE_DIR"):
        return
    place = download.cache_dir() / "programs"
    try:
        files.make_folder(place)
    except UserError as error:
        notify(f"note: compiled programs are not kept: {error}")
        return
    _trim(place)
    jax.config.update("jax_compilation_cache_dir", str(place))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", _WORTH_KEEPING)


def _trim(place):
    """Deletes the programs of a folder that were not used for longest, until it is no larger than allowed."""
    total = 0
    for path, found in sorted(_files(place), key=lambda file: max(file[1].st_atime, file[1].st_mtime))[::-1]:
        total += found.st_size
        if total > _MOST_KEPT:
            path.unlink(missing_ok=True)


def _files(place):
    for path in place.iterdir():
        with contextlib.suppress(FileNotFoundError):  # another process may trim as well
            yield path, path.stat()


def load_config(named):
    """The config that `--config=FILE[:ARGUMENT]` names.

    Raises:
      UserError: where there is no such file, or it is no config, or does not take the argument.
    """
    config = called(named, "get_config")
    if not isinstance(config, ml_collections.ConfigDict):
        path = named.partition(":")[0]
        raise UserError(f"config {path}: get_config must return a ConfigDict, not {type(config).__name__}")
    return config


def called(named, function, otherwise=""):
    """What a function of the config file returns, for the argument of `--config=FILE[:ARGUMENT]`.

    Args:
      named: as of the flag.
      function: its name.
      otherwise: what is said where there is none.

    Raises:
      UserError: where there is no such file, or no such function in it, or it fails.
    """
    path, *arg = named.split(":", 1)
    if not os.path.isfile(path):
        raise UserError(f"config {path!r}: no such file{files.near_file(path)}")
    try:
        module = runpy.run_path(path)
        if function not in module:
            raise UserError(f"has no function {function}{otherwise}")
        return module[function](*arg)
    except UserError as error:
        raise UserError(f"config {named}: {error}") from None
    except SyntaxError as error:
        raise UserError(f"config {path}, line {error.lineno or 1}: {error.msg}") from None
    except Exception as error:
        lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == path]
        where = f"config {path}, line {lines[-1]}" if lines else f"config {path}"
        raise UserError(f"{where}: {type(error).__name__}: {error}") from None


def check_key(config, key):
    """Raises UserError for a dotted key that a config does not have."""
    keys = [name for name, _ in _items(config)]
    if key not in keys:
        beside = [name for name in keys if name.rpartition(".")[0] == key.rpartition(".")[0]]
        raise UserError(f"config key {key!r} is unknown{nearest(key, beside or keys)}")


def _parse(main, required, words):
    own = {flag.name: flag.help for flag in flags.FLAGS.get_key_flags_for_module(main.__module__)}
    config = None
    try:
        argv = _found(_smoked(flags.FLAGS.read_flags_from_files(sys.argv, force_gnu=False)))
        # ml_collections reports what is wrong with a config in many ways, so that is looked at first.
        if (named := named_config(argv)) is not None:
            config = load_config(named)
            for argument in argv:
                if match := re.match(r"--?(?:no)?config\.([^=]*)", argument):
                    check_key(config, match[1])
        if _HELP & set(argv):
            _print(_usage(main, own, config))
            sys.exit(0)
        extra = flags.FLAGS(argv)[1:]
    except flags.UnrecognizedFlagError as error:
        raise UserError(f"flag --{error.flagname} is unknown{nearest(error.flagname, own)}") from None
    except flags.IllegalFlagValueError as error:
        raise UserError(_explain(error, config)) from None
    except flags.Error as error:
        raise UserError(error) from None
    for name in required:
        if flags.FLAGS[name].value in (None, ""):
            raise UserError(f"flag --{name} is required: {own[name]}")
    for word in extra:
        if word not in words:
            also = f", and {', '.join(words)} may be given" if words else ""
            raise UserError(f"argument {word!r} is not understood; flags look like --name=value{also}")
    return argv


def _smoked(argv):
    """The command line with a flag --smoke made into the argument of the config that it stands for."""
    named = named_config(argv)
    if named is None or "--smoke" not in argv:
        return argv
    smoked = f"{named},smoke" if ":" in named else f"{named}:smoke"
    return _renamed([word for word in argv if word != "--smoke"], smoked)


def _found(argv):
    """The command line with the path of the config as a person means it, where it is not there as typed."""
    path, *argument = (named_config(argv) or "").split(":", 1)
    if not path or os.path.isfile(path):
        return argv
    return _renamed(argv, ":".join([str(files.user_path(path)), *argument]))


def _renamed(argv, config):
    """The command line with another config in the place of the one that it names."""
    named = named_config(argv)
    return [config if word == named else word.replace(f"config={named}", f"config={config}") for word in argv]


def named_config(argv):
    """The value of the last `--config=VALUE` or `--config VALUE`, or None."""
    named = None
    for argument, following in zip(argv, [*argv[1:], ""], strict=True):
        if match := re.fullmatch(r"--?config(?:=(.*))?", argument, re.DOTALL):
            named = following if match[1] is None else match[1]
    return named


def with_argument(argv, argument, given):
    """The config that `--config=` names, with one more argument in the place of what it contradicts.

    Args:
      argv: the command line.
      argument: "KEY=VALUE".
      given: the config as flags made it; all but its terms are kept.
    """
    path, _, named = named_config(argv).partition(":")
    key = argument.partition("=")[0]
    kept = [item for item in named.split(",") if item and item.partition("=")[0] != key]
    config = load_config(f"{path}:{','.join([*kept, argument])}").copy_and_resolve_references()
    with config.unlocked():
        for name, value in given.items():
            if name != "terms":
                config[name] = value
    return config


def _explain(error, config):
    """What value a key of the config takes, where that is what absl's error is about."""
    match = re.match(r"flag --config\.([\w.]+)=(.*?): ", str(error), re.DOTALL)
    if not match:
        return error
    kind = config_type(config, match[1])
    return f"config key {match[1]!r} must be of type {kind}; got {match[2]!r}"


def config_type(config, key):
    """Name of the type of a dotted key's value."""
    *parents, last = key.split(".")
    for parent in parents:
        config = config[parent]
    kind = config.get_type(last)
    return "dict" if issubclass(kind, ml_collections.ConfigDict) else kind.__name__


def _usage(main, own, config):
    lines = [(sys.modules[main.__module__].__doc__ or "").strip(), "", "Flags:"]
    lines += [f"  --{name}: {text}" for name, text in own.items()]
    if config is None:
        return "\n".join([*lines, "", "With --config=FILE, --help lists the keys of that config as well."])
    lines.append("  --smoke: cut the config down to seconds, as --config=FILE:smoke does")
    lines += ["", "Keys of the config, set by --config.KEY=VALUE, and their values:"]
    leaves = [(k, v) for k, v in _items(config) if not isinstance(v, ml_collections.ConfigDict)]
    return "\n".join([*lines, *(f"  {key} = {value!r}" for key, value in leaves)])


def _items(config, prefix=""):
    """(dotted key, value) of a config and of every config inside it."""
    for key, value in config.items():
        yield prefix + key, value
        if isinstance(value, ml_collections.ConfigDict):
            yield from _items(value, f"{prefix}{key}.")


def _print(text):
    """Writes text that may hold paths to stdout, past its buffer: it is there or the user hears of it."""
    with files.writing("to the standard output"):
        os.write(sys.stdout.fileno(), os.fsencode(f"{text}\n"))


def _end(message, status):
    notify(f"error: {message}")
    if jax.distributed.is_initialized():
        os._exit(status)  # An orderly end waits for the other processes, which wait for this one.
    sys.exit(status)
