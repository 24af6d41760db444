"""What a session of the benchmark measured: samples, their summaries, and the JSON file that holds them."""

from __future__ import annotations

import dataclasses
import json
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.cases import Target

FORMAT = 1


class SessionError(Exception):
    """A file is not one of this benchmark's."""


@dataclasses.dataclass(frozen=True, slots=True)
class Summary:
    """Median and spread of some samples."""

    median: float
    least: float
    largest: float

    @property
    def has_spread(self) -> bool:
        """Whether there was more than one value."""
        return self.least != self.largest


def summarize(samples: Sequence[float]) -> Summary | None:
    """Give median, least and largest of samples, or None where there are none."""
    return Summary(statistics.median(samples), min(samples), max(samples)) if samples else None


@dataclasses.dataclass(frozen=True)
class Measurement:
    """A case's samples, one of each kind for each repetition, and its counts; missing says why there are none.

    Kinds end in their unit: `verified_s`, `verified_cpu_s`, `verified_peak_bytes`, the same for `unverified`, `load_s`,
    `load_peak_bytes`, `reference_s` and `gemm_s`. counts: of `child.count`.
    """

    case: str
    target: Target
    samples: dict[str, list[float]]
    counts: dict[str, int]
    missing: str = ""

    def summary(self, kind: str) -> Summary | None:
        """Give the summary of a kind of samples."""
        return summarize(self.samples.get(kind, []))

    def rate(self, count: str, kind: str) -> Summary | None:
        """Give a count for each second of a kind of samples."""
        return summarize([self.counts[count] / seconds for seconds in self.samples.get(kind, [])])

    def ratio(self, kind: str, other: str) -> Summary | None:
        """Give how many times the samples of another kind those of a kind are, repetition by repetition."""
        pairs = zip(self.samples.get(kind, []), self.samples.get(other, []), strict=False)
        return summarize([one / two for one, two in pairs])


@dataclasses.dataclass(frozen=True)
class Session:
    """All that one run of the benchmark measured, and on what.

    others: measurements besides the cases, such as `simpy`, `kernels` and `scalesim`, as they came from their process.
    """

    environment: dict[str, Any]
    measurements: tuple[Measurement, ...]
    others: dict[str, Any] = dataclasses.field(default_factory=dict)


def write_session(session: Session, path: Path) -> None:
    """Write a session as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"format": FORMAT, **dataclasses.asdict(session)}, indent=2) + "\n", encoding="utf-8")


def read_session(path: Path) -> Session:
    """Read a session that `write_session` wrote.

    Raises:
        SessionError: the file holds something else.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SessionError(f"{path}: cannot be read as JSON: {error}") from None
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise SessionError(f"{path}: is not a benchmark file of format {FORMAT}")
    measurements = tuple(Measurement(**{**one, "target": Target(**one["target"])}) for one in data["measurements"])
    return Session(data["environment"], measurements, data["others"])
