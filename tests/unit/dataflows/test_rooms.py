"""Every module of dataflows is imported by a unit test of its own package."""

from __future__ import annotations

import ast
from pathlib import Path

import dataflows

PACKAGE, TESTS = Path(dataflows.__file__).parent, Path(__file__).parent


def list_imports(path: Path) -> set[str]:
    """Name the modules that a test imports from."""
    return {
        node.module
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and node.module
    }


def test_every_module_is_imported_by_a_unit_test() -> None:
    paths = [path for path in PACKAGE.rglob("*.py") if path.name != "__init__.py"]
    modules = {".".join((PACKAGE.name, *path.relative_to(PACKAGE).with_suffix("").parts)) for path in paths}
    imported = set().union(*(list_imports(path) for path in TESTS.rglob("test_*.py")))
    assert sorted(modules - imported) == []
