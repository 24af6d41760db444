"""One measurement in a process of its own: a case and a role come on stdin, figures go to stdout, both as JSON."""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.cases import Case, load_case, read_case
from benchmarks.compile_time import CompileTimes
from benchmarks.memory import read_peak, reset_peak

from sim.machine.accelerator import Engine
from sim.run import RunResult, simulate
from sim.step.work import StepWork
from workloads.errors import InputError
from workloads.kept_tensors import TensorKeeper
from workloads.opening import open_operands
from workloads.operands import Operands
from workloads.reference import fixed_blas_threads, run_forward, run_gta, run_gtw
from workloads.shapes import ConvShape, Step
from workloads.sources.source import OperandStream
from workloads.workload import Workload

RUN_REFERENCE = {Step.FORWARD: run_forward, Step.GTA: run_gta, Step.GTW: run_gtw}
Figures = dict[str, Any]


@dataclass(eq=False)
class LoadedWork(StepWork):
    """Hands out operands that were opened before the clock started."""

    stream: OperandStream

    def open(self, workload: Workload, iteration: int | None, keeper: TensorKeeper | None = None) -> OperandStream:  # noqa: ARG002
        """Give the stream, which serves one run."""
        return self.stream


@dataclass(frozen=True, slots=True)
class Clock:
    """Wall and processor time since it was made."""

    wall_s: float
    cpu_s: float

    @classmethod
    def start(cls) -> Clock:
        """Start now."""
        return cls(time.perf_counter(), time.process_time())

    def read(self) -> tuple[float, float]:
        """Give seconds of wall time and of this process's processor time."""
        return time.perf_counter() - self.wall_s, time.process_time() - self.cpu_s


def measure_simulation(case: Case, folder: Path, *, verify: bool, engine: Engine = Engine.COMPILED) -> Figures:
    """Simulate a case once, its operands loaded and the kernels in the cache on disk, and tell times, peak and counts.

    A sampled run generates operands where it looks at them, which its time includes.
    """
    loaded = load_case(case, folder)
    clock = Clock.start()
    given: Figures = {}
    if case.sample is None:
        given["work"] = LoadedWork(stream=open_operands(loaded))
    else:
        given["sample"] = case.sample
    load_s, _ = clock.read()
    load_peak = read_peak()
    reset_peak()
    clock = Clock.start()
    result = simulate(loaded, "sparsetrain", verify=verify, engine=engine, **given)
    wall_s, cpu_s = clock.read()
    times = {"load_s": load_s, "load_peak_bytes": load_peak, "wall_s": wall_s, "cpu_s": cpu_s}
    return times | {"peak_bytes": read_peak(), "counts": count(result)}


def count(result: RunResult) -> dict[str, int]:
    """Count MACs of one iteration, and cycles and events on all machines."""
    first = [step for step in result.steps if step.machine == result.machines[0].name]
    return {
        "dense_macs": sum(step.dense_macs for step in first),
        "forward_macs": sum(step.dense_macs for step in first if step.step == Step.FORWARD),
        "effectual_macs": sum(step.effectual_macs for step in first),
        "cycles": sum(step.cycles for step in result.steps),
        "events": sum(step.events for step in result.steps),
    }


def measure_reference(case: Case, folder: Path) -> Figures:
    """Time numpy's float32 reference on every step of a case, and float32 products with as many MACs."""
    stream = open_operands(load_case(case, folder))
    reference_s = gemm_s = 0.0
    for operands in stream.layers:
        for step in operands.steps:
            reference_s += time_call(partial(RUN_REFERENCE[step], operands))
            gemm_s += time_product(operands, step)
    return {"reference_s": reference_s, "gemm_s": gemm_s}


def time_product(operands: Operands, step: Step) -> float:
    """Time the matrix products of a step, its windows unfolded beforehand, on as many threads as the reference."""
    seconds = 0.0
    for rows, inner, columns in list_products(operands, step):
        left, right = (np.full(size, 0.5, dtype=np.float32) for size in ((rows, inner), (inner, columns)))
        product = np.zeros((rows, columns), dtype=np.float32)
        with fixed_blas_threads():
            seconds += time_call(partial(np.matmul, left, right, out=product))
    return seconds


def list_products(operands: Operands, step: Step) -> Iterator[tuple[int, int, int]]:
    """List rows, inner length and columns of each group's product."""
    shape = operands.shape
    if isinstance(shape, ConvShape):
        filters = shape.group_out_channels
        window = shape.group_in_channels * shape.kernel_height * shape.kernel_width
        places, groups = shape.batch * shape.out_height * shape.out_width, shape.groups
    else:
        filters, window = shape.weight_shape
        places, groups = shape.input_shape[0], 1
    sizes = {
        Step.FORWARD: (filters, window, places),
        Step.GTA: (window, filters, places),
        Step.GTW: (filters, places, window),
    }
    yield from [sizes[step]] * groups


def time_call(call: Callable[[], object]) -> float:
    """Give the wall time of a call, in seconds."""
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def measure_fresh_kernels() -> Figures:
    """Simulate a tiny case with values, and tell the time of each module's kernels that had to be compiled."""
    with CompileTimes() as times:
        clock = Clock.start()
        simulate("lenet5", batch=1, operands="synthetic")
        wall_s, cpu_s = clock.read()
    return {"wall_s": wall_s, "cpu_s": cpu_s, "modules": times.modules()}


def measure(role: str, case: Case) -> Figures:
    """Do what a role asks; a case that this version refuses is told as missing."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        try:
            if role == "reference":
                return measure_reference(case, place)
            if role == "kernels":
                return measure_fresh_kernels()
            engine = Engine.SIMPY if role == "simpy" else Engine.COMPILED
            return measure_simulation(case, place, verify=role == "verified", engine=engine)
        except InputError as error:
            return {"missing": str(error)}


if __name__ == "__main__":
    asked = json.load(sys.stdin)
    json.dump(measure(asked["role"], read_case(asked["case"])), sys.stdout)
