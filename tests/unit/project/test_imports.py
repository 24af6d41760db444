"""Every library that the packages import is declared, and what only an extra brings is imported where it is used."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[3]
PACKAGES = ("workloads", "dataflows", "sim", "reports")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
DISTRIBUTIONS = packages_distributions()
# Files that are imported only once their extra is known to be there; `test_lazy_imports.py` sees to that.
FILES_OF_EXTRAS = {"workloads/capture/*.py": "torch", "workloads/training/hosts/torch_*.py": "torch"}


def declared(texts: list[str]) -> set[str]:
    """Name the packages of requirements; dask[distributed] brings a package by the name of its extra."""
    requirements = [Requirement(text) for text in texts]
    return {canonicalize_name(name) for one in requirements for name in (one.name, *one.extras)}


def list_imports(node: ast.AST, *, is_deferred: bool = False) -> Iterator[tuple[str, bool]]:
    """List the imported top-level modules, and whether importing the file leaves them alone."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and isinstance(child.test, ast.Name) and child.test.id == "TYPE_CHECKING":
            continue
        if isinstance(child, ast.Import):
            yield from ((name.name.partition(".")[0], is_deferred) for name in child.names)
        elif isinstance(child, ast.ImportFrom) and child.module and not child.level:
            yield child.module.partition(".")[0], is_deferred
        else:
            is_function = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            yield from list_imports(child, is_deferred=is_deferred or is_function)


@pytest.mark.parametrize("package", PACKAGES)
def test_every_library_that_is_imported_is_declared(package: str) -> None:
    running = declared(PROJECT["dependencies"])
    deferred = running | declared([*EXTRAS["search"], *EXTRAS["dask"], *EXTRAS["parquet"], *EXTRAS["torch"]])
    undeclared = []
    for path in sorted((ROOT / package).rglob("*.py")):
        inner = path.relative_to(ROOT)
        extras = [extra for pattern, extra in FILES_OF_EXTRAS.items() if inner.match(pattern)]
        allowed = running.union(*(declared(EXTRAS[extra]) for extra in extras))
        for module, is_deferred in list_imports(ast.parse(path.read_text(encoding="utf-8"))):
            if module in sys.stdlib_module_names or module in PACKAGES:
                continue
            names = {canonicalize_name(name) for name in DISTRIBUTIONS.get(module, [module])}
            if not names & (deferred if is_deferred else allowed):
                undeclared.append(f"{path.relative_to(ROOT)}: {module}")
    assert undeclared == []


def test_no_file_tells_to_install_the_package_from_an_index() -> None:
    folders = [*(ROOT / package for package in PACKAGES), ROOT / "tests", ROOT / ".ci"]
    files = [path for folder in folders for path in folder.rglob("*") if path.suffix in ("", ".py", ".md", ".yaml")]
    read = {path: path.read_text(encoding="utf-8") for path in [*files, *ROOT.glob("*.md")] if path.is_file()}
    dead = re.compile(r"pip install (?:-\S+ )*['\"]?sparse" + r"train\b")
    assert [path for path, text in read.items() if dead.search(text)] == []
