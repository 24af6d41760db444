"""The tiling of a sampled step: from the images looked at, whatever other machines look at."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from clustered_layers import draw_clustered

from dataflows.sparsetrain.dataflow import RowConvolution
from sim.architecture import Architecture, load_architecture
from sim.sampling.design import StepDraws
from sim.sampling.pool import ImagePool
from sim.sampling.step_cut import begin_cut
from sim.sampling.step_sample import StepSampler
from workloads.layer_images import LayerImages, keep_images
from workloads.operands import Operands
from workloads.shapes import ConvShape, Step

SHAPE = ConvShape(24, 12, 8, 8, 12, 3, 3, padding=(1, 1, 1, 1))


def load_machine(capacity_bytes: int = 3400) -> Architecture:
    changes = (f"buffer.capacity_bytes={capacity_bytes}", "buffer.operand_store_bytes=256", "array.groups=4")
    return load_architecture("sparsetrain", changes)


def draw_uneven() -> Operands:
    """Draw a batch of sparse images, the last of which in the order of the draws is dense."""
    operands = draw_clustered(SHAPE, seed=5)
    dense = int(np.argmax(StepDraws(0, "layer", Step.FORWARD.value).order_images(SHAPE.batch)))
    is_kept = np.random.default_rng(1).random(operands.input.shape) < 0.2
    is_kept[dense] = True
    input = np.where(is_kept, np.abs(operands.input) + 1, 0).astype(np.float32)
    return dataclasses.replace(operands, input=input, mask=None)


def see_piecewise(operands: Operands) -> LayerImages:
    """Give a layer whose images are made when they are asked for."""
    return dataclasses.replace(keep_images(operands), has_all=False)


def make_sampler(layer: LayerImages, machine: Architecture, pool: ImagePool | None = None) -> StepSampler:
    draws = StepDraws(0, "layer", Step.FORWARD.value)
    return StepSampler(
        begin_cut(pool or ImagePool(layer), layer, Step.FORWARD, machine, RowConvolution(), draws)
    )  # fmt: skip


def describe(sampler: StepSampler, fraction: float) -> tuple[int, int, int, float]:
    found = sampler.estimate(fraction)
    return found.cycles, found.tiles, found.dram_read_bytes, found.cycles_spread.half_width


def test_a_dense_image_that_is_drawn_late_cuts_the_step_anew() -> None:
    operands = draw_uneven()
    full, sampler = (
        make_sampler(keep_images(operands), load_machine()),
        make_sampler(see_piecewise(operands), load_machine()),
    )
    few = len(sampler.runs.plan)
    assert few < len(full.runs.plan)
    assert describe(sampler, 1.0) == describe(full, 1.0)
    assert len(sampler.runs.plan) == len(full.runs.plan)


def test_steps_that_grow_until_all_is_drawn_are_the_full_run() -> None:
    operands = draw_uneven()
    full = make_sampler(keep_images(operands), load_machine()).estimate(1.0)
    found = make_sampler(see_piecewise(operands), load_machine()).estimate_within(lambda _: False)
    assert (found.fraction, found.cycles, found.tiles) == (1, full.cycles, full.tiles)


@pytest.mark.parametrize("fraction", [0.1, 0.5])
def test_a_machine_is_estimated_alike_beside_any_other(fraction: float) -> None:
    layer = see_piecewise(draw_uneven())
    pool = ImagePool(layer)
    make_sampler(layer, load_machine(4000), pool).estimate(1.0)
    beside = make_sampler(layer, load_machine(), pool)
    assert describe(beside, fraction) == describe(make_sampler(layer, load_machine()), fraction)
