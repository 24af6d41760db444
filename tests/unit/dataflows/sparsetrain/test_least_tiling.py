"""The least tiling by the shape is that of operands without a nonzero, and not above that of any other."""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import pytest
from compiled_kernels import compile_kernels
from random_layers import draw_case

from dataflows.contract.array import PEArray
from dataflows.contract.errors import UnmappableLayerError
from dataflows.contract.memory import MemoryShare, RowFormat
from dataflows.contract.problem import StepProblem
from dataflows.sparsetrain.dataflow import RowConvolution
from dataflows.sparsetrain.least_tiling import check_shape, find_least_bytes
from workloads.operands import Operands
from workloads.shapes import ConvShape, Step

CASES = 60
MACHINES = [
    (MemoryShare(1, 64, 16, 32, None), True),
    (MemoryShare(1, 64, 8, 24, RowFormat.OFFSET), True),
    (MemoryShare(1, 64, 16, 40, RowFormat.BITMASK), True),
    (MemoryShare(1, 64, 16, 40, None), False),
]


def refused_bytes(operands: Operands, step: Step, array: PEArray, memory: MemoryShare) -> int:
    """Give the bytes that `lower` names when it refuses a buffer of one byte."""
    with pytest.raises(UnmappableLayerError) as caught:
        RowConvolution().lower(StepProblem(operands, step, array, memory))
    found = re.search(r"the smallest needs (\d+) bytes", str(caught.value))
    assert found is not None
    return int(found[1])


def empty(operands: Operands) -> Operands:
    return dataclasses.replace(
        operands, input=np.zeros_like(operands.input), grad_output=np.zeros_like(operands.grad_output), mask=None
    )


@pytest.mark.parametrize(("memory", "skips"), MACHINES)
def test_the_least_tiling_is_that_of_zeros_and_never_above_that_of_other_operands(
    memory: MemoryShare, skips: bool
) -> None:
    compile_kernels()
    exact = 0
    for number in range(CASES):
        operands, drawn = draw_case(24, number)
        array = dataclasses.replace(drawn, skip_zeros=skips, skip_weights=drawn.skip_weights and skips)
        for step in operands.steps:
            least = find_least_bytes(operands.shape, step, array, memory)
            of_zeros = refused_bytes(empty(operands), step, array, memory)
            assert least <= of_zeros
            assert least <= refused_bytes(operands, step, array, memory)
            if isinstance(operands.shape, ConvShape):
                assert least == of_zeros, (number, step)
            exact += least == of_zeros
    assert exact > 2 * CASES


def test_a_step_that_just_fits_is_not_refused_and_one_byte_less_is() -> None:
    operands, array = draw_case(24, 1)
    memory = MACHINES[0][0]
    least = find_least_bytes(operands.shape, Step.GTA, array, memory)
    check_shape("conv", operands.shape, Step.GTA, array, dataclasses.replace(memory, capacity_bytes=least))
    with pytest.raises(UnmappableLayerError) as caught:
        check_shape("conv", operands.shape, Step.GTA, array, dataclasses.replace(memory, capacity_bytes=least - 1))
    assert str(caught.value) == (
        f"layer 'conv', step gta: no tiling fits the global buffer; the smallest needs {least} bytes, were all "
        f"operands zero, buffer.capacity_bytes = {least - 1}"
    )
    check_shape("conv", operands.shape, Step.GTA, array, None)
