"""What tests share: where the real weights and pictures lie, and a count of compilations."""

import contextlib
import os
import tempfile
from pathlib import Path

import jax
import pytest
from checkpoints import torch  # noqa: F401, a fixture

from experiments.command import use_eigen

SHARED = Path(os.environ.get("NSTJAX_SHARED", Path(__file__).parents[2] / "shared"))


def pytest_configure(config):
    """Makes what drivers make, compiled faster, to slower programs; `make test-all` tests what users run."""
    use_eigen()
    if config.option.markexpr:
        os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] = "1"
        if jax.__version_info__ < (0, 11):  # later ones end a process that sets the flag
            flags = os.environ.get("XLA_FLAGS", "")
            os.environ["XLA_FLAGS"] = f"{flags} --xla_cpu_use_fusion_emitters=false"
        jax.config.update("jax_disable_most_optimizations", True)
    if not hasattr(config, "workerinput"):
        _share_programs(config)


def _share_programs(config):
    """Workers, drivers and modules use what one of them compiled, in a folder of this run of the tests."""
    folder = tempfile.TemporaryDirectory(prefix="programs-")
    config.add_cleanup(folder.cleanup)
    os.environ["JAX_COMPILATION_CACHE_DIR"] = folder.name
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0.1"
    jax.config.update("jax_compilation_cache_dir", folder.name)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)


@pytest.fixture(scope="module", autouse=True)
def _memory():
    """Gives up what a module compiled: gigabytes, over the whole suite."""
    yield
    jax.clear_caches()


@pytest.fixture
def shared():
    """Folder of real weights and pictures; the test is skipped where it is absent."""
    if not SHARED.is_dir():
        pytest.skip(f"real weights and pictures are not at {SHARED} (set NSTJAX_SHARED)")
    return SHARED


@pytest.fixture
def compilations():
    """A context manager that counts XLA compilations in the list it gives."""

    @contextlib.contextmanager
    def count():
        seen = []

        def listen(event, duration, **_):
            if event == "/jax/core/compile/backend_compile_duration":
                seen.append(duration)

        jax.monitoring.register_event_duration_secs_listener(listen)
        try:
            yield seen
        finally:
            jax.monitoring.unregister_event_duration_listener(listen)

    return count
