"""The drivers, each a page of flags.

An interrupt while a driver is still importing is one line, as it is afterwards (`experiments.command`).
"""

import os
import sys

os.environ["MPLBACKEND"] = "agg"  # Reports are drawn without a screen, whatever backend a person has set.


def _excepthook(kind, error, trace):
    if issubclass(kind, KeyboardInterrupt):
        print("error: interrupted", file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, trace)


sys.excepthook = _excepthook
