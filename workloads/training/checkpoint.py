"""Checkpoints: a whole training in one file, replaced in one move, so that there is always a good one.

It holds the state behind an epoch and the records of all epochs up to it. What else a training depends on is told by a
digest of its inputs, and a checkpoint of other inputs is refused.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field, ValidationError, model_validator

from workloads.errors import InputError
from workloads.layers import StrictModel
from workloads.npz_file import ArrayArchive, open_npz, write_npz
from workloads.optimisers.optimiser import OptimiserState
from workloads.output_files import name_temporary, naming_failures
from workloads.pruning import PruningState
from workloads.training.record import EpochRecord
from workloads.training.state import Arrays, TrainingState

FORM = 1
META = "meta"
KINDS = ("parameters", "statistics", "slots")
ANEW = "remove it to begin this training anew, or choose another folder"
Count = Annotated[int, Field(ge=0)]


class Thresholds(StrictModel):
    """The FIFO of thresholds, as a checkpoint holds it."""

    depth: Annotated[int, Field(ge=1)]
    taus: dict[str, tuple[float, ...]]

    @model_validator(mode="after")
    def _fit_the_fifo(self) -> Thresholds:
        PruningState(self.depth, self.taus)
        return self


class CheckpointMeta(StrictModel):
    """What a checkpoint holds beside arrays.

    Attributes:
        inputs: The digest of what the training depends on.
        updates: Of the optimiser.
    """

    model_config = ConfigDict(allow_inf_nan=True)

    form: Literal[1] = 1
    inputs: str
    epoch: Count
    iteration: Count
    updates: Count
    pruning: Thresholds | None
    records: tuple[EpochRecord, ...]

    @model_validator(mode="after")
    def _record_each_epoch(self) -> CheckpointMeta:
        if len(self.records) != self.epoch:
            raise ValueError(f"{len(self.records)} epochs are recorded, {self.epoch} are done")
        return self


def save_checkpoint(path: Path, state: TrainingState, records: Sequence[EpochRecord], digest: str) -> None:
    """Write a checkpoint in the place of the one before, or leave that one as it is.

    Raises:
        InputError: it cannot be written, as where the disk is full.
    """
    pruning = state.pruning
    meta = CheckpointMeta(
        inputs=digest,
        epoch=state.epoch,
        iteration=state.iteration,
        updates=state.optimiser.updates,
        pruning=None if pruning is None else Thresholds(depth=pruning.depth, taus=dict(pruning.taus)),
        records=tuple(records),
    )
    # JSON of the standard library: a test loss that is no finite number stays what it is.
    text = json.dumps(meta.model_dump(mode="python"))
    arrays: dict[str, NDArray[Any]] = {META: np.frombuffer(text.encode(), dtype=np.uint8)}
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
        if meta.inputs != digest:
            raise InputError(
                f"{path}: is the checkpoint of a training with other inputs (workload, data, settings or version); "
                f"{ANEW}"
            )
        arrays = {kind: read_arrays(archive, kind) for kind in KINDS}
    check_arrays(path, "parameters", arrays["parameters"], expected.parameters)
    check_arrays(path, "statistics", arrays["statistics"], expected.statistics)
    pruning = None if meta.pruning is None else PruningState(meta.pruning.depth, meta.pruning.taus)
    if (pruning is None) != (expected.pruning is None):
        raise InputError(f"{path}: is a damaged checkpoint; {ANEW}")
    state = TrainingState(
        epoch=meta.epoch,
        iteration=meta.iteration,
        parameters={name: arrays["parameters"][name] for name in expected.parameters},
        optimiser=OptimiserState(meta.updates, gather_slots(path, arrays["slots"], expected.parameters)),
        statistics={name: arrays["statistics"][name] for name in expected.statistics},
        pruning=pruning,
    )
    return state, meta.records


def gather_slots(path: Path, found: Arrays, parameters: Arrays) -> dict[str, dict[str, NDArray[np.float32]]]:
    """Give what the optimiser keeps, by parameters in the order of the network.

    Raises:
        InputError: an array belongs to no parameter.
    """
    slots: dict[str, dict[str, NDArray[np.float32]]] = {}
    for name, values in found.items():
        slot, _, parameter = name.partition("/")
        slots.setdefault(parameter, {})[slot] = values
        expected = parameters.get(parameter)
        if expected is None or (values.shape, values.dtype) != (expected.shape, expected.dtype):
            raise InputError(f"{path}: the array 'slots/{name}' belongs to no parameter of the network; {ANEW}")
    return {name: slots[name] for name in parameters if name in slots}


def read_meta(path: Path, archive: ArrayArchive) -> CheckpointMeta:
    """Read what a checkpoint holds beside arrays.

    Raises:
        InputError: it is no checkpoint, or one of another form.
    """
    if META not in archive:
        raise InputError(f"{path}: is no checkpoint of a training")
    try:
        text = archive[META].tobytes()
        data = json.loads(text)
        form = data["form"] if isinstance(data, dict) else None
        if type(form) is int and form != FORM:
            raise InputError(f"{path}: is a checkpoint of form {form}; this version reads form {FORM}")
        return CheckpointMeta.model_validate_json(text)
    except (ValidationError, UnicodeDecodeError, json.JSONDecodeError, KeyError, RecursionError):
        raise InputError(f"{path}: is a damaged checkpoint; {ANEW}") from None


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
        raise InputError(f"{path}: the array '{kind}/{name}' is missing, or belongs to no layer of the network; {ANEW}")
    for name, values in expected.items():
        if found[name].shape != values.shape or found[name].dtype != values.dtype:
            raise InputError(
                f"{path}: the array '{kind}/{name}' must be {values.dtype} of shape {values.shape}, "
                f"got {found[name].dtype} of shape {found[name].shape}; {ANEW}"
            )


def first_of(names: Iterable[str]) -> list[str]:
    """Give the first of some names, or none."""
    return sorted(names)[:1]
