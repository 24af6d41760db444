"""How the outputs of a layer step are dealt to tasks and PEs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dataflows.contract.array import PEArray
from dataflows.contract.errors import UnmappableLayerError
from dataflows.contract.problem import StepProblem
from workloads.shapes import ConvShape, LayerShape, LinearShape, Step


def count_packed_groups(shape: ConvShape, step: Step, array: PEArray) -> int:
    """Give f, the consecutive groups of a convolution whose outputs one block holds; 1 where none are packed.

    Forward counts filters, GTA and GTW count input channels of a group.
    """
    outputs = shape.group_out_channels if step is Step.FORWARD else shape.group_in_channels
    if not array.pack_groups or shape.groups == 1 or 2 * outputs > array.pes_per_group:
        return 1
    return array.pes_per_group // outputs


def count_kernels_per_pe(shape: ConvShape | LinearShape, array: PEArray) -> int:
    """Give k, the kernels (or fully connected weights) that a PE accumulates in one GTW task.

    As many as its accumulators hold, but few enough that every group gets `min_tasks_per_group` tasks; one where small
    groups are packed.
    """
    if isinstance(shape, ConvShape):
        if count_packed_groups(shape, Step.GTW, array) > 1:
            return 1
        taps, outputs = shape.kernel_height * shape.kernel_width, shape.out_channels * shape.group_in_channels
    else:
        taps, outputs = 1, shape.products * shape.out_features * shape.in_features
    tasks_wanted = array.pes_per_group * array.groups * array.min_tasks_per_group
    return max(1, min(array.accumulators // taps, outputs // tasks_wanted))


def require_accumulators(problem: StepProblem) -> None:
    """Refuse a layer of which a PE's accumulators cannot hold one row of a kernel's gradient.

    Raises:
        UnmappableLayerError: names the layer, the words needed and the words there.
    """
    require_results(problem.operands.layer, problem.shape, problem.step, problem.array)


def require_results(layer: str, shape: LayerShape, step: Step, array: PEArray) -> None:
    """Refuse a shape of which a PE's accumulators cannot hold one row of a kernel's gradient.

    Rows of outputs and of gradients to activations are cut into strips as narrow as need be.

    Raises:
        UnmappableLayerError: names the layer, the words needed and the words there.
    """
    if isinstance(shape, ConvShape) and step is Step.GTW and shape.kernel_width > array.accumulators:
        raise UnmappableLayerError(
            f"layer {layer!r}, step {step}: one grad_weight kernel row needs {shape.kernel_width} accumulators in a "
            f"PE, array.accumulators = {array.accumulators}"
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


@dataclass(frozen=True, slots=True)
class GroupedBlocks:
    """Outputs of all groups of a convolution: blocks within each group, or of `packed` consecutive whole groups.

    Attributes:
        outputs: Of one group.
    """

    groups: int
    outputs: int
    pes: int
    packed: int = 1

    @property
    def per_group(self) -> int:
        """Blocks that the outputs of one group make, where groups are not packed."""
        return -(-self.outputs // self.pes)

    @property
    def count(self) -> int:
        """Blocks of the whole convolution."""
        return -(-self.groups // self.packed) if self.packed > 1 else self.groups * self.per_group

    @property
    def first_outputs(self) -> NDArray[np.int64]:
        """First output of each block, and behind the last one their number: int64 ``(count + 1,)``."""
        if self.packed > 1:
            starts = np.arange(self.count)[:, None] * self.packed * self.outputs
        else:
            starts = np.arange(self.groups)[:, None] * self.outputs + np.arange(self.per_group) * self.pes
        return np.append(starts.reshape(-1), self.groups * self.outputs).astype(np.int64)

    @property
    def group_ends(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """First and last group of each block, int64 ``(count,)`` both."""
        first = self.first_outputs
        return first[:-1] // self.outputs, (first[1:] - 1) // self.outputs

    def deal(self, amounts: NDArray[np.int64]) -> NDArray[np.int64]:
        """Give what each PE works: ``(..., groups, outputs)`` to ``(..., count, pes)``, 0 where it has no output."""
        before = amounts.shape[:-2]
        if self.packed == 1:
            dealt = Blocks(self.outputs, self.pes).deal(amounts)
            return dealt.reshape(*before, self.count, self.pes)
        none = [(0, 0)] * len(before)
        whole = np.pad(amounts, [*none, (0, self.count * self.packed - self.groups), (0, 0)])
        owned = whole.reshape(*before, self.count, self.packed * self.outputs)
        return np.pad(owned, [*none, (0, 0), (0, self.pes - self.packed * self.outputs)])

    def spread(self, flags: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Repeat a flag of each block for each of its outputs: ``(..., count)`` to ``(..., groups outputs)``."""
        return np.repeat(flags, np.diff(self.first_outputs), axis=-1)


def deal_outputs(shape: ConvShape, step: Step, array: PEArray) -> GroupedBlocks:
    """Give the blocks of the outputs of Forward or GTA."""
    outputs = shape.group_out_channels if step is Step.FORWARD else shape.group_in_channels
    return GroupedBlocks(shape.groups, outputs, array.pes_per_group, count_packed_groups(shape, step, array))


@dataclass(frozen=True, slots=True)
class KernelTasks:
    """How GTW's kernels are dealt: tasks for each outer and inner index, and each run of a kernel's rows.

    The indices are a filter and a block of the channels of its group, or where `packed` groups share a block, that
    block and the place of a filter within its group. Then each PE has one kernel of one of the groups.
    """

    groups: int
    group_filters: int
    group_channels: int
    pes: int
    kernels: int
    packed: int = 1

    @property
    def blocks(self) -> Blocks:
        """Blocks of the channels of a group, where groups are not packed."""
        return Blocks(self.group_channels, self.pes, self.kernels)

    @property
    def count(self) -> int:
        """Blocks of groups that are packed."""
        return -(-self.groups // self.packed)

    @property
    def limits(self) -> tuple[int, int]:
        """Limits of the outer and the inner index."""
        if self.packed > 1:
            return self.count, self.group_filters
        return self.groups * self.group_filters, self.blocks.per_group

    def first_filters(self, outer: NDArray[np.int64], inner: NDArray[np.int64]) -> NDArray[np.int64]:
        """Give the filter of tasks' kernels, of the first group where groups are packed."""
        return outer if self.packed == 1 else outer * (self.packed * self.group_filters) + inner

    def own_channels(
        self, outer: NDArray[np.int64], inner: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Give first channel and number of channels of tasks, counted within their group, or within their block."""
        if self.packed > 1:
            groups = np.minimum(self.packed, self.groups - outer * self.packed)
            return np.zeros_like(outer), groups * self.group_channels
        size = self.pes * self.kernels
        return inner * size, np.minimum(size, self.group_channels - inner * size)

    def deal(self, amounts: NDArray[np.int64]) -> NDArray[np.int64]:
        """Give what each PE works: ``(..., groups, M / G, C / G)`` to ``(outer, inner, ..., pes)``."""
        if self.packed == 1:
            dealt = self.blocks.deal(amounts)
            return np.moveaxis(dealt.reshape(*amounts.shape[:-3], *self.limits, self.pes), (-3, -2), (0, 1))
        blocks = GroupedBlocks(self.groups, self.group_channels, self.pes, self.packed)
        return np.moveaxis(blocks.deal(np.moveaxis(amounts, -2, 0)), (-2, 0), (0, 1))

    def spread(self, flags: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Repeat a flag of each task for each of its kernels: ``(outer, inner, ...)`` to ``(M, C / G, ...)``."""
        if self.packed == 1:
            repeated = np.repeat(flags, self.pes * self.kernels, axis=1)
            return repeated[:, : self.group_channels]
        filters = np.repeat(flags, self.packed, axis=0)[: self.groups].reshape(-1, *flags.shape[2:])
        return np.repeat(filters[:, None], self.group_channels, axis=1)


def deal_kernels(shape: ConvShape, array: PEArray, kernels_per_pe: int | None = None) -> KernelTasks:
    """Give the tasks of GTW of a convolution.

    Args:
        kernels_per_pe: K, where it is another than this shape's own.
    """
    return KernelTasks(
        shape.groups, shape.group_out_channels, shape.group_in_channels, array.pes_per_group,
        kernels_per_pe or count_kernels_per_pe(shape, array), count_packed_groups(shape, Step.GTW, array),
    )  # fmt: skip


def enumerate_tasks(*sizes: int) -> NDArray[np.int64]:
    """List the indices of all tasks, the last index fastest: int64 ``(tasks, len(sizes))``."""
    return np.stack(np.unravel_index(np.arange(int(np.prod(sizes))), sizes), axis=1).astype(np.int64)
