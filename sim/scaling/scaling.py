"""An iteration on 1 to 64 chips: compute as on one, sums of gradients beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import accumulate
from typing import TYPE_CHECKING

from sim.machine.all_reduce import Reduction, run_reductions
from sim.scaling.interconnect import Interconnect, check_chips
from sim.scaling.share import IterationShare, ShareSource, list_rows, make_shares

if TYPE_CHECKING:
    import pandas as pd

    from sim.iteration.run_result import RunResult

CHIPS = (1, 2, 4, 8, 16, 32, 64)


@dataclass(frozen=True, slots=True)
class ScalingPoint:
    """An iteration of one machine on a number of chips.

    Attributes:
        batch: Images of all chips.
        compute_cycles: Of one chip.
        exposed_cycles: Behind the end of compute, until the last sum of gradients is everywhere.
        iteration_cycles: Of both.
        reduction_cycles: For which the busiest link is held.
        gradient_bytes: Of one chip's parameters.
        sent_bytes: Over the busiest link, in one direction.
        speedup: In images per second, over one chip.
        efficiency: Speed-up over chips.
    """

    machine: str
    chips: int
    batch: int
    compute_cycles: int
    exposed_cycles: int
    iteration_cycles: int
    reduction_cycles: int
    gradient_bytes: int
    sent_bytes: int
    images_per_second: float
    speedup: float
    efficiency: float


@dataclass(frozen=True)
class ScalingResult:
    """How a run scales: its points, machine by machine in rising numbers of chips."""

    interconnect: Interconnect
    gradients: str
    shares: tuple[IterationShare, ...]
    points: tuple[ScalingPoint, ...]

    @property
    def frame(self) -> pd.DataFrame:
        """The points as a table."""
        import pandas as pd

        return pd.DataFrame([asdict(point) for point in self.points])


def scale(
    result: RunResult,
    *,
    chips: Sequence[int] = CHIPS,
    interconnect: Interconnect | None = None,
    gradients: str = "dense",
) -> ScalingResult:
    """Let several chips train together, each on a share like the one that was simulated (weak scaling).

    Args:
        result: A run of all layers and steps.
        chips: From 1 to 64.
        gradients: `dense` or `masked`, as `sim.scaling.share.make_shares` has it.

    Raises:
        InputError: the run, the chips or the gradients cannot be used.
    """
    source = ShareSource(result.workload.name, result.record, list_rows(result.frame))
    return scale_run(source, tuple(chips), interconnect or Interconnect(), gradients)


def scale_run(
    source: ShareSource, chips: tuple[int, ...], interconnect: Interconnect, gradients: str = "dense"
) -> ScalingResult:
    """Scale all machines of a run, as `scale` does."""
    counts = check_chips(chips)
    shares = make_shares(source, gradients)
    points = tuple(scale_share(share, count, interconnect) for share in shares for count in counts)
    return ScalingResult(interconnect, gradients, tuple(shares), points)


def scale_share(share: IterationShare, chips: int, interconnect: Interconnect) -> ScalingPoint:
    """Find one iteration on a number of chips.

    A layer's reduction may start when the phase has ended that completes its gradients. Compute does not wait for it;
    the iteration ends when all is computed and every sum has arrived.
    """
    compute = share.cycles
    done = accumulate(phase.cycles for phase in share.phases)
    reductions = [
        Reduction(end, interconnect.list_hops(phase.gradient_bytes, chips))
        for end, phase in zip(done, share.phases, strict=True)
        if phase.gradient_bytes
    ]
    timing = run_reductions(reductions)
    iteration = max(compute, *timing.ends) if timing.ends else compute
    rate = chips * share.batch * share.clock_mhz * 1e6 / iteration
    sent = sum(interconnect.count_sent_bytes(phase.gradient_bytes, chips) for phase in share.phases)
    return ScalingPoint(
        machine=share.machine,
        chips=chips,
        batch=chips * share.batch,
        compute_cycles=compute,
        exposed_cycles=iteration - compute,
        iteration_cycles=iteration,
        reduction_cycles=timing.busy_cycles,
        gradient_bytes=share.gradient_bytes,
        sent_bytes=sent,
        images_per_second=rate,
        speedup=chips * compute / iteration,
        efficiency=compute / iteration,
    )
