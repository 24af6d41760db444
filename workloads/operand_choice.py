"""Another source of operands than the one that a workload's file names."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from workloads.datasets.address import make_absolute
from workloads.errors import InputError
from workloads.image_fit import fit_pipeline
from workloads.profile import profile_names
from workloads.schema import HostOperands, OperandSource, ProfileOperands, SyntheticOperands
from workloads.settings import Clustering, Density
from workloads.user_file import resolve_path
from workloads.validation import did_you_mean
from workloads.workload import Workload

CHOICES = ("synthetic", "profile")
DEFAULT_SEED = 1
# Assumed: half of the activations and of the gradients, as behind a ReLU whose inputs are centred on zero.
SYNTHETIC_DENSITY = Density(input=0.5, grad_output=0.5)
PROFILE_COLUMN = "last"


def choose_operands(
    workload: Workload,
    *,
    operands: str | None = None,
    data: str | None = None,
    weights: str | Path | None = None,
    seed: int | None = None,
) -> Workload:
    """Give the workload with other operands; what is None stays.

    operands: `synthetic` with half of inputs and gradients zero, or `profile`, the shipped profile of the workload's
    name with clustered zeros. data: a dataset's address, weights: an .npz file of initial parameters; both for operands
    of the host, and relative to the working directory. With other data the images' pipeline is made to fit, where the
    file's own does not. seed: of the new operands; by default that of the old ones.

    Raises:
        InputError: the choice is unknown, no profile is shipped for the workload, or the operands are not the host's.
    """
    source = workload.form.operands
    if operands is not None:
        source = _make_source(workload, operands, seed)
    changed: dict[str, Any] = {}
    if data is not None:
        changed["dataset"] = make_absolute(data, Path())
        if isinstance(source, HostOperands):
            changed["images"] = fit_pipeline(changed["dataset"], workload.form.input, source.images)
    if weights is not None:
        changed["weights"] = str(resolve_path(weights))
    if changed:
        if not isinstance(source, HostOperands):
            given = "not given" if source is None else source.source
            raise InputError(
                f"{workload.label}: {' and '.join(changed)} cannot be changed: the operands are {given}, not the host's"
            )
        source = source.model_copy(update=changed)
    return dataclasses.replace(workload, form=workload.form.model_copy(update={"operands": source}))


def _make_source(workload: Workload, choice: str, seed: int | None) -> OperandSource:
    if choice not in CHOICES:
        raise InputError(
            f"operands must be {' or '.join(CHOICES)}, got '{choice}'{did_you_mean(choice, CHOICES)}; "
            "other sources are named in the workload's file"
        )
    key = getattr(workload.form.operands, "seed", DEFAULT_SEED) if seed is None else seed
    if choice == "synthetic":
        return SyntheticOperands(source="synthetic", seed=key, density=SYNTHETIC_DENSITY)
    if workload.name not in profile_names():
        raise InputError(
            f"{workload.label}: no profile is shipped for '{workload.name}' (the profiles are "
            f"{', '.join(profile_names())}); operands: {{source: profile, path: FILE.csv, seed: 1}} names your own"
        )
    return ProfileOperands(
        source="profile", name=workload.name, column=PROFILE_COLUMN, seed=key, clustering=Clustering()
    )
