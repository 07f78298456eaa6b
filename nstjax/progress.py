"""The progress of long work: a bar on a terminal and in a notebook, nothing elsewhere."""

import contextlib
import importlib
import sys
from typing import Any

import tqdm


def progress_bar(*arguments: Any, **options: Any) -> tqdm.tqdm:
    """A bar of tqdm on stderr, or in the cell of a notebook; silent where stderr is a file or a pipe.

    Args: as of `tqdm.tqdm`, but for `disable`.
    """
    if in_notebook():
        return importlib.import_module("tqdm.auto").tqdm(*arguments, **options)
    return tqdm.tqdm(*arguments, **options, disable=None)


def lines_above_bars() -> contextlib.AbstractContextManager:
    """What is printed to stderr meanwhile stands above the bars."""
    return tqdm.tqdm.external_write_mode(file=sys.stderr)


def in_notebook() -> bool:
    """Whether this process is the kernel of a notebook."""
    interactive = sys.modules.get("IPython")
    return getattr(interactive and interactive.get_ipython(), "kernel", None) is not None
