"""Whether kernels have yet to be compiled, told from numba's cache."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import sim.run
from sim.kernels import COMPILING, discard_stale, find_kernels, lacks_compiled
from sim.run import simulate

PACKAGE = "small_kernels"
SOURCE = """\
import numba

@numba.njit(cache=True)
def double(value):
    return 2 * value

@numba.njit(cache=True)
def halve(value):
    return value // 2

from math import sqrt
"""


def import_kernels() -> ModuleType:
    """Import the package as a new process would."""
    for name in [name for name in sys.modules if name.startswith(PACKAGE)]:
        del sys.modules[name]
    importlib.invalidate_caches()
    return importlib.import_module(f"{PACKAGE}.numbers")


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = tmp_path / PACKAGE
    folder.mkdir()
    (folder / "numbers.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(tmp_path)
    yield folder / "numbers.py"
    for name in [name for name in sys.modules if name.startswith(PACKAGE)]:
        del sys.modules[name]


def test_kernels_are_found_in_the_module_that_defines_them(source: Path) -> None:
    (source.parent / "user.py").write_text(f"from {PACKAGE}.numbers import double\n")
    import_kernels()
    importlib.import_module(f"{PACKAGE}.user")
    assert [kernel.py_func.__name__ for kernel in find_kernels(PACKAGE)] == ["double", "halve"]


@pytest.mark.usefixtures("source")
def test_a_package_lacks_compiled_kernels_until_one_was_called() -> None:
    kernels = import_kernels()
    assert lacks_compiled(PACKAGE)
    assert kernels.double(3) == 6
    assert not lacks_compiled(PACKAGE)
    import_kernels()
    assert not lacks_compiled(PACKAGE)


def test_a_changed_source_lacks_them_again(source: Path) -> None:
    assert import_kernels().double(3) == 6
    source.write_text(SOURCE + "\n")
    later = source.stat().st_mtime + 10
    os.utime(source, (later, later))
    import_kernels()
    assert lacks_compiled(PACKAGE)


def test_kernels_that_call_a_changed_one_are_compiled_anew(source: Path) -> None:
    other = source.parent / "callers.py"
    other.write_text(
        f"import numba\nfrom {PACKAGE}.numbers import double\n\n"
        "@numba.njit(cache=True)\ndef quadruple(value):\n    return double(double(value))\n"
    )
    import_kernels()
    assert importlib.import_module(f"{PACKAGE}.callers").quadruple(3) == 12
    discard_stale([PACKAGE])
    assert not lacks_compiled(PACKAGE)
    source.write_text(SOURCE.replace("2 * value", "3 * value"))
    later = source.stat().st_mtime + 10
    os.utime(source, (later, later))
    import_kernels()
    callers = importlib.import_module(f"{PACKAGE}.callers")
    discard_stale([PACKAGE])
    assert callers.quadruple(3) == 27


def test_a_package_without_kernels_lacks_none() -> None:
    assert not lacks_compiled("json")


@pytest.mark.parametrize(("must", "notices"), [(True, [COMPILING]), (False, [])])
def test_a_run_says_that_it_compiles_before_it_starts(
    must: bool, notices: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[set[str], str]] = []

    def must_compile(dataflows: set[str], engine: str) -> bool:
        asked.append((dataflows, engine))
        return must

    monkeypatch.setattr(sim.run, "must_compile", must_compile)
    told: list[str] = []
    simulate("lenet5", layers="fc3", steps=["forward"], batch=1, operands="synthetic", on_notice=told.append)
    assert told == notices
    assert asked == [({"sparsetrain"}, "compiled")]
