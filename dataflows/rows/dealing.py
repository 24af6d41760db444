"""How the outputs of a layer step are dealt to tasks and PEs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dataflows.contract.array import PEArray
from dataflows.contract.errors import UnmappableLayerError
from dataflows.contract.problem import StepProblem
from workloads.shapes import ConvShape, LinearShape, Step


def count_kernels_per_pe(shape: ConvShape | LinearShape, array: PEArray) -> int:
    """Give k, the kernels (or fully connected weights) that a PE accumulates in one GTW task.

    As many as its accumulators hold, but few enough that every group gets `min_tasks_per_group` tasks.
    """
    if isinstance(shape, ConvShape):
        taps, outputs = shape.kernel_height * shape.kernel_width, shape.out_channels * shape.group_in_channels
    else:
        taps, outputs = 1, shape.out_features * shape.in_features
    tasks_wanted = array.pes_per_group * array.groups * array.min_tasks_per_group
    return max(1, min(array.accumulators // taps, outputs // tasks_wanted))


def require_accumulators(problem: StepProblem) -> None:
    """Refuse a layer whose output row or kernel does not fit the accumulators of a PE.

    Raises:
        UnmappableLayerError: names the layer, the words needed and the words there.
    """
    require_results(problem.operands.layer, problem.operands.shape, problem.step, problem.array)


def require_results(layer: str, shape: ConvShape | LinearShape, step: Step, array: PEArray) -> None:
    """Refuse a shape whose output row or kernel does not fit the accumulators of a PE.

    Raises:
        UnmappableLayerError: names the layer, the words needed and the words there.
    """
    if isinstance(shape, LinearShape):
        return
    needed, what = {
        Step.FORWARD: (shape.out_width, "output row"),
        Step.GTA: (shape.in_width, "grad_input row"),
        Step.GTW: (shape.kernel_height * shape.kernel_width, "grad_weight kernel"),
    }[step]
    if needed > array.accumulators:
        raise UnmappableLayerError(
            f"layer {layer!r}, step {step}: one {what} needs {needed} accumulators in a PE, "
            f"array.accumulators = {array.accumulators}"
        )


@dataclass(frozen=True, slots=True)
class Blocks:
    """Outputs of one convolution group: `per_group` blocks of `pes` runs of `run` outputs, the last one short."""

    outputs: int
    pes: int
    run: int = 1

    @property
    def per_group(self) -> int:
        """Blocks that the outputs of one convolution group make."""
        return -(-self.outputs // (self.pes * self.run))

    def deal(self, amounts: NDArray[np.int64]) -> NDArray[np.int64]:
        """Sum what each PE works: ``(..., outputs)`` to ``(..., per_group, pes)``, 0 where a PE has no output."""
        padded = self.per_group * self.pes * self.run - self.outputs
        spread = np.pad(amounts, [(0, 0)] * (amounts.ndim - 1) + [(0, padded)])
        dealt: NDArray[np.int64] = spread.reshape(*amounts.shape[:-1], self.per_group, self.pes, self.run).sum(axis=-1)
        return dealt

    def spread(self, flags: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Repeat a flag of each block for each of its outputs: ``(..., per_group)`` to ``(..., outputs)``."""
        return np.repeat(flags, self.pes * self.run, axis=-1)[..., : self.outputs]


def enumerate_tasks(*sizes: int) -> NDArray[np.int64]:
    """List the indices of all tasks, the last index fastest: int64 ``(tasks, len(sizes))``."""
    return np.stack(np.unravel_index(np.arange(int(np.prod(sizes))), sizes), axis=1).astype(np.int64)
