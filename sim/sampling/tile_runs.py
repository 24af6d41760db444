"""Tiles executed each by itself, and what is measured of them."""

from __future__ import annotations

import numpy as np

from dataflows.contract.entries import sum_spans
from dataflows.contract.memory import MemoryShare, Traffic
from dataflows.contract.tasks import SampledDataflow
from dataflows.contract.tile_plan import TilePlan
from sim.architecture import Architecture
from sim.machine.ledger import State
from sim.machine.surroundings import Surroundings
from sim.machine.tile_timing import describe_work, time_tiles
from sim.sampling.cluster_counts import count_cluster
from sim.sampling.design import Stratum, TileSample
from sim.sampling.measures import Measure, TileOrder
from sim.sampling.pool import ImagePool
from sim.sampling.pricing import Pricing
from workloads.arrays import Float64Array, IntArray
from workloads.shapes import Step


class TileRuns:
    """Executes tiles of one step on one machine, and remembers what was measured of them."""

    def __init__(
        self, pool: ImagePool, plan: TilePlan, step: Step, machine: Architecture, dataflow: SampledDataflow,
        memory: MemoryShare,
    ) -> None:  # fmt: skip
        self.pool, self._step, self._dataflow = pool, step, dataflow
        self._memory = memory
        self.plan, self.machine = plan, machine
        self.order = TileOrder(tuple(len(one) for one in plan.runs), plan.image_axis)
        self.surroundings, self.pricing = machine.describe_surroundings(), Pricing(machine)
        self._measured: dict[tuple[int, int], IntArray] = {}
        self._counted: dict[int, Float64Array] = {}

    def execute(self, sample: TileSample) -> tuple[IntArray, Float64Array]:
        """Execute the drawn tiles that were not executed before, one cluster after the other.

        Returns:
            The measures of the drawn tiles, int64 ``(drawn, measures)``, and what was counted of the drawn clusters,
            float64 ``(clusters, counts)``.
        """
        runs = self.plan.runs[self.plan.image_axis]
        missing = {cluster: self._list_missing(cluster, strata) for cluster, strata in sample.places.items()}
        self.pool.prepare(image for cluster, places in missing.items() if places for image in runs[cluster])
        for cluster, places in missing.items():
            if places:
                self._execute_places(cluster, places)
        measured = [self._measured[int(cluster), int(place)] for cluster, place in np.argwhere(sample.tiles)]
        return np.array(measured), np.array([self._counted[cluster] for cluster in sorted(sample.places)])

    def _list_missing(self, cluster: int, strata: tuple[Stratum, ...]) -> list[int]:
        places = sorted(place for stratum in strata for place in stratum.drawn.tolist())
        return [place for place in places if (cluster, place) not in self._measured]

    def _execute_places(self, cluster: int, places: list[int]) -> None:
        images = list(self.plan.runs[self.plan.image_axis][cluster])
        operands = self.pool.take(images)
        tiles = self.order.number(np.full(len(places), cluster), np.array(places))
        problem = self.machine.pose(operands, self._step, self._memory)
        traffic = self._dataflow.pack_tiles(problem, self.plan, images, tiles)
        found = measure_tiles(traffic, self.machine.array.groups, self.surroundings)
        if self.plan.headers > 1:
            found[:, Measure.PIECES] = count_pieces(traffic)
        self._measured |= {(cluster, place): row for place, row in zip(places, found, strict=True)}
        if cluster not in self._counted:
            counts = self._dataflow.count(problem)
            # A cut row costs more than headers: the multipliers of a PE are not filled at each end.
            uncut = 0
            if self.plan.headers > 1:
                uncut = int(self._dataflow.lower(problem.without_memory()).pe_cycles.sum())
            self._counted[cluster] = count_cluster(
                operands, counts, self._step, self.plan.formats[0], self._memory.data_bits, uncut,
                self.pricing.counted,
            )  # fmt: skip


def count_pieces(traffic: Traffic) -> IntArray:
    """Count the pieces of rows that PEs work on, one for each entry and PE that has cycles: int64 ``(tiles,)``."""
    worked = sum_spans(traffic.burst_cycles, traffic.burst_first) > 0
    return sum_spans(worked.sum(axis=1), traffic.tile_first)


def measure_tiles(traffic: Traffic, groups: int, surroundings: Surroundings) -> IntArray:
    """Execute every tile on a machine of its own and measure it: int64 ``(tiles, measures)``."""
    tiles = len(traffic.tile_load_bytes)
    measured = np.zeros((tiles, len(Measure)), dtype=np.int64)
    work = describe_work(traffic, surroundings)
    timings, _ = time_tiles(traffic.tile_first, work, groups, surroundings)
    until, spent = timings.until, timings.spent
    measured[:, Measure.DURATION] = timings.cycles
    measured[:, Measure.LOAD_BYTES] = traffic.tile_load_bytes
    measured[:, Measure.WRITE_BACK_BYTES] = traffic.tile_write_back_bytes
    for measure, kept in (
        (Measure.KEPT_LOAD_BYTES, traffic.kept_load_bytes), (Measure.KEPT_RESULT_BYTES, traffic.kept_result_bytes),
    ):  # fmt: skip
        measured[:, measure] = 0 if kept is None else kept
    measured[:, Measure.BUSY] = spent[:, :, State.BUSY].sum(axis=1)
    measured[:, Measure.WAIT_OPERANDS] = spent[:, :, State.WAIT_OPERANDS].sum(axis=1)
    measured[:, Measure.WAIT_PPU] = spent[:, :, State.WAIT_PPU].sum(axis=1)
    measured[:, Measure.IDLE] = spent[:, :, State.IDLE].sum(axis=1) + (timings.idle_until - until).sum(axis=1)
    measured[:, Measure.ATTRIBUTED] = timings.idle_until.sum(axis=1)
    measured[:, Measure.EVENTS] = timings.events

    entries, width = traffic.tile_first, traffic_width(surroundings)
    bursts = traffic.burst_first[entries]
    fetched = sum_spans(np.maximum(work.fetch_cycles, 0), bursts) - timings.shared_cycles
    if surroundings.shares_reads(traffic):
        fetched += sum_spans(np.maximum(work.driver_cycles, 0), bursts)
    read = sum_spans(np.maximum(work.read_cycles, 0), entries)
    written = sum_spans(np.maximum(work.write_cycles, 0), entries)
    read_bytes = sum_spans(traffic.ppu_read_bytes, entries)
    measured[:, Measure.PORTS_BUSY] = fetched + read + written
    measured[:, Measure.PPU_BUSY] = sum_spans(np.maximum(work.process_cycles, 0), entries)
    measured[:, Measure.PE_CYCLES] = sum_spans(traffic.burst_cycles.sum(axis=1), bursts)
    measured[:, Measure.STORE_WRITES] = sum_spans(traffic.store_writes, entries)
    measured[:, Measure.PPU_ELEMENTS] = sum_spans(traffic.ppu_elements, entries)
    measured[:, Measure.READ_BYTES] = sum_spans(traffic.burst_bytes, bursts) - timings.shared_bytes + read_bytes
    measured[:, Measure.SHARED_BYTES] = timings.shared_bytes
    measured[:, Measure.WRITTEN_BYTES] = sum_spans(traffic.ppu_write_bytes, entries)
    # A port moves the width of its bank in a cycle, so cycles of a port are accesses.
    measured[:, Measure.READ_ACCESSES] = fetched + read + -(-traffic.tile_write_back_bytes // width)
    measured[:, Measure.WRITE_ACCESSES] = written + -(-traffic.tile_load_bytes // width)
    return measured


def traffic_width(surroundings: Surroundings) -> int:
    """Give the bytes of one access of the buffer; where they are unlimited, none is priced."""
    return surroundings.bytes_per_port_cycle or 1
