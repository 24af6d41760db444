"""A point to evaluate and how that ended: plain data, which readers of a store need without the simulator."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Status(StrEnum):
    """How a point ended."""

    DONE = "done"
    INFEASIBLE = "infeasible"
    FAILED = "failed"


@dataclass(frozen=True)
class Job:
    """What a worker process needs to evaluate a point, as plain data.

    Attributes:
        workload: The resolved form; paths in it are absolute.
        baseline: A policy's name, an architecture's data, or None.
    """

    key: str
    workload_digest: str
    workload: dict[str, Any]
    machine: dict[str, Any]
    baseline: str | dict[str, Any] | None
    steps: tuple[str, ...]
    layers: str
    sample: str | float | None = None
    shares: bool = True


@dataclass(frozen=True)
class Outcome:
    """How a point ended: its metrics, or in one sentence why there are none.

    Attributes:
        seconds: What the evaluation took.
        peak_memory_mb: Of its process, None where nothing watched it.
    """

    key: str
    status: Status
    reason: str = ""
    metrics: dict[str, Any] | None = None
    seconds: float = 0.0
    peak_memory_mb: float | None = None
