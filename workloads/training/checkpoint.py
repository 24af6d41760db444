"""Checkpoints: a whole training in one file, replaced in one move, so that there is always a good one.

It holds the state behind an epoch and the records of all epochs up to it. What else a training depends on is told by a
digest of its inputs, and a checkpoint of other inputs is refused.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from workloads.errors import InputError
from workloads.npz_file import ArrayArchive, open_npz, write_npz
from workloads.optimisers.optimiser import OptimiserState
from workloads.output_files import name_temporary, naming_failures
from workloads.pruning import PruningState
from workloads.training.record import EpochRecord
from workloads.training.state import Arrays, TrainingState

FORM = 1
META = "meta"
RECORDS = TypeAdapter(tuple[EpochRecord, ...])
KINDS = ("parameters", "statistics", "slots")


def save_checkpoint(path: Path, state: TrainingState, records: Sequence[EpochRecord], digest: str) -> None:
    """Write a checkpoint in the place of the one before, or leave that one as it is.

    Raises:
        InputError: it cannot be written, as where the disk is full.
    """
    pruning = state.pruning
    meta: dict[str, Any] = {
        "form": FORM,
        "inputs": digest,
        "epoch": state.epoch,
        "iteration": state.iteration,
        "updates": state.optimiser.updates,
        "pruning": None if pruning is None else {"depth": pruning.depth, "taus": dict(pruning.taus)},
        "records": RECORDS.dump_python(tuple(records), mode="json"),
    }
    arrays: dict[str, NDArray[Any]] = {META: np.frombuffer(json.dumps(meta).encode(), dtype=np.uint8)}
    arrays |= {f"parameters/{name}": values for name, values in state.parameters.items()}
    arrays |= {f"statistics/{name}": values for name, values in state.statistics.items()}
    for parameter, slots in state.optimiser.slots.items():
        arrays |= {f"slots/{slot}/{parameter}": values for slot, values in slots.items()}
    replace_file(path, arrays)


def replace_file(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write arrays into a file that stands there whole at any moment, also behind a loss of power.

    Raises:
        InputError: it cannot be written.
    """
    temporary = name_temporary(path)
    try:
        with naming_failures(str(path), path):
            write_npz(temporary, arrays, compresses=False)
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
            temporary.replace(path)
            folder = os.open(path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
    finally:
        temporary.unlink(missing_ok=True)


def load_checkpoint(path: Path, digest: str, expected: TrainingState) -> tuple[TrainingState, tuple[EpochRecord, ...]]:
    """Read a checkpoint.

    Args:
        expected: A state of the training, whose names and shapes the arrays must have.

    Raises:
        InputError: the file is damaged, of another form, or of a training with other inputs.
    """
    with open_npz(path) as archive:
        meta = read_meta(path, archive)
        if meta["inputs"] != digest:
            raise InputError(
                f"{path}: is the checkpoint of a training with other inputs (workload, data, settings or version); "
                "choose another folder, or give --overwrite to begin anew"
            )
        arrays = {kind: read_arrays(archive, kind) for kind in KINDS}
    check_arrays(path, "parameters", arrays["parameters"], expected.parameters)
    check_arrays(path, "statistics", arrays["statistics"], expected.statistics)
    slots: dict[str, dict[str, NDArray[np.float32]]] = {}
    for name, values in arrays["slots"].items():
        slot, _, parameter = name.partition("/")
        slots.setdefault(parameter, {})[slot] = values
        if parameter not in expected.parameters or values.shape != expected.parameters[parameter].shape:
            raise InputError(f"{path}: the array 'slots/{name}' belongs to no parameter of the network")
    pruning = meta["pruning"]
    taus = {} if pruning is None else {node: tuple(values) for node, values in pruning["taus"].items()}
    state = TrainingState(
        epoch=meta["epoch"],
        iteration=meta["iteration"],
        parameters={name: arrays["parameters"][name] for name in expected.parameters},
        optimiser=OptimiserState(meta["updates"], {name: slots[name] for name in expected.parameters if name in slots}),
        statistics={name: arrays["statistics"][name] for name in expected.statistics},
        pruning=None if pruning is None else PruningState(pruning["depth"], taus),
    )
    return state, meta["records"]


def read_meta(path: Path, archive: ArrayArchive) -> dict[str, Any]:
    """Read what a checkpoint holds beside arrays.

    Raises:
        InputError: it is no checkpoint, or one of another form.
    """
    if META not in archive:
        raise InputError(f"{path}: is no checkpoint of a training")
    try:
        meta: dict[str, Any] = json.loads(archive[META].tobytes())
        form = meta["form"]
        if form == FORM:
            meta["records"] = RECORDS.validate_python(meta["records"], strict=False)
    except (ValueError, KeyError, TypeError, ValidationError):
        raise InputError(f"{path}: is a damaged checkpoint") from None
    if form != FORM:
        raise InputError(f"{path}: is a checkpoint of form {form}; this version reads form {FORM}")
    return meta


def read_arrays(archive: ArrayArchive, kind: str) -> dict[str, NDArray[np.float32]]:
    """Read the arrays of a kind by their names within it."""
    beginning = f"{kind}/"
    return {name.removeprefix(beginning): archive[name] for name in archive if name.startswith(beginning)}


def check_arrays(path: Path, kind: str, found: Arrays, expected: Arrays) -> None:
    """Refuse arrays that are not those of the training.

    Raises:
        InputError: names the first.
    """
    for name in first_of(found.keys() ^ expected.keys()):
        raise InputError(f"{path}: the array '{kind}/{name}' is missing, or belongs to no layer of the network")
    for name, values in expected.items():
        if found[name].shape != values.shape or found[name].dtype != values.dtype:
            raise InputError(
                f"{path}: the array '{kind}/{name}' must be {values.dtype} of shape {values.shape}, "
                f"got {found[name].dtype} of shape {found[name].shape}"
            )


def first_of(names: Iterable[str]) -> list[str]:
    """Give the first of some names, or none."""
    return sorted(names)[:1]
