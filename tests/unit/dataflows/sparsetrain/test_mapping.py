"""Every mapping of the built-in dataflow cuts a step into entries of its own tasks."""

from __future__ import annotations

import numpy as np
import pytest
from worked_layers import pose_conv, pose_linear

from dataflows.contract.problem import StepProblem
from dataflows.sparsetrain.conv_kernels.mapping import ConvKernels
from dataflows.sparsetrain.conv_rows.mapping import ConvRows
from dataflows.sparsetrain.linear_outer.mapping import LinearOuter
from dataflows.sparsetrain.linear_products.mapping import LinearProducts
from dataflows.sparsetrain.mapping import Mapping
from workloads.shapes import Step


@pytest.mark.parametrize(
    ("mapping", "problem"),
    [
        (ConvRows(), pose_conv(Step.FORWARD)),
        (ConvRows(), pose_conv(Step.GTA)),
        (ConvKernels(), pose_conv(Step.GTW)),
        (LinearProducts(), pose_linear(Step.FORWARD)),
        (LinearProducts(), pose_linear(Step.GTA)),
        (LinearOuter(), pose_linear(Step.GTW)),
    ],
)
def test_the_bursts_of_a_task_sum_to_its_cycles(mapping: Mapping, problem: StepProblem) -> None:
    names, indices = mapping.list_tasks(problem)
    pe_cycles = mapping.measure_tasks(problem)
    assert indices.shape == (len(pe_cycles), len(names))
    traffic, dispatch = mapping.cut(problem)
    summed = np.zeros_like(pe_cycles)
    entry_of_burst = np.repeat(np.arange(len(dispatch)), np.diff(traffic.burst_first))
    np.add.at(summed, dispatch[entry_of_burst], traffic.burst_cycles)
    assert summed.tolist() == pe_cycles.tolist()
