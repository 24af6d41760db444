"""What of the memory a step may use, where that is decided for it alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from dataflows.contract.memory import MemoryShare
from dataflows.contract.problem import StepProblem
from sim.architecture import Architecture
from workloads.operands import Operands
from workloads.shapes import Step

# Machine, layer, step.
StepKey = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class StepShares:
    """The shares of the memory that are decided step by step; all other steps have their machine's.

    Attributes:
        words: What stays in the buffer of the tensors of those steps.
    """

    shares: Mapping[StepKey, MemoryShare] = field(default_factory=dict)
    words: Mapping[StepKey, str] = field(default_factory=dict)

    def tell_kept(self, machine: Architecture, layer: str, step: Step) -> str:
        """Say what stays of a step's tensors in the buffer."""
        return self.words.get((machine.name, layer, step.value), "none")

    def find(self, machine: Architecture, layer: str, step: Step) -> MemoryShare | None:
        """Give what a step may use; None on a machine whose memory takes no time."""
        return self.shares.get((machine.name, layer, step.value), machine.describe_memory())

    def pose(self, machine: Architecture, operands: Operands, step: Step) -> StepProblem:
        """Give a step as a machine's dataflow is asked to map it."""
        return machine.pose(operands, step, self.find(machine, operands.layer, step))


WHOLE_SHARES = StepShares()
