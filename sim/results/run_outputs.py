"""What a run writes: its directory, the machine's values, the trace; all of it together or nothing."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from sim.results.run_directory import RUN_FILES, RunDirectory, check_directory, stage_run
from sim.results.trace_file import WHOLE, IterationTrace, Window, fill_trace
from workloads.errors import InputError
from workloads.output_files import OutputSet, OutputTarget, check_output

if TYPE_CHECKING:
    import pandas as pd

# The first time that a zip archive can hold, so that equal values make equal files.
ENTRY_DATE = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class OutputRequest:
    """What is written of a run, each None where it is not asked for.

    Attributes:
        directory: For ``run.json`` and the tables.
        overwrite: Whether it may hold a run of other inputs.
        values: An .npz file.
        trace: A .json.gz file, of the events that touch a window.
    """

    directory: str | Path | None = None
    overwrite: bool = False
    values: str | Path | None = None
    trace: str | Path | None = None
    trace_window: Window = WHOLE


@dataclass(frozen=True, slots=True)
class RunTargets:
    """Where a run's results go, each None where it is not asked for."""

    directory: RunDirectory | None = None
    values: OutputTarget | None = None
    trace: OutputTarget | None = None


def check_targets(request: OutputRequest, inputs: Mapping[str, Any]) -> RunTargets:
    """Refuse what cannot be written, before any work is done.

    Args:
        inputs: Of the run.

    Raises:
        InputError: names the option and the path.
    """
    out, save_outputs, trace, overwrite = request.directory, request.values, request.trace, request.overwrite
    directory = None if out is None else check_directory(Path(out), inputs, overwrite=overwrite)
    values = None if save_outputs is None else check_output(Path(save_outputs), "--save-outputs")
    if trace is not None and not Path(trace).name.endswith(".json.gz"):
        raise InputError(f"--trace {trace}: the name must end in .json.gz, by which viewers know the format")
    events = None if trace is None else check_output(Path(trace), "--trace")
    for target in filter(None, (values, events)):
        if directory is not None and target.place in list_reserved(directory.place):
            raise InputError(f"{target.label}: the run itself is written there; choose another file")
    if values is not None and events is not None and values.place == events.place and not values.is_stream:
        raise InputError(f"{events.label}: the machine's values are written there; choose another file")
    return RunTargets(directory, values, events)


def list_reserved(directory: Path) -> list[Path]:
    """List the paths at which no other output can lie beside a run's directory."""
    return [directory, *directory.parents, *(directory / name for name in RUN_FILES)]


@dataclass(frozen=True, eq=False)
class RunFindings:
    """What is written of a run: rows of its two tables, its record, the machine's values and its events."""

    record: Mapping[str, Any]
    steps: pd.DataFrame
    actions: pd.DataFrame
    values: Mapping[str, NDArray[np.float32]]
    trace: IterationTrace | None


def write_results(targets: RunTargets, found: RunFindings, confirm: Callable[[], None]) -> None:
    """Write everything under temporary names, call `confirm`, move everything into place.

    What `confirm` raises, such as that nobody reads what it prints, leaves nothing written.

    Raises:
        InputError: something cannot be written.
    """
    with OutputSet() as outputs:
        if targets.directory is not None:
            stage_run(outputs, targets.directory, found.record, found.steps, found.actions)
        if targets.values is not None:
            outputs.write(targets.values, lambda path: fill_values(path, found.values))
        if targets.trace is not None and (events := found.trace) is not None:
            outputs.write(targets.trace, lambda path: fill_trace(path, events))
        confirm()
        outputs.commit()


def fill_values(path: Path, values: Mapping[str, NDArray[np.float32]]) -> None:
    """Write the machine's values as .npz, ``<layer>/<step>`` to array."""
    # numpy.savez leaves its archive open where the disk is full.
    with zipfile.ZipFile(path, "w") as archive:
        for name, array in values.items():
            with archive.open(zipfile.ZipInfo(f"{name}.npy", ENTRY_DATE), "w", force_zip64=True) as file:
                npy.write_array(file, array, allow_pickle=False)
