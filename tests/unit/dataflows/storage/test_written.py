"""Which elements of a result are nonzero, and where it is stored sparse, on layers worked by hand."""

from __future__ import annotations

import dataclasses

import numpy as np
from worked_layers import CONV_INPUT, CONV_WEIGHT, pose_conv, pose_linear

from dataflows.contract.problem import StepProblem
from dataflows.storage.written import find_written, is_written_sparse, masks_in_ppu
from workloads.shapes import Step


def make_dense(problem: StepProblem) -> StepProblem:
    return dataclasses.replace(problem, array=dataclasses.replace(problem.array, skip_zeros=False))


def test_a_result_is_stored_sparse_behind_a_relu_and_as_a_gradient() -> None:
    assert is_written_sparse(pose_conv(Step.FORWARD))
    assert not is_written_sparse(pose_linear(Step.FORWARD))
    assert is_written_sparse(pose_linear(Step.GTA))
    assert not is_written_sparse(make_dense(pose_linear(Step.GTA)))


def test_the_ppu_applies_the_mask_where_the_pes_know_none() -> None:
    assert not masks_in_ppu(pose_conv(Step.GTA))
    assert masks_in_ppu(make_dense(pose_conv(Step.GTA)))


def test_what_is_written_is_what_bias_and_relu_leave() -> None:
    operands = pose_conv(Step.FORWARD).operands
    result = np.einsum("mc,ncpq->nmpq", CONV_WEIGHT[..., 0, 0], CONV_INPUT)
    assert find_written(operands, Step.FORWARD).tolist() == (result > 0).tolist()
    bias = np.array([-6, 0], dtype=np.float32)
    biased = dataclasses.replace(operands, bias=bias)
    assert find_written(biased, Step.FORWARD).tolist() == (result + bias[:, None, None] > 0).tolist()
