"""The DRAM bytes of a step by its shape alone: every tensor raw, in the tiling that is then chosen."""

from __future__ import annotations

import dataclasses
from functools import lru_cache

import numpy as np

from dataflows.contract.array import PEArray
from dataflows.contract.memory import MemoryShare
from dataflows.contract.problem import StepProblem
from dataflows.contract.step_form import StepForm
from dataflows.rows.dealing import require_accumulators
from dataflows.sparsetrain.conv_kernels.plan import plan_kernels
from dataflows.sparsetrain.conv_kernels.tile_tables import tabulate_kernels
from dataflows.sparsetrain.conv_rows.plan import plan_rows
from dataflows.sparsetrain.conv_rows.traffic import tabulate_rows
from dataflows.sparsetrain.linear_outer.plan import plan_outer
from dataflows.sparsetrain.linear_outer.tiling import search_outer
from dataflows.sparsetrain.linear_products.plan import plan_products
from dataflows.sparsetrain.linear_products.plan import search_plan as search_products_plan
from dataflows.sparsetrain.matmul.factors import plan_factors
from dataflows.sparsetrain.matmul.factors import search_plan as search_factors_plan
from dataflows.sparsetrain.matmul.problems import flatten_rows
from dataflows.sparsetrain.matmul.rows import search_plan as search_matmul_plan
from dataflows.sparsetrain.views import see_shape, see_step
from dataflows.tiling.kernels_search import search_kernels
from dataflows.tiling.rows_search import search_rows
from dataflows.tiling.search import UNLIMITED, Found
from workloads.arrays import IntArray
from workloads.operands import GradientFinish, Operands
from workloads.shapes import ConvShape, LayerShape, LinearShape, MatmulShape, Step, TransposedConvShape

# Of an unlimited buffer, which one tile fits.
ROOM = 2**60
KNOWN_STEPS = 4096


def measure_dram_bytes(form: StepForm, array: PEArray, memory: MemoryShare) -> int | None:
    """Give the DRAM bytes of a step in the tiling of its raw tensors; None where no tiling fits.

    Args:
        memory: What the step may use, and what stays in the buffer besides.
    """
    return measure_raw(
        form, dataclasses.replace(array, skip_zeros=False, skip_weights=False, skip_empty_rows=False), memory
    )


@lru_cache(maxsize=KNOWN_STEPS)
def measure_raw(form: StepForm, array: PEArray, memory: MemoryShare) -> int | None:
    """Measure for an array that skips nothing; a machine and its dense twin ask the same."""
    full, _ = see_shape(form.shape, form.step)
    problem = see_step(StepProblem(make_operands(form), form.step, array, memory))
    require_accumulators(problem)
    capacity = ROOM if memory.capacity_bytes is None else memory.capacity_bytes
    if capacity <= 0:
        return None
    found = search(problem, np.zeros(full.batch, dtype=np.int64), capacity)
    return None if found.moved_bytes >= UNLIMITED else found.moved_bytes


def make_operands(form: StepForm) -> Operands:
    """Make operands of one image, which raw rows make stand for all; a product's are those of the whole batch."""
    shape = take_one(form.shape)
    is_factor = form.step is Step.GTW and shape.weighs_activations
    written = {Step.GTA: shape.input_shape, Step.GTW: shape.weight_shape}.get(form.step, shape.output_shape)
    summed = (np.zeros(written, dtype=np.float32),) * form.summed
    mask = np.ones(written, dtype=np.bool_) if form.has_mask else None
    input, weight, grad_output = (
        np.zeros(size, dtype=np.float32) for size in (shape.input_shape, shape.weight_shape, shape.output_shape)
    )
    return Operands(
        form.layer, shape, input, weight, None, grad_output,
        mask=None if is_factor or form.step is not Step.GTA else mask,
        steps=(form.step,),
        finish=GradientFinish(None if is_factor else mask),
        summed=() if is_factor else summed,
        weight_finish=GradientFinish(mask if is_factor else None),
        weight_summed=summed if is_factor else (),
    )  # fmt: skip


def take_one(shape: LayerShape) -> LayerShape:
    """Give a layer of one image, or a product as it is."""
    if isinstance(shape, TransposedConvShape):
        return dataclasses.replace(shape, conv=dataclasses.replace(shape.conv, batch=1))
    return shape if isinstance(shape, MatmulShape) else dataclasses.replace(shape, batch=1)


def search(problem: StepProblem, images: IntArray, capacity_bytes: int) -> Found:
    """Search the tiling of a batch that the first image stands for."""
    shape, is_gtw = problem.shape, problem.step is Step.GTW
    if isinstance(shape, ConvShape):
        if is_gtw:
            return search_kernels(tabulate_kernels(plan_kernels(problem).repeat(images).move()), capacity_bytes)
        return search_rows(tabulate_rows(plan_rows(problem).repeat(images).move()), capacity_bytes)
    if isinstance(shape, LinearShape):
        if is_gtw:
            outer = plan_outer(problem).repeat(images).move()
            return search_outer(outer.gradients, outer.inputs, problem.share.acc_bits, outer.block, capacity_bytes)
        return search_products_plan(plan_products(problem).repeat(images).move(), capacity_bytes)
    if not isinstance(shape, MatmulShape):
        raise TypeError(f"a {type(shape).__name__} is mapped as another shape")
    if is_gtw:
        return search_factors_plan(plan_factors(problem).move(), capacity_bytes)
    return search_matmul_plan(plan_products(flatten_rows(problem)).move(), shape.products, capacity_bytes)
