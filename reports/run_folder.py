"""The name of a run's folder where none is given: workload, machine, and what differs from both as they stand."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

from sim.iteration.policies import PRUNING, SKIPPING_OFF
from sim.iteration.request import SimulationRequest
from sim.machine.accelerator import Engine
from sim.machine_names import digest, write_safely
from workloads.shapes import Step
from workloads.workload import Workload

FOLDER = Path("out")
NAME_CHARACTERS = 120


def name_folder(base: Workload, request: SimulationRequest, baselines: Sequence[str], *, operands: str | None) -> Path:
    """Name the folder of a run.

    Args:
        base: The workload as its file has it; what equals it is not named.
        operands: As chosen instead of the file's.
    """
    workload, machine = request.workload, request.machines[0]
    parts = list_changes(base, workload, operands)
    if list(baselines) != [SKIPPING_OFF]:
        names = [name.replace("@", "-") if name.startswith(PRUNING) else name for name in baselines]
        parts.append(("baseline", "+".join(names) or "none"))
    if request.steps != tuple(Step):
        parts.append(("steps", "+".join(request.steps)))
    if not request.is_whole:
        parts.append(("layers", request.layers))
    parts += list_options(request)
    words = [make_fit(workload.name), make_fit(machine.name)]
    return FOLDER / shorten("-".join([*words, *(f"{name}={write_part(text)}" for name, text in parts)]))


def list_changes(base: Workload, workload: Workload, operands: str | None) -> list[tuple[str, str]]:
    """List how a workload differs from its file: batch, update, operands, data, weights and seed."""
    parts = []
    if workload.form.batch != base.form.batch:
        parts.append(("batch", str(workload.form.batch)))
    if workload.form.update != base.form.update:
        parts.append(("update", workload.form.update or "none"))
    before, after = ({} if form is None else form.model_dump(mode="json") for form in
                     (base.form.operands, workload.form.operands))  # fmt: skip
    changed = [name for name in after if after[name] != before.get(name) and name != "seed"]
    if operands is not None and changed:
        parts.append(("operands", operands))
    parts += [(words, str(after[name])) for name, words in (("dataset", "data"), ("weights", "weights"))
              if name in changed and operands is None]  # fmt: skip
    if "seed" in after and after["seed"] != before.get("seed"):
        parts.append(("seed", str(after["seed"])))
    return parts


def list_options(request: SimulationRequest) -> list[tuple[str, str]]:
    """List the options that differ from their defaults."""
    parts = [("engine", request.engine.value)] if request.engine != Engine.COMPILED else []
    if request.tilings.pins:
        parts.append(("tiling", digest(json.dumps(request.tilings.describe()))))
    if request.sample is not None:
        return [*parts, ("sample", str(request.sample))]
    return parts if request.verifies else [*parts, ("verify", "no")]


def write_part(text: str) -> str:
    """Write a word of a folder's name; several, joined by plus signs, one by one."""
    return "+".join(write_safely(part) for part in text.split("+"))


def make_fit(name: str) -> str:
    """Make the name of a workload or machine fit for a folder."""
    return re.sub(r"[^A-Za-z0-9_.=+~-]+", "-", name).strip("-.") or "run"


def shorten(name: str) -> str:
    """Cut a name that is long for a folder; a digest tells it from others that begin the same."""
    return name if len(name) <= NAME_CHARACTERS else f"{name[:NAME_CHARACTERS].rstrip('-.+=~')}~{digest(name)}"
