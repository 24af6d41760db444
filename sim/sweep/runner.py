"""Brings the points of a sweep into its store: each once, whoever evaluates it."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from queue import Empty, SimpleQueue

from sim.sweep.claims import LEASE_S, Owner
from sim.sweep.design import Design, list_settings
from sim.sweep.evaluation import make_job
from sim.sweep.execution import Executor
from sim.sweep.form import SweepForm
from sim.sweep.identity import Identifier, digest_json, find_model_version
from sim.sweep.job import Job, Outcome, Status
from sim.sweep.metrics import is_maximized
from sim.sweep.progress import OnProgress, SweepProgress
from sim.sweep.space import Space
from sim.sweep.store import PointRow, Store, SweepRow

POLL_S = 0.2
REPORT_INTERVAL_S = 0.5


@dataclass(frozen=True)
class Pending:
    """A point on its way: its row, its job, and its place in words."""

    row: PointRow
    job: Job
    words: str


@dataclass(frozen=True)
class RunnerOptions:
    """batch_points: how many neighbours one process gets at a time. shares: whether they share work."""

    batch_points: int = 1
    shares: bool = True
    retries_failed: bool = False


class Runner:
    """Evaluates designs that the store does not have; everything it knows besides is in the store."""

    def __init__(
        self, space: Space, store: Store, executor: Executor, options: RunnerOptions,
        progress: SweepProgress, on_progress: OnProgress | None = None,
    ) -> None:  # fmt: skip
        self._form, self._store, self._executor, self._options = space.form, store, executor, options
        self.progress, self._on_progress = progress, on_progress
        self._identifier = Identifier(space.form)
        self._owner = Owner.current()
        self._ended: SimpleQueue[tuple[int, Job, Outcome]] = SimpleQueue()
        self._under_way: dict[int, dict[str, Pending]] = {}
        self._deferred: dict[str, Pending] = {}
        self._seen: set[str] = set()
        self._met: set[bytes] = set()
        self._numbers = itertools.count()
        self._known_workloads: set[str] = set()
        self._renewed = self._reported = time.monotonic()
        self.objective = space.form.search.objectives[0] if space.form.search else "cycles"

    def key(self, design: Design) -> str:
        """Give a design's key."""
        return self._identifier.key(design)

    def complete(self, designs: Iterable[Design]) -> None:
        """Return when every design is in the store.

        Raises:
            InputError: the store cannot be written, or a data file cannot be read.
        """
        batches = self._batch(designs)
        is_exhausted = False
        while True:
            while not is_exhausted and len(self._under_way) < self._executor.capacity():
                batch = next(batches, None)
                is_exhausted = batch is None
                if batch:
                    self._start(batch)
            if is_exhausted and self._deferred:
                self._take_deferred()
            if is_exhausted and not self._under_way and not self._deferred:
                break
            self._collect()
        self._report(always=True)

    def release(self) -> None:
        """Give up what is claimed and not finished."""
        self._store.release_claims(self._owner)

    def _batch(self, designs: Iterable[Design]) -> Iterator[list[Pending]]:
        """Cut designs that are not in the store into batches; a batch may be empty."""
        for chunk in chunk_designs(designs, self._options.batch_points):
            pending = [found for design in chunk if (found := self._prepare(design)) is not None]
            claimed = set(self._store.claim([one.row.key for one in pending], self._owner)) if pending else set()
            self._deferred |= {one.row.key: one for one in pending if one.row.key not in claimed}
            yield [one for one in pending if one.row.key in claimed and self._is_wanted(one.row.key)]

    def _prepare(self, design: Design) -> Pending | None:
        key = self.key(design)
        # Points with different settings may be one machine: it is run once, whatever became of it.
        if bytes.fromhex(key) in self._met:
            self.progress.repeated += 1
            self._report()
            return None
        self._met.add(bytes.fromhex(key))
        if not self._is_wanted(key):
            self.progress.found += 1
            self._report()
            return None
        settings = list_settings(design.workload, design.machine)
        digest = self._identifier.workload_digest(design.workload)
        if digest not in self._known_workloads:
            self._store.add_workload(digest, design.workload.resolved())
            self._known_workloads.add(digest)
        self._store.add_settings(settings)
        row = PointRow(key, design.workload.name, design.machine.name, find_model_version(), digest, settings)
        job = make_job(design, key, digest, self._form, shares=self._options.shares)
        return Pending(row, job, design.point.describe())

    def _is_wanted(self, key: str) -> bool:
        status = self._store.find_status(key)
        return status is None or (status is Status.FAILED and self._options.retries_failed and key not in self._seen)

    def _start(self, batch: list[Pending]) -> None:
        number = next(self._numbers)
        self._under_way[number] = {one.row.key: one for one in batch}
        self.progress.running += len(batch)
        self._executor.submit(number, [one.job for one in batch], lambda *ended: self._ended.put(ended))

    def _take_deferred(self) -> None:
        """Look again at points that another process had claimed: they are there now, or it is gone."""
        for key in [key for key in self._deferred if not self._is_wanted(key)]:
            del self._deferred[key]
            self.progress.found += 1
        room = self._executor.capacity() - len(self._under_way)
        for key in self._store.claim(list(self._deferred)[: max(0, room)], self._owner):
            pending = self._deferred.pop(key)
            if self._is_wanted(key):
                self._start([pending])
            else:
                self.progress.found += 1

    def _collect(self) -> None:
        """Wait a moment for outcomes, and store all that have come."""
        ended = []
        try:
            ended.append(self._ended.get(timeout=POLL_S))
            while True:
                ended.append(self._ended.get_nowait())
        except Empty:
            pass
        stored = [(self._under_way[number][job.key], outcome) for number, job, outcome in ended]
        if stored:
            self._store.record([(pending.row, outcome) for pending, outcome in stored])
        for number, job, _ in ended:
            del self._under_way[number][job.key]
            if not self._under_way[number]:
                del self._under_way[number]
        for pending, outcome in stored:
            if self._options.retries_failed and outcome.status is Status.FAILED:
                self._seen.add(pending.row.key)
            self.progress.running -= 1
            self.progress.count(outcome, self.objective, pending.words, is_maximized=is_maximized(self.objective))
        if time.monotonic() - self._renewed > LEASE_S / 4:
            self._store.renew_claims(self._owner)
            self._renewed = time.monotonic()
        self._executor.require_alive()
        self._report()

    def _report(self, *, always: bool = False) -> None:
        if self._on_progress and (always or time.monotonic() - self._reported > REPORT_INTERVAL_S):
            self._reported = time.monotonic()
            self._on_progress(self.progress)


def chunk_designs(designs: Iterable[Design], points: int) -> Iterator[list[Design]]:
    """Cut designs into runs of neighbours."""
    source = iter(designs)
    while chunk := list(itertools.islice(source, points)):
        yield chunk


def note_sweep(store: Store, space: Space) -> None:
    """Note in the store which sweep its points belong to."""
    form: SweepForm = space.form
    data = form.model_dump(mode="json", exclude_none=True)
    objectives = tuple(form.search.objectives) if form.search else ("cycles", "energy_pj")
    store.add_sweep(SweepRow(digest_json(data), form.name, data, space.paths, objectives))
