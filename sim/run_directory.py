"""Run directories: written under a temporary name and moved into place, so that none is ever half there."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sim.results import FLOAT_FORMAT
from workloads.errors import InputError
from workloads.yaml_file import dump_yaml

RUN_FILE, STEPS_FILE, ACTIONS_FILE = "run.json", "steps.csv", "actions.csv"
WORKLOAD_FILE, ARCHITECTURE_FILE = "workload.yaml", "architecture.yaml"
RUN_FILES = (RUN_FILE, STEPS_FILE, ACTIONS_FILE, WORKLOAD_FILE, ARCHITECTURE_FILE)


def check_target(directory: Path) -> Path:
    """Refuse a directory that holds something other than an earlier run, before any work is done.

    Raises:
        InputError: the path is a file, a directory with other content, or cannot be written to.
    """
    if directory.exists() and not directory.is_dir():
        raise InputError(f"--out {directory}: is a file; a directory is needed")
    if directory.is_dir() and any(directory.iterdir()) and not (directory / RUN_FILE).is_file():
        raise InputError(f"--out {directory}: holds something other than a run ({RUN_FILE}); it is left as it is")
    require_writable_parent(directory, "--out")
    return directory


def check_outputs_file(path: Path, directory: Path | None) -> Path:
    """Refuse a file for the machine's values that cannot be written, before any work is done.

    Raises:
        InputError: the path is a directory, cannot be written to, or is one of the files of the run in `directory`.
    """
    return check_file(path, directory, "--save-outputs")


def check_trace_file(path: Path, directory: Path | None) -> Path:
    """Refuse a file for the events that cannot be written or that no viewer would know, before any work is done.

    Raises:
        InputError: as in `check_outputs_file`, or the name does not end in .json.gz.
    """
    if not path.name.endswith(".json.gz"):
        raise InputError(f"--trace {path}: the name must end in .json.gz, by which viewers know the format")
    return check_file(path, directory, "--trace")


def check_file(path: Path, directory: Path | None, option: str) -> Path:
    """Refuse a file beside the run that cannot be written.

    Raises:
        InputError: the path is a directory, cannot be written to, or is one of the files of the run in `directory`.
    """
    if path.is_dir():
        raise InputError(f"{option} {path}: is a directory; a file is needed")
    if directory is not None:
        own = [directory, *(directory / name for name in RUN_FILES)]
        if path.absolute() in [taken.absolute() for taken in own]:
            raise InputError(f"{option} {path}: the run itself is written there; choose another file")
    require_writable_parent(path, option)
    return path


def require_writable_parent(path: Path, option: str) -> None:
    """Refuse a path whose nearest existing parent cannot be written to.

    Raises:
        InputError: names the option, the path and the parent.
    """
    parent = path.absolute().parent
    while not parent.exists():
        parent = parent.parent
    if not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
        raise InputError(f"{option} {path}: nothing can be written in {parent}")


def write_run(directory: Path, record: dict[str, Any], steps: pd.DataFrame, actions: pd.DataFrame) -> None:
    """Write the files of a run, the resolved YAML of both inputs among them; replace an earlier run."""
    directory.absolute().parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=f".{directory.name}-", dir=directory.absolute().parent))
    try:
        (fresh / RUN_FILE).write_text(json.dumps(record, indent=2, sort_keys=False) + "\n", encoding="utf-8")
        steps.to_csv(fresh / STEPS_FILE, index=False, float_format=FLOAT_FORMAT, lineterminator="\n")
        actions.to_csv(fresh / ACTIONS_FILE, index=False, lineterminator="\n")
        (fresh / WORKLOAD_FILE).write_text(dump_yaml(record["workload"]), encoding="utf-8")
        (fresh / ARCHITECTURE_FILE).write_text(dump_yaml(record["architecture"]), encoding="utf-8")
        fresh.chmod(0o755)
        if directory.exists():
            exchange_directory(directory, fresh)
        else:
            fresh.replace(directory)
    except BaseException:
        shutil.rmtree(fresh, ignore_errors=True)
        raise


def exchange_directory(directory: Path, fresh: Path) -> None:
    """Put `fresh` in the place of `directory`, which comes back if that fails."""
    aside = Path(tempfile.mkdtemp(prefix=f".{directory.name}-old-", dir=directory.absolute().parent))
    try:
        directory.replace(aside)
        try:
            fresh.replace(directory)
        except BaseException:
            aside.replace(directory)
            raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def write_outputs(path: Path, outputs: dict[str, NDArray[np.float32]]) -> None:
    """Write the machine's values to an .npz file, ``<layer>/<step>`` to array."""

    def write(temporary: Path) -> None:
        with temporary.open("wb") as file:
            np.savez(file, **outputs)  # type: ignore[arg-type]

    replace_file(path, write)


def replace_file(path: Path, write: Callable[[Path], None]) -> None:
    """Let `write` fill a temporary file beside `path`, then move it into place."""
    path.absolute().parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.absolute().parent)
    os.close(handle)
    temporary = Path(name)
    try:
        write(temporary)
        temporary.chmod(0o644)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
