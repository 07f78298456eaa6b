"""Public functions say what they take and what they return."""

import ast
import re
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "nstjax"
# Add a package here once its functions pass.
DOCUMENTED = ("losses", "ops", "transforms")
FACTORIES = {"losses": "Loss", "transforms": "Transform"}


def public_functions(package):
    """(file, function) of every public function and method of a package."""
    for path in sorted((PACKAGE / package).rglob("*.py")):
        tree = ast.parse(path.read_text())
        classes = [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name[0] != "_"]
        for scope in (tree, *classes):
            for node in scope.body:
                if isinstance(node, ast.FunctionDef) and node.name[0] != "_":
                    yield path.name, node


def parameters(function):
    a = function.args
    names = [p.arg for p in (*a.posonlyargs, *a.args, *a.kwonlyargs, a.vararg, a.kwarg) if p is not None]
    return [name for name in names if name not in ("self", "cls")]


SECTION = re.compile(r"^(Args|Returns|Raises|References|Differs)(?: from .*?)?:", re.M)


def sections(function):
    """{section: text} of a docstring, in the order in which they stand there."""
    _, *parts = SECTION.split(docstring(function))
    return dict(zip(parts[::2], parts[1::2], strict=True))


def docstring(function):
    return ast.get_docstring(function) or ""


@pytest.mark.parametrize("package", DOCUMENTED)
def test_functions_of_three_parameters_explain_them(package):
    bare = [
        f"{file}:{function.name}"
        for file, function in public_functions(package)
        if len(parameters(function)) >= 3 and "Args" not in sections(function)
    ]
    assert not bare


@pytest.mark.parametrize("package", DOCUMENTED)
def test_functions_have_docstrings(package):
    assert not [f"{file}:{f.name}" for file, f in public_functions(package) if not docstring(f)]


def factories():
    for package, kind in FACTORIES.items():
        names = {
            alias.name
            for node in ast.parse((PACKAGE / package / "__init__.py").read_text()).body
            if isinstance(node, ast.ImportFrom)
            for alias in node.names
        }
        for _, function in public_functions(package):
            if function.name in names:
                yield pytest.param(function, kind, id=f"{package}.{function.name}")


@pytest.mark.parametrize("function, kind", factories())
def test_factories_document_their_arguments_and_what_they_return(function, kind):
    found = sections(function)
    assert f"`{kind}`" in found["Returns"]
    assert function.returns is not None and ast.unparse(function.returns) == kind
    arguments = [*function.args.args, *function.args.kwonlyargs]
    assert all(argument.annotation for argument in arguments)
    for name in (argument.arg for argument in arguments):
        assert re.search(rf"^\s+([\w, ]+, )?{name}(, [\w, ]+)?:", found["Args"], flags=re.M), name
    refuses = any(
        isinstance(node, ast.Raise) or (isinstance(node, ast.Call) and "check" in ast.unparse(node.func))
        for node in ast.walk(function)
    )
    assert "Raises" in found or not refuses
    order = [name for name in ("Args", "Returns", "Raises", "Differs", "References") if name in found]
    assert list(found) == order
    assert docstring(function).rfind(">>>") > docstring(function).rfind(f"{list(found)[-1]}")
