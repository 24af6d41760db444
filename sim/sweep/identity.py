"""What a point is keyed by: the SHA-256 of everything that can change its answer."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from dataflows.registry import DATAFLOWS, load_dataflow
from sim.architecture import Architecture
from sim.content import ContentDigests, digest_file
from sim.sweep.design import Design
from sim.sweep.form import SweepForm
from sim.technology import PRESET_DIRECTORY
from sim.version import MODEL_VERSION
from workloads.open_form import list_providers
from workloads.workload import Workload

MODEL_PACKAGES = ("workloads", "dataflows", "sim")
NOT_OF_THE_MODEL = ("__pycache__", "sweep", "sweeps")
DOCUMENTS = (".md", ".typed", ".fashion-mnist")


@lru_cache(maxsize=1)
def find_model_version() -> str:
    """Give the package's version and a digest of the model's own files (code, presets, shipped data)."""
    digest = hashlib.sha256()
    for package in MODEL_PACKAGES:
        root = Path(str(files(package)))
        for path in sorted(root.rglob("*")):
            inner = path.relative_to(root)
            is_outside = path.suffix in DOCUMENTS or set(NOT_OF_THE_MODEL).intersection(inner.parts)
            if path.is_file() and not is_outside:
                digest.update(f"{package}/{inner.as_posix()}\0{digest_file(path)}\0".encode())
    return f"{MODEL_VERSION}+{digest.hexdigest()[:16]}"


def digest_json(data: Any) -> str:
    """Give the SHA-256 of plain data, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(data, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


class Identifier:
    """Makes the keys of designs; data files are read once, when a sweep first meets them."""

    def __init__(self, form: SweepForm) -> None:
        self._selection: dict[str, Any] = {
            "steps": [step.value for step in form.steps] if form.steps else None,
            "layers": form.layers,
        }
        if form.sample is not None:
            self._selection["sample"] = form.sample
        self._workloads: dict[int, tuple[Workload, str]] = {}
        self._files: dict[str, Any] = {}

    def workload_digest(self, workload: Workload) -> str:
        """Give the digest of a workload with the content of its data; its description and its place do not count."""
        kept = self._workloads.get(id(workload))
        if kept is None or kept[0] is not workload:
            data = workload.resolved()
            data.pop("description", None)
            data = ContentDigests().replace_paths(data)
            if providers := list_providers(workload.form):
                data["providers"] = providers
            kept = (workload, digest_json(data))
            self._workloads = {**dict(list(self._workloads.items())[-63:]), id(workload): kept}
        return kept[1]

    def key(self, design: Design) -> str:
        """Give the key of a point."""
        baseline = design.baseline
        return digest_json(
            {
                "model": find_model_version(),
                "workload": self.workload_digest(design.workload),
                "machine": self._describe(design.machine),
                "baseline": self._describe(baseline) if isinstance(baseline, Architecture) else baseline,
                **self._selection,
            }
        )

    def _describe(self, machine: Architecture) -> dict[str, Any]:
        return {
            **machine.model_dump(mode="json"),
            "dataflow": describe_dataflow(machine.dataflow),
            "technology": self._describe_technology(machine.technology),
        }

    def _describe_technology(self, name: str | None) -> Any:
        if name is None or not is_file(name):
            return name
        if name not in self._files:
            self._files[name] = digest_technology(Path(name))
        return self._files[name]


def is_file(technology: str) -> bool:
    """Tell a technology that is a file from one that ships."""
    return Path(technology).suffix in (".yaml", ".yml")


def digest_technology(table: Path) -> list[str]:
    """Give the digests of a technology's file and of the SRAM grids beside it."""
    return [digest_file(table), *digest_grids(table)]


def digest_grids(table: Path) -> Iterator[str]:
    """Give the digests of the SRAM grids beside a technology file; the shipped ones belong to the model."""
    for path in sorted(table.parent.glob("*.csv")):
        if path.parent != PRESET_DIRECTORY:
            yield digest_file(path)


@lru_cache(maxsize=64)
def describe_dataflow(name: str) -> list[str]:
    """Name a dataflow with what provides it, and the version of that.

    Raises:
        InputError: no such dataflow is registered, or it cannot be loaded.
    """
    load_dataflow(name)
    return [name, *DATAFLOWS.providers(name)]
