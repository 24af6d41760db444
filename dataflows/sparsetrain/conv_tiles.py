"""Some tiles of a convolution's steps: the tiling of a whole batch, and the traffic of the tiles that are chosen."""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable, Sequence

import numpy as np

from dataflows.contract.array import PEArray
from dataflows.contract.memory import MemoryShare, Traffic
from dataflows.contract.tile_plan import TilePlan, cut_axes, mark_ends, number_classes
from dataflows.sparsetrain.conv_kernels.traffic import (
    find_kernels_tiling,
    pack_kernels_traffic,
    plan_kernels,
    tabulate_kernels,
)
from dataflows.sparsetrain.conv_rows.plan import plan_rows
from dataflows.sparsetrain.conv_rows.traffic import find_rows_tiling, pack_rows_traffic, tabulate_rows
from workloads.arrays import IntArray
from workloads.operands import Operands
from workloads.shapes import Step


def plan_rows_tiles(operands: Operands, images: IntArray, step: Step, array: PEArray, memory: MemoryShare) -> TilePlan:
    """Find the tiling of Forward or GTA for a batch that some images stand for.

    images: int64 ``(N,)``, the place in the operands of what stands for each image.

    Raises:
        UnmappableLayerError: no tiling fits the buffer.
    """
    known = plan_rows(operands, step, array, memory)
    plan = dataclasses.replace(
        known,
        shape=dataclasses.replace(known.shape, batch=len(images)),
        driver_bytes=known.driver_bytes[images],
        written_bytes=known.written_bytes[images],
        summed_bytes=None if known.summed_bytes is None else known.summed_bytes[images],
    )
    tables = tabulate_rows(plan)
    sizes = tuple(int(size) for size in find_rows_tiling(plan, tables))
    runs = cut_axes((*plan.limits, plan.reductions), sizes)
    keys: list[list[Hashable]] = [[len(run) for run in runs[0]], [], [], mark_ends([len(run) for run in runs[3]])]
    for rows in runs[1]:
        low, high = tables.span_low[rows.start], tables.span_high[rows.stop - 1]
        met = tuple(tables.kernel_rows[rows.stop] - tables.kernel_rows[rows.start])
        keys[1].append((len(rows), max(0, int(high - low)), met))
    for blocks in runs[2]:
        outputs = tables.block_outputs[blocks.stop] - tables.block_outputs[blocks.start]
        groups = tables.block_group[blocks.stop - 1] - tables.block_group[blocks.start]
        keys[2].append((len(blocks), int(outputs), int(groups)))
    classes = tuple(number_classes(one) for one in keys)
    return TilePlan(sizes, runs, classes, indices=3, image_axis=0, formats=plan.formats)


def pack_rows_tiles(
    plan: TilePlan,
    operands: Operands,
    images: Sequence[int],
    tiles: IntArray,
    step: Step,
    array: PEArray,
    memory: MemoryShare,
) -> Traffic:
    """Pack some tiles of Forward or GTA; operands: of the images of these numbers."""
    entries = plan.choose(tiles, images)
    rows = plan_rows(operands, step, array, memory, plan.formats)
    return pack_rows_traffic(rows, tabulate_rows(rows), entries, np.array(plan.sizes, dtype=np.int64))


def plan_kernels_tiles(operands: Operands, images: IntArray, array: PEArray, memory: MemoryShare) -> TilePlan:
    """Find the tiling of GTW for a batch that some images stand for; images: int64 ``(N,)``, what stands for each.

    Raises:
        UnmappableLayerError: no tiling fits the buffer.
    """
    known = plan_kernels(operands, array, memory)
    plan = dataclasses.replace(
        known,
        shape=dataclasses.replace(known.shape, batch=len(images)),
        driver_bytes=known.driver_bytes[images],
        input_bytes=known.input_bytes[images],
    )
    tables = tabulate_kernels(plan)
    sizes = tuple(int(size) for size in find_kernels_tiling(plan, tables))
    runs = cut_axes(plan.limits, sizes)
    per_group, met = plan.shape.group_out_channels, (plan.pairs >= 0).sum(axis=1)
    filters = [(len(run), (run.stop - 1) // per_group - run.start // per_group) for run in runs[0]]
    blocks = [(len(run), int(plan.block_channels[run.stop] - plan.block_channels[run.start])) for run in runs[1]]
    rows = [
        (len(run), max(0, int(tables.span_high[run.stop - 1] - tables.span_low[run.start])), tuple(met[list(run)]))
        for run in runs[3]
    ]
    keys = (filters, blocks, mark_ends([len(run) for run in runs[2]]), mark_ends(rows))
    classes = tuple(number_classes(one) for one in keys)
    return TilePlan(sizes, runs, classes, indices=2, image_axis=2, formats=plan.formats)


def pack_kernels_tiles(
    plan: TilePlan, operands: Operands, images: Sequence[int], tiles: IntArray, array: PEArray, memory: MemoryShare
) -> Traffic:
    """Pack some tiles of GTW; operands: of the images of these numbers."""
    entries = plan.choose(tiles, images)
    kernels = plan_kernels(operands, array, memory, plan.formats)
    return pack_kernels_traffic(kernels, tabulate_kernels(kernels), entries, np.array(plan.sizes, dtype=np.int64))
