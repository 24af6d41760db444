"""What the points of a sweep share: operands, tables of tasks with their cycle counts and traffic, and timings.

A table is the same for points that agree in workload, dataflow, PE array, buffer capacity, operand store and storage;
a timing, if they agree in ports, bandwidth, latency, PPU and prefetching besides. Nothing else is kept: energy, area
and elementwise passes are computed for each point.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field, fields
from threading import RLock
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from dataflows.contract.problem import StepProblem
from dataflows.contract.tasks import Dataflow, TaskTable
from sim.architecture import Architecture
from sim.content import ContentDigests
from sim.machine.accelerator import Engine, StepTiming, Surroundings
from sim.step.work import StepWork
from workloads.kept_tensors import TensorKeeper
from workloads.operands import Operands
from workloads.sources.source import OperandStream
from workloads.workload import Workload

OPERAND_LIMIT_BYTES = 2**30
TABLE_LIMIT_BYTES = 2**29


class LimitedCache:
    """Values by key, the least recently used dropped first when their bytes exceed a limit."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._entries: OrderedDict[Hashable, tuple[Any, int]] = OrderedDict()
        self._bytes = 0

    def get(self, key: Hashable) -> Any:
        """Give the value of a key, or None."""
        if key not in self._entries:
            return None
        self._entries.move_to_end(key)
        return self._entries[key][0]

    def put(self, key: Hashable, value: Any, size_bytes: int) -> None:
        """Keep a value, if it is within the limit by itself."""
        if size_bytes > self._limit_bytes or key in self._entries:
            return
        self._entries[key] = (value, size_bytes)
        self._bytes += size_bytes
        while self._bytes > self._limit_bytes:
            self._bytes -= self._entries.popitem(last=False)[1][1]


@dataclass(frozen=True, eq=False)
class KeptStream:
    """The operands of a workload, all of them in memory, and what else its stream tells."""

    stream: OperandStream
    layers: tuple[Operands, ...]

    def open(self) -> OperandStream:
        """Give the stream anew."""
        told = {item.name: getattr(self.stream, item.name) for item in fields(OperandStream) if item.name != "layers"}
        return OperandStream(layers=iter(self.layers), **told)


@dataclass(slots=True)
class Reuse:
    """How often something was made, and how often what was there served again."""

    operands_made: int = 0
    operands_reused: int = 0
    tables_made: int = 0
    tables_reused: int = 0
    timings_made: int = 0
    timings_reused: int = 0


@dataclass(eq=False)
class SharedWork(StepWork):
    """Remembers operands, tables and timings between the points of one worker process; safe on threads."""

    operand_limit_bytes: int = OPERAND_LIMIT_BYTES
    table_limit_bytes: int = TABLE_LIMIT_BYTES
    reuse: Reuse = field(default_factory=Reuse)

    def __post_init__(self) -> None:
        self._lock = RLock()
        self._digests = ContentDigests()
        self._streams = LimitedCache(self.operand_limit_bytes)
        self._tables = LimitedCache(self.table_limit_bytes)
        self._timings = LimitedCache(self.table_limit_bytes)
        self._names: WeakKeyDictionary[Operands | TaskTable, Hashable] = WeakKeyDictionary()

    def open(self, workload: Workload, iteration: int | None, keeper: TensorKeeper | None = None) -> OperandStream:
        """Open the operands of a workload; kept ones are the same arrays again, while its files hold the same."""
        with self._lock:
            resolved = self._digests.replace_paths(workload.resolved())
            key = (json.dumps(resolved, sort_keys=True), str(workload.base_directory), iteration)
            kept: KeptStream | None = self._streams.get(key)
            if kept is not None:
                self.reuse.operands_reused += 1
                self._name_layers(kept.layers, key)
                return kept.open()
            self.reuse.operands_made += 1
        stream = super().open(workload, iteration, keeper)
        told = {item.name: getattr(stream, item.name) for item in fields(OperandStream) if item.name != "layers"}
        return OperandStream(layers=self._keep(stream, key), **told)

    def lower(self, dataflow: Dataflow, problem: StepProblem, machine: Architecture) -> TaskTable:
        """Have a dataflow cut a step into tasks, unless a machine with the same array and memory did before."""
        name = self._find_name(problem.operands)
        if name is None:
            self.reuse.tables_made += 1
            return super().lower(dataflow, problem, machine)
        chosen = machine.dataflow, repr(machine.dataflow_options)
        key = (name, problem.step, chosen, machine.array, problem.memory)
        with self._lock:
            table: TaskTable | None = self._tables.get(key)
            if table is not None:
                self.reuse.tables_reused += 1
                return table
        table = super().lower(dataflow, problem, machine)
        with self._lock:
            self.reuse.tables_made += 1
            self._tables.put(key, table, count_bytes(table))
            self._names[table] = key
        return table

    def time(self, table: TaskTable, groups: int, surroundings: Surroundings, engine: Engine) -> StepTiming:
        """Execute the tasks of a step, unless they were executed in the same surroundings before."""
        name = self._find_name(table)
        key = (name, groups, surroundings, engine)
        with self._lock:
            timing: StepTiming | None = None if name is None else self._timings.get(key)
            if timing is not None:
                self.reuse.timings_reused += 1
                return timing
        timing = super().time(table, groups, surroundings, engine)
        with self._lock:
            self.reuse.timings_made += 1
            if name is not None:
                self._timings.put(key, timing, count_bytes(timing))
        return timing

    def _find_name(self, made: Operands | TaskTable) -> Hashable | None:
        with self._lock:
            name = self._names.get(made)
            rounding = made.rounding if isinstance(made, Operands) else None
            if name is not None or rounding is None:
                return name
            given = self._names.get(rounding.given)
        if given is None:
            return None
        # Rounded operands are made for each run, from the same ones alike but for who applies the mask.
        assert isinstance(made, Operands)
        return given, rounding.form, rounding.loss_scale, made.mask is None, made.finish.mask is None

    def _name_layers(self, layers: tuple[Operands, ...], key: Hashable) -> None:
        for operands in layers:
            self._names[operands] = (key, operands.layer)

    def _keep(self, stream: OperandStream, key: Hashable) -> Iterator[Operands]:
        """Pass operands on and keep them, unless all of them are too many."""
        layers: list[Operands] | None = []
        size_bytes = 0
        for operands in stream.layers:
            if layers is not None:
                size_bytes += count_bytes(operands)
                layers = [*layers, operands] if size_bytes <= self.operand_limit_bytes else None
            with self._lock:
                self._name_layers((operands,), key)
            yield operands
        if layers is not None:
            with self._lock:
                self._streams.put(key, KeptStream(stream, tuple(layers)), size_bytes)


def count_bytes(record: Any) -> int:
    """Count the bytes of the arrays in a record and in the records it holds."""
    total = 0
    for item in fields(record):
        value = getattr(record, item.name)
        if isinstance(value, np.ndarray):
            total += value.nbytes
        elif hasattr(value, "__dataclass_fields__"):
            total += count_bytes(value)
    return total
