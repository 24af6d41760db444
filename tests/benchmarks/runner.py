"""Measure the cases, each figure in a fresh process."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.cases import Case
from benchmarks.environment import describe_environment
from benchmarks.session import Measurement, Session

TESTS = Path(__file__).parents[1]
SMALL = Case("LeNet-5, one image", "lenet5")
# Together these call every kernel that the cases do, with arrays of the same kinds.
SAMPLED = Case("ResNet-34, four images, sampled", "resnet34", batch=4, pixels=32, profile="resnet34", sample="0.5")
WARM_UP = (SMALL, Case("ResNet-20, one image", "resnet20"), SAMPLED)
Tell = Callable[[str], None]


class ChildError(Exception):
    """A measuring process failed; the message ends with what it printed."""


def run_child(role: str, case: Case, **variables: str) -> dict[str, Any]:
    """Measure a role of a case in a new process.

    Raises:
        ChildError: the process failed.
    """
    paths = [str(TESTS), str(TESTS.parent), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths)), **variables}
    asked = json.dumps({"role": role, "case": dataclasses.asdict(case)})
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.child"], input=asked, env=environment, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    if done.returncode:
        raise ChildError(f"{case.name}, {role}: the process ended with {done.returncode}: {done.stderr[-2000:]}")
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures


def measure_case(case: Case, repetitions: int, tell: Tell, *, references: bool = True) -> Measurement:
    """Measure a case several times, with and without values, and the references beside it in the same run."""
    roles = ["verified"] * case.is_verified + ["unverified"] + ["reference"] * (case.is_verified and references)
    samples: dict[str, list[float]] = {}
    counts: dict[str, int] = {}
    for repetition in range(repetitions):
        for role in roles:
            tell(f"{case.name}: {role}, {repetition + 1} of {repetitions}")
            figures = run_child(role, case)
            if "missing" in figures:
                return Measurement(case.name, case.target, {}, {}, figures["missing"])
            counts = figures.pop("counts", counts)
            for kind, value in figures.items():
                # Loading is the same in both runs, and is told once.
                own = kind if role == "reference" or kind.startswith("load") else f"{role}_{kind}".replace("_wall", "")
                samples.setdefault(own, []).append(value)
    return Measurement(case.name, case.target, samples, counts)


def measure_simpy(repetitions: int, tell: Tell) -> dict[str, Any]:
    """Count the events of SimPy's own engine in a second, on a small case without values."""
    rates, counted = [], 0
    for repetition in range(repetitions):
        tell(f"{SMALL.name}: simpy, {repetition + 1} of {repetitions}")
        figures = run_child("simpy", SMALL)
        counted = figures["counts"]["events"]
        rates.append(counted / figures["wall_s"])
    return {"case": SMALL.name, "events": counted, "events_per_s": rates}


def measure_kernels(tell: Tell) -> dict[str, Any]:
    """Tell how long kernels compile: a small verified run with an empty cache, less the same with a full one."""
    with tempfile.TemporaryDirectory() as cache:
        tell("kernels: compiling into an empty cache")
        first = run_child("kernels", SMALL, NUMBA_CACHE_DIR=cache)
        tell("kernels: from the cache")
        again = run_child("kernels", SMALL, NUMBA_CACHE_DIR=cache)
    compiled = {kind: first[kind] - again[kind] for kind in ("wall_s", "cpu_s")}
    return {"first": first, "again": again, "compiling": compiled}


def run_session(
    cases: Sequence[Case], repetitions: int, tell: Tell, *, quick: bool = False, kernels: bool = True
) -> Session:
    """Measure cases and what stands beside them; a quick session only shows that it works, and leaves these out."""
    environment = {**describe_environment(), "repetitions": repetitions}
    others: dict[str, Any] = {}
    if kernels and not quick:
        others["kernels"] = measure_kernels(tell)
    for case in () if quick else WARM_UP:
        tell(f"{case.name}: filling the compile cache")
        run_child("verified" if case.is_verified else "unverified", case)
    if not quick:
        others["simpy"] = measure_simpy(repetitions, tell)
    return Session(environment, tuple(measure_case(case, repetitions, tell) for case in cases), others)
