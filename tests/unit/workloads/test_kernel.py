"""Kernels: what is registered, what is compiled, and when a compiled form is stale."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from workloads.kernel import KERNELS, freeze

PACKAGE = "small_kernels"
SOURCES = {
    "sizes": "FACTOR = 2\nOTHER = 5\n",
    "numbers": (
        f"from workloads.kernel import kernel\nfrom {PACKAGE}.sizes import FACTOR, OTHER\n\n"
        "@kernel\ndef double(value: int) -> int:\n    return FACTOR * value\n\n"
        "@kernel\ndef halve(value: int) -> int:\n    return value // 2\n"
    ),
    "callers": (
        f"from workloads.kernel import kernel\nfrom {PACKAGE}.numbers import double\n\n"
        "@kernel\ndef quadruple(value: int) -> int:\n    return double(double(value))\n"
    ),
}


def forget() -> None:
    """Forget the package and its kernels."""
    for name in [name for name in sys.modules if name.split(".")[0] == PACKAGE]:
        del sys.modules[name]
    for name in [name for name in KERNELS if name.startswith(f"{PACKAGE}.")]:
        del KERNELS[name]


def import_kernels(module: str) -> ModuleType:
    """Import a module of the package as a new process would."""
    forget()
    importlib.invalidate_caches()
    return importlib.import_module(f"{PACKAGE}.{module}")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = tmp_path / PACKAGE
    folder.mkdir()
    for module, source in SOURCES.items():
        (folder / f"{module}.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield folder
    forget()


def change(folder: Path, module: str, old: str, new: str) -> None:
    """Change a source; its size and time may stay as they are."""
    source = (folder / f"{module}.py").read_text()
    assert old in source
    (folder / f"{module}.py").write_text(source.replace(old, new))


@pytest.mark.usefixtures("folder")
def test_a_kernel_is_registered_where_its_module_is_imported() -> None:
    import_kernels("callers")
    names = [name for name in KERNELS if name.startswith(f"{PACKAGE}.")]
    assert names == [f"{PACKAGE}.numbers.double", f"{PACKAGE}.numbers.halve", f"{PACKAGE}.callers.quadruple"]


def test_every_kernel_of_the_simulator_is_registered_once_under_the_module_that_defines_it() -> None:
    importlib.import_module("sim.run")
    own = [one for name, one in KERNELS.items() if name.startswith(("workloads.", "dataflows.", "sim."))]
    assert own
    for one in own:
        assert getattr(sys.modules[one.function.__module__], one.function.__name__) is one


@pytest.mark.usefixtures("folder")
def test_a_kernel_that_was_called_from_python_is_compiled_for_the_next_process() -> None:
    kernels = import_kernels("callers")
    assert not kernels.quadruple.is_compiled
    assert kernels.quadruple(3) == 12
    assert import_kernels("callers").quadruple.is_compiled


@pytest.mark.usefixtures("folder")
def test_a_kernel_that_kernels_alone_call_is_compiled_into_them_and_has_no_form_of_its_own() -> None:
    kernels = import_kernels("callers")
    kernels.quadruple(3)
    assert not kernels.double.is_compiled
    assert list(kernels.double.part.signatures) == list(kernels.quadruple.entry.signatures)


@pytest.mark.parametrize(
    ("module", "old", "new", "result"),
    [
        ("callers", "double(double(value))", "double(double(value)) + 1", 13),
        ("numbers", "FACTOR * value", "FACTOR + value", 7),
        ("sizes", "FACTOR = 2", "FACTOR = 3", 27),
    ],
)
def test_a_changed_kernel_callee_or_constant_makes_the_compiled_form_stale(
    folder: Path, module: str, old: str, new: str, result: int
) -> None:
    assert import_kernels("callers").quadruple(3) == 12
    change(folder, module, old, new)
    kernels = import_kernels("callers")
    assert not kernels.quadruple.is_compiled
    assert kernels.quadruple(3) == result


@pytest.mark.parametrize(
    ("module", "old", "new"),
    [
        ("numbers", "value // 2", "value // 4"),
        ("sizes", "OTHER = 5", "OTHER = 6"),
        ("callers", "\n\n@kernel", "\n\n# Where a kernel stands is not what it does.\n@kernel"),
    ],
)
def test_what_a_kernel_does_not_use_leaves_its_compiled_form_as_it_is(
    folder: Path, module: str, old: str, new: str
) -> None:
    assert import_kernels("callers").quadruple(3) == 12
    change(folder, module, old, new)
    assert import_kernels("callers").quadruple.is_compiled


def test_what_a_changed_kernel_left_behind_is_overwritten(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import numba

    monkeypatch.setattr(numba.config, "CACHE_DIR", "")
    import_kernels("callers").quadruple(3)
    written = sorted(path.name for path in (folder / "__pycache__").glob("*.nb*"))
    change(folder, "callers", "\n\n@kernel", "\n\n\n@kernel")
    change(folder, "callers", "double(double(value))", "double(value)")
    assert import_kernels("callers").quadruple(3) == 6
    assert sorted(path.name for path in (folder / "__pycache__").glob("*.nb*")) == written


def test_arrays_of_all_kinds_are_one_kind_once_they_are_frozen() -> None:
    square = np.arange(9).reshape(3, 3)
    for array in (square, square.T, freeze(square)):
        frozen = freeze(array)
        assert frozen.flags.c_contiguous
        assert not frozen.flags.writeable
        assert frozen.tolist() == array.tolist()
    assert square.flags.writeable


# What stays in the buffer is decided over the steps of the whole iteration.
RUN = """\
from sim import load_architecture, simulate
from workloads.kernel import KERNELS
arch = load_architecture("sparsetrain", ("buffer.keep_on_chip=false",))
simulate("lenet5", arch, batch=1, operands="synthetic", layers="{layers}", steps={steps}, verify=False)
print(*sorted(name for name, one in KERNELS.items() if "entry" in vars(one)))
"""
ALWAYS = ["sim.machine.compiled.run_events", "sim.machine.recurrence.queue_transfers"]


@pytest.mark.parametrize(
    ("layers", "steps", "kernels"),
    [
        (
            "fc3",
            ["forward"],
            ["dataflows.sparsetrain.linear_products.tiling.try_products", "dataflows.tiling.bursts.pack_rows"],
        ),
        (
            "conv1",
            ["forward"],
            [
                "dataflows.sparsetrain.conv_rows.chunks.add_issues",
        "dataflows.sparsetrain.conv_rows.chunks.fill_bursts",
        "dataflows.sparsetrain.conv_rows.chunks.walk_chunks",
                "dataflows.tiling.rows_search.try_rows",
                "dataflows.tiling.spans.sum_units",
                "workloads.reference.windows.gather_elements",
            ],
        ),
    ],
)  # fmt: skip
def test_a_run_compiles_the_kernels_of_its_steps_alone(layers: str, steps: list[str], kernels: list[str]) -> None:
    code = RUN.format(layers=layers, steps=steps)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert [name for name in done.stdout.split() if name != "sim.machine.tile_timing.is_alike"] == sorted(
        [*kernels, *ALWAYS]
    )
