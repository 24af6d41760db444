"""Chosen tiles: they are those of the whole step, whichever images and tiles are left out."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from random_layers import draw_array, draw_conv_shape, draw_linear_shape, draw_operands

from dataflows.contract.array import PEArray
from dataflows.contract.errors import UnmappableLayerError
from dataflows.contract.memory import MemoryShare, Traffic
from dataflows.contract.problem import StepProblem
from dataflows.contract.tile_plan import TilePlan, mark_ends, number_classes
from dataflows.sparsetrain.dataflow import RowConvolution
from workloads.layer_images import select_images
from workloads.operands import Operands
from workloads.shapes import LayerShape, LinearShape, Step

DATAFLOW = RowConvolution()
CASES = 120


def draw_case(number: int) -> tuple[Operands, PEArray, MemoryShare, np.random.Generator]:
    rng = np.random.default_rng((7, number))
    shape: LayerShape = draw_linear_shape(rng) if number % 4 == 0 else draw_conv_shape(rng, largest_kernel=4)
    shape = dataclasses.replace(shape, batch=int(rng.integers(1, 7)))
    operands = draw_operands(rng, shape)
    if rng.random() < 0.3:
        operands = dataclasses.replace(operands, summed=(np.roll(operands.input, 1, axis=-1),))
    array = dataclasses.replace(draw_array(rng), skip_zeros=bool(rng.random() < 0.7))
    memory = MemoryShare(capacity_bytes=int(rng.choice([600, 1500, 4000, 100000])), operand_store_bytes=128)
    return operands, array, memory, rng


def describe_tiles(traffic: Traffic) -> list[tuple[object, ...]]:
    """List for each tile everything that the machine is told of it."""
    found = []
    for tile in range(len(traffic.tile_load_bytes)):
        entries = slice(traffic.tile_first[tile], traffic.tile_first[tile + 1])
        bursts = slice(traffic.burst_first[entries.start], traffic.burst_first[entries.stop])
        columns = (traffic.pes, traffic.ppu_read_bytes, traffic.ppu_elements, traffic.ppu_write_bytes)
        found.append(
            (
                int(traffic.tile_load_bytes[tile]),
                int(traffic.tile_write_back_bytes[tile]),
                np.diff(traffic.burst_first[entries.start : entries.stop + 1]).tolist(),
                *(column[entries].tolist() for column in columns),
                traffic.burst_bytes[bursts].tolist(),
                traffic.burst_cycles[bursts].tolist(),
            )
        )
    return found


@pytest.mark.parametrize("step", list(Step))
def test_chosen_tiles_are_those_of_the_whole_step(step: Step) -> None:
    seen, cut = 0, 0
    for number in range(CASES):
        operands, array, memory, rng = draw_case(number)
        try:
            whole = DATAFLOW.lower(StepProblem(operands, step, array, memory)).traffic
        except UnmappableLayerError:
            continue
        assert whole is not None
        batch = operands.shape.batch
        plan = DATAFLOW.plan_tiles(StepProblem(operands, step, array, memory), np.arange(batch))
        assert len(plan) == len(whole.tile_load_bytes)
        chosen = np.sort(rng.choice(len(plan), size=int(rng.integers(1, len(plan) + 1)), replace=False))
        runs = plan.runs[plan.image_axis]
        places = np.unravel_index(chosen, [len(axis) for axis in plan.runs])[plan.image_axis]
        images = sorted({image for place in places for image in runs[place]})
        part = DATAFLOW.pack_tiles(
            StepProblem(select_images(operands, images), step, array, memory), plan, images, chosen
        )
        expected = describe_tiles(whole)
        assert describe_tiles(part) == [expected[tile] for tile in chosen]
        assert part.tiling == whole.tiling
        seen += 1
        cut += len(plan) > 1
    assert seen > CASES / 3
    assert cut > CASES / 6


@pytest.mark.parametrize("step", list(Step))
def test_tiles_of_one_class_have_the_same_geometry(step: Step) -> None:
    for number in range(CASES):
        operands, array, memory, _ = draw_case(number)
        dense = dataclasses.replace(array, skip_zeros=False)
        try:
            whole = DATAFLOW.lower(StepProblem(operands, step, dense, memory)).traffic
        except UnmappableLayerError:
            continue
        assert whole is not None
        plan = DATAFLOW.plan_tiles(StepProblem(operands, step, dense, memory), np.arange(operands.shape.batch))
        kinds = np.array(np.meshgrid(*plan.classes, indexing="ij")).reshape(len(plan.classes), -1).T
        by_kind: dict[tuple[int, ...], list[Any]] = {}
        for kind, tile in zip(map(tuple, kinds.tolist()), describe_tiles(whole), strict=True):
            # What a dense machine moves is told by geometry alone; rows that a stride passes over may stand elsewhere.
            moved = [sorted(part) if isinstance(part, list) else part for part in tile[:-1]]
            assert by_kind.setdefault(kind, moved) == moved


def test_stand_ins_make_the_plan_of_the_batch_that_repeats_them() -> None:
    for number in range(CASES):
        operands, array, memory, rng = draw_case(number)
        images = rng.integers(0, operands.shape.batch, size=9)
        for step in Step:
            try:
                plan = DATAFLOW.plan_tiles(StepProblem(operands, step, array, memory), images)
            except UnmappableLayerError:
                continue
            repeated = DATAFLOW.plan_tiles(
                StepProblem(select_images(operands, images), step, array, memory), np.arange(9)
            )
            if plan.formats == repeated.formats:
                assert plan.sizes == repeated.sizes


def test_a_tile_whose_images_are_missing_is_refused() -> None:
    runs = ((range(0, 2), range(2, 4)), (range(0, 1),))
    plan = TilePlan((2, 1), runs, (np.zeros(2, np.int64), np.zeros(1, np.int64)), 1, 0, ())
    assert plan.choose(np.array([1]), [0, 2, 3]).tiles == ((range(1, 3), range(0, 1)),)
    with pytest.raises(ValueError, match=r"^a tile needs the images 2 to 3, got \[0, 1, 2\]$"):
        plan.choose(np.array([1]), [0, 1, 2])


def test_classes_are_numbered_in_the_order_of_appearance() -> None:
    assert number_classes(["b", "a", "b", "c"]).tolist() == [0, 1, 0, 2]
    assert mark_ends([3, 3, 1]) == [(3, True, False), (3, False, False), (1, False, True)]


@pytest.mark.parametrize(("unknown", "idle"), [(0, {0, 2}), (1, {0, 2}), (3, set())])
def test_filters_that_no_known_image_needs_are_idle_unless_the_others_are_likely_to_need_them(
    unknown: int, idle: set[int]
) -> None:
    # One of four gradients is there: a filter stays without one in a further image at 3/4, in three at 27/64.
    gradient = np.array([[0, 3, 0, 0], [0, 0, 0, 2]], dtype=np.float32)
    shape = LinearShape(2, 6, 4)
    input, weight = np.ones((2, 6), np.float32), np.ones((4, 6), np.float32)
    operands = Operands("fc", shape, input, weight, None, gradient, None, tuple(Step))
    known, images = (0, 1), np.arange(2 + unknown) % 2
    plan = DATAFLOW.plan_tiles(StepProblem(operands, Step.GTW, PEArray(), MemoryShare()), images)
    assert plan.idle is not None
    assert set(np.flatnonzero(plan.idle.all(axis=1)).tolist()) == idle
    dense = DATAFLOW.plan_tiles(StepProblem(operands, Step.GTW, PEArray(skip_zeros=False), MemoryShare()), images)
    assert dense.idle is not None
    assert not dense.idle.any()
    if unknown == 0:
        traffic = DATAFLOW.pack_tiles(
            StepProblem(operands, Step.GTW, PEArray(), MemoryShare()), plan, known, np.arange(len(plan))
        )
        assert traffic.passes_ppu.reshape(4, -1).all(axis=1).tolist() == [False, True, False, True]
        assert not plan.is_same(dataclasses.replace(plan, idle=None))
