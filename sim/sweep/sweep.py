"""Run a sweep: from a file to a store that holds all its points."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from sim.sweep.cluster import ClusterExecutor, import_distributed
from sim.sweep.execution import Executor, LocalExecutor
from sim.sweep.form import LARGEST_MEMORY_MB
from sim.sweep.identity import Identifier
from sim.sweep.point_process import PointLimits
from sim.sweep.progress import OnProgress, SweepProgress
from sim.sweep.runner import Runner, RunnerOptions, note_sweep
from sim.sweep.search import import_optuna, search_space
from sim.sweep.space import Space, SpaceSize, find_point_limit, load_space
from sim.sweep.store import Store
from workloads.errors import InputError

BATCH_POINTS = 8
ENUMERABLE_POINTS = 100_000
# Combinations of a search that tell the workloads whose earlier evaluations count.
LOOKED_AT = 100


@dataclass(frozen=True)
class SweepOptions:
    """How a sweep is run; None in the limits leaves those of the file."""

    jobs: int = 1
    scheduler: str | None = None
    retries_failed: bool = False
    shares: bool = True
    timeout_s: float | None = None
    memory_mb: int | None = None

    def __post_init__(self) -> None:
        """Refuse numbers that limit nothing.

        Raises:
            InputError: names the field.
        """
        if self.jobs < 1:
            raise InputError(f"jobs must be at least 1, got {self.jobs}")
        # A NaN is neither above 0 nor below any time that passes.
        if self.timeout_s is not None and not 0 < self.timeout_s < math.inf:
            raise InputError(f"the timeout of a point must be a finite number of seconds above 0, got {self.timeout_s}")
        if self.memory_mb is not None and not 1 <= self.memory_mb <= LARGEST_MEMORY_MB:
            raise InputError(
                f"the memory of a point must be a number of MB from 1 to {LARGEST_MEMORY_MB}, got {self.memory_mb}"
            )


@dataclass(frozen=True)
class Estimate:
    """What a sweep would take: its points, those not in the store, and seconds on so many processes.

    Attributes:
        seconds: From the mean of so many earlier evaluations of its workloads in the store, None where there are none.
    """

    size: SpaceSize
    left: int
    evaluations: int
    seconds: float | None


def run_sweep(
    sweep: str | Path | Space,
    store: str | Path,
    options: SweepOptions | None = None,
    *,
    on_progress: OnProgress | None = None,
    executor: Executor | None = None,
) -> SweepProgress:
    """Evaluate every point of a sweep that its store does not have; interrupted, the same call goes on.

    Args:
        executor: What evaluates the points, in place of processes or a cluster.

    Raises:
        InputError: the sweep file, the store or the scheduler cannot be used, or a library is not installed.
    """
    space = sweep if isinstance(sweep, Space) else load_space(sweep)
    chosen = options or SweepOptions()
    check_extras(space, chosen.scheduler)
    total = count_points(space)
    progress = SweepProgress(total)
    with Store.open(Path(store), creates=True) as opened:
        note_sweep(opened, space)
        working = executor or make_executor(space, chosen)
        batch_points = max(1, min(BATCH_POINTS, total // (4 * working.capacity())))
        runner = Runner(
            space, opened, working,
            RunnerOptions(1 if space.form.search else batch_points, chosen.shares, chosen.retries_failed),
            progress, on_progress,
        )  # fmt: skip
        try:
            if space.form.search is not None:
                search_space(space, opened, runner)
            else:
                runner.complete(space.designs())
        finally:
            working.close()
            runner.release()
    return progress


def check_extras(space: Space, scheduler: str | None = None) -> None:
    """Make sure of the libraries that only some sweeps need, before a store is made.

    Raises:
        InputError: one is not installed.
    """
    if space.form.search is not None:
        import_optuna(space.document.label)
    if scheduler is not None:
        import_distributed()


def count_points(space: Space) -> int:
    """Count the points that a sweep will have; a search's space is made whole too, where it is small enough.

    Raises:
        InputError: a point is not valid.
    """
    if space.form.search is None:
        return space.measure().points
    if is_enumerable(space):
        space.measure()
    return space.form.search.trials * len(space.designer.workload_names)


def is_enumerable(space: Space) -> bool:
    """Tell whether all points of a search's space can be made beforehand."""
    has_steps = all(parameter.values is not None for parameter in space.parameters)
    return has_steps and space.count_offered() <= find_point_limit(space.form, ENUMERABLE_POINTS)


def make_executor(space: Space, options: SweepOptions) -> Executor:
    """Start what evaluates the points."""
    limits = space.form.limits
    chosen = PointLimits(
        limits.timeout_s if options.timeout_s is None else options.timeout_s,
        limits.memory_mb if options.memory_mb is None else options.memory_mb,
    )
    if options.scheduler is not None:
        return ClusterExecutor(options.scheduler, chosen)
    return LocalExecutor(options.jobs, chosen)


def estimate_sweep(space: Space, store: str | Path, jobs: int) -> Estimate:
    """Count a sweep's points, and estimate its time from earlier evaluations in its store; nothing is evaluated.

    Raises:
        InputError: a point is not valid, the store cannot be read, or the sweep needs a library that is not installed.
    """
    check_extras(space)
    size = SpaceSize(count_points(space), 0) if space.form.search else space.measure()
    if not Path(store).exists():
        return Estimate(size, size.points, 0, None)
    identifier = Identifier(space.form)
    with Store.open(Path(store)) as opened:
        keys: set[bytes] = set()
        digests: set[str] = set()
        for design in space.first_designs(LOOKED_AT) if space.form.search else space.designs():
            digests.add(identifier.workload_digest(design.workload))
            keys.add(bytes.fromhex(identifier.key(design)))
        left = size.points if space.form.search else sum(opened.find_status(key.hex()) is None for key in keys)
        evaluations, mean = opened.mean_seconds(sorted(digests))
    return Estimate(size, left, evaluations, None if mean is None else mean * left / jobs)
