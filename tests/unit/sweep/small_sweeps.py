"""Sweeps small enough to run often, and evaluators that stand in for a simulation."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import signal
import sqlite3
import time
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from waiting import PATIENCE_S

from sim.sweep.evaluation import evaluate_safely
from sim.sweep.execution import InlineExecutor
from sim.sweep.job import Job, Outcome
from sim.sweep.metrics import METRICS
from sim.sweep.space import Space, make_space
from sim.sweep.sweep import run_sweep
from workloads.yaml_file import parse_yaml

WORKLOAD = """\
name: tiny
batch: 1
input: {channels: 2, height: 4, width: 4}
layers:
  - {name: conv, type: conv2d, out_channels: 2, kernel: 3, padding: 1}
  - {name: relu, type: relu}
  - {name: flat, type: flatten}
  - {name: fc, type: linear, out_features: 3}
operands: {source: synthetic, seed: 1, density: {input: 0.5, grad_output: 0.5}, integers: true}
"""
SWEEP = """\
name: small
workloads: [tiny.yaml]
parameters:
  array.groups: [1, 2, 3, 4]
  array.multipliers_per_pe: [1, 2, 3]
  dram.bytes_per_cycle: [4, 8]
"""


# What a point that takes memory takes, above what any other needs.
GROWN_MB = 700


def write_workload(folder: Path) -> None:
    """Write the tiny workload as tiny.yaml, unless it is there: another process may be reading it."""
    if not (folder / "tiny.yaml").exists():
        (folder / "tiny.yaml").write_text(WORKLOAD)


def load_text(folder: Path, text: str = SWEEP) -> Space:
    """Make the space of a sweep's text; the tiny workload lies beside it."""
    write_workload(folder)
    return make_space(parse_yaml(text, "sweep.yaml"), folder)


def read_rows(path: Path) -> list[tuple[Any, ...]]:
    """Read all points of a store, columns in the order of their names and rows in that of their keys."""
    with sqlite3.connect(path) as connection:
        names = sorted(row[1] for row in connection.execute("PRAGMA table_info(points)"))
        quoted = ", ".join(f'"{name}"' for name in names)
        rows = connection.execute(f"SELECT {quoted} FROM points ORDER BY key").fetchall()
    connection.close()
    return [tuple(names), *rows]


def count_evaluations(path: Path) -> tuple[int, int]:
    """Count evaluations, and the points they were of."""
    with sqlite3.connect(path) as connection:
        found: tuple[int, int] = connection.execute("SELECT COUNT(*), COUNT(DISTINCT key) FROM evaluations").fetchone()
    connection.close()
    return found


def count_when_there(path: Path) -> int:
    """Count evaluations; 0 while file or tables are not made."""
    if not path.exists():
        return 0
    try:
        return count_evaluations(path)[0]
    except sqlite3.OperationalError:
        return 0


def make_metrics(job: Job) -> dict[str, Any]:
    """Make metrics that depend on the job alone."""
    text = json.dumps([job.workload, job.machine, job.baseline], sort_keys=True)
    number = int(hashlib.sha256(text.encode()).hexdigest()[:8], 16)
    return {
        metric.name: number % 1000 + place if metric.is_whole else number / (2**32 if metric.unit == "fraction" else 7)
        for place, metric in enumerate(METRICS)
    }


class QuickEvaluator:
    """Answers at once."""

    def __call__(self, job: Job) -> Outcome:
        return evaluate_safely(make_metrics, job)


class SlowEvaluator:
    """Answers after a moment, so that a kill finds points under way."""

    def __call__(self, job: Job) -> Outcome:
        time.sleep(0.01)
        return evaluate_safely(make_metrics, job)


class HangingEvaluator:
    """Answers after a moment, so many times; the next point hangs until the process is killed."""

    def __init__(self, answers: int) -> None:
        self._left = answers
        self._answer = SlowEvaluator()

    def __call__(self, job: Job) -> Outcome:
        if not self._left:
            time.sleep(PATIENCE_S)
        self._left -= 1
        return self._answer(job)


def misbehave(job: Job) -> dict[str, Any]:
    """Do by the number of groups what a point may do wrong: 1 hangs, 2 takes memory, 3 dies, 4 raises."""
    groups = job.machine["array"]["groups"]
    if groups == 1:
        time.sleep(PATIENCE_S)
    if groups == 2:
        taken = [bytearray(os.urandom(1) * 2**20) for _ in range(GROWN_MB)]
        time.sleep(PATIENCE_S)
        return {"cycles": len(taken)}
    if groups == 3:
        os.kill(os.getpid(), signal.SIGSEGV)
    if groups == 4:
        raise ZeroDivisionError("nothing to divide by")
    return make_metrics(job)


class MisbehavingEvaluator:
    """Hangs, grows, dies or raises."""

    def __call__(self, job: Job) -> Outcome:
        return evaluate_safely(misbehave, job)


def sweep_slowly(folder: str, text: str, store: str, answers: int) -> None:
    """Run a sweep in this process, slowly enough to be killed on the way; the target of a child process."""
    run_sweep(load_text(Path(folder), text), store, executor=InlineExecutor(HangingEvaluator(answers)))


def start_child(folder: Path, text: str, store: Path, answers: int) -> BaseProcess:
    """Start `sweep_slowly` in a process that is forked from one which has imported everything already.

    answers: how many points it can end; it hangs at the next and is still there, however late it is killed.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["sim.sweep.sweep", "unit.sweep.small_sweeps"])
    child = context.Process(target=sweep_slowly, args=(str(folder), text, str(store), answers))
    child.start()
    return child
