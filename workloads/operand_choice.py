"""Another source of operands than the one that a workload's file names."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from workloads.datasets.address import make_absolute
from workloads.errors import InputError
from workloads.image_fit import fit_pipeline
from workloads.initial_weights import TRAINED, WEIGHT_CHOICES
from workloads.sources.host import HostOperands
from workloads.sources.source import OperandSource
from workloads.sources.table import SOURCES, list_choices
from workloads.trained_record import find_trained
from workloads.user_file import resolve_path
from workloads.validation import did_you_mean
from workloads.workload import Workload

DEFAULT_SEED = 1


def choose_operands(
    workload: Workload,
    *,
    operands: str | None = None,
    data: str | None = None,
    weights: str | Path | None = None,
    seed: int | None = None,
) -> Workload:
    """Give the workload with other operands; what is None stays.

    Args:
        operands: `synthetic` with half of inputs and gradients zero, or `profile`, the shipped profile of the
            workload's name with clustered zeros.
        data: A dataset's address, weights: `random`, `trained` or an .npz file; both for operands of the host, and
            relative to the working directory. With other data the images' pipeline is made to fit, where the file's own
            does not, and `trained` becomes the file that it stands for: it is taken, and called unrepresentative.
        seed: Of the new operands; by default that of the old ones.

    Raises:
        InputError: the choice is unknown, no profile is shipped for the workload, or the operands are not the host's.
    """
    source: OperandSource | None = workload.form.operands
    if operands is not None:
        source = _make_source(workload, operands, seed)
    changed: dict[str, Any] = {}
    if data is not None:
        changed["dataset"] = make_absolute(data, Path())
        if isinstance(source, HostOperands) and workload.form.input is not None:
            changed["images"] = fit_pipeline(changed["dataset"], workload.form.input, source.images)
    if weights is not None:
        changed["weights"] = weights if weights in WEIGHT_CHOICES else str(resolve_path(weights))
    if isinstance(source, HostOperands) and changed.get("dataset", source.dataset) != source.dataset:
        kept = changed.get("weights", source.weights)
        if kept == TRAINED:
            changed["weights"] = str(find_trained(workload.name, workload.label))
    if changed:
        if not isinstance(source, HostOperands):
            given = "not given" if source is None else source.source
            raise InputError(
                f"{workload.label}: {' and '.join(changed)} cannot be changed: the operands are {given}, not the host's"
            )
        source = source.model_copy(update=changed)
    return dataclasses.replace(workload, form=workload.form.model_copy(update={"operands": source}))


def _make_source(workload: Workload, choice: str, seed: int | None) -> OperandSource:
    choices = list_choices()
    source = SOURCES.load(choice) if choice in choices else None
    if source is None or not source.offers_choice:
        raise InputError(
            f"operands must be {' or '.join(choices)}, got '{choice}'{did_you_mean(choice, choices)}; "
            "other sources are named in the workload's file"
        )
    key = getattr(workload.form.operands, "seed", DEFAULT_SEED) if seed is None else seed
    return source.choose(workload.name, workload.label, key)
