"""Writes docs/api.md: the public names of the public packages, each with the first line of its docstring.

python -m tools.api
"""

import importlib
import inspect
import pathlib

PACKAGES = ("losses", "transforms", "images", "networks", "optimize", "universal", "runs", "sweeps")
PATH = pathlib.Path(__file__).parents[1] / "docs" / "api.md"
HEAD = """# Public names

This page lists the public names of each package, with the first line of each docstring.

`help(nstjax.losses.gram)` shows the whole docstring. `python -m tools.api` writes this page.
"""


def page():
    """The text of docs/api.md."""
    packages = (importlib.import_module(f"nstjax.{name}") for name in PACKAGES)
    return HEAD + "".join(_section(package) for package in packages if hasattr(package, "__all__"))


def _section(package):
    names = sorted(package.__all__, key=str.lower)
    rows = "".join(_row(name, getattr(package, name)) for name in names)
    head = f"## {package.__name__}\n\n{_paragraph(package.__doc__)}\n\n| name | purpose |\n|---|---|"
    return f"\n{head}\n{rows}"


def _row(name, value):
    if callable(value):
        purpose = _paragraph(value.__doc__)
    elif isinstance(value, (dict, tuple)) and all(isinstance(member, str) for member in value):
        purpose = "The names " + ", ".join(f"`{member}`" for member in value) + "."
    else:
        purpose = f"The value `{value!r}`."
    return f"| `{name}` | {purpose.replace('|', '&#124;')} |\n"


def _paragraph(doc):
    """The first paragraph of a docstring, on one line."""
    return " ".join(inspect.cleandoc(doc).split("\n\n")[0].split())


if __name__ == "__main__":
    PATH.write_text(page())
