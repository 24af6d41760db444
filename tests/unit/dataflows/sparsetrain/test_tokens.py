"""A fully connected layer on tokens is one whose images are the tokens, but for what is keyed by the image."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from random_layers import draw_operands

from dataflows.contract.array import PEArray
from dataflows.contract.errors import UnmappableLayerError
from dataflows.contract.memory import MemoryShare
from dataflows.contract.problem import StepProblem
from dataflows.contract.traffic_laws import list_unequal
from dataflows.sparsetrain.dataflow import RowConvolution
from dataflows.sparsetrain.views import see_step
from sim.architecture import load_architecture
from sim.step.layer_run import run_layer_step
from sim.step.verify import Verdict
from sim.step.work import StepOptions
from workloads.kinds.execution import Place
from workloads.kinds.linear import Linear
from workloads.layer_images import select_images
from workloads.operands import GradientFinish, Operands
from workloads.pruning import PruningKey
from workloads.reference import linear_forward, linear_gta, linear_gtw
from workloads.shapes import LinearShape, Step

SHAPE = LinearShape(3, 11, 7, (2, 5))
ROWS = LinearShape(30, 11, 7)
ARRAY = PEArray(groups=2, pes_per_group=3, multipliers_per_pe=2, min_tasks_per_group=1)


def draw(seed: int = 0) -> Operands:
    operands = draw_operands(np.random.default_rng(seed), SHAPE)
    return replace(operands, mask=operands.input != 0, summed=(operands.input[::-1].copy(),))


def flatten(operands: Operands) -> Operands:
    mask = operands.input.reshape(30, 11) != 0
    return replace(
        operands, shape=ROWS, input=operands.input.reshape(30, 11), grad_output=operands.grad_output.reshape(30, 7),
        mask=mask, summed=tuple(gradient.reshape(30, 11) for gradient in operands.summed),
    )  # fmt: skip


@pytest.mark.parametrize("step", Step)
@pytest.mark.parametrize("memory", [None, MemoryShare(), MemoryShare(capacity_bytes=400, operand_store_bytes=64)])
@pytest.mark.parametrize("skips", [True, False])
def test_every_token_is_an_image_to_the_machine(step: Step, memory: MemoryShare | None, skips: bool) -> None:
    array, operands, dataflow = replace(ARRAY, skip_zeros=skips), draw(), RowConvolution()
    found = dataflow.lower(StepProblem(operands, step, array, memory))
    expected = dataflow.lower(StepProblem(flatten(operands), step, array, memory))
    np.testing.assert_array_equal(found.pe_cycles, expected.pe_cycles)
    np.testing.assert_array_equal(found.indices, expected.indices)
    assert found.counts == expected.counts
    if memory is not None:
        assert found.traffic is not None
        assert expected.traffic is not None
        assert not list(list_unequal(found.traffic, expected.traffic))
    executed = np.ones(len(found), dtype=np.bool_)
    values = dataflow.execute(StepProblem(operands, step, array, memory), executed)
    flat = dataflow.execute(StepProblem(flatten(operands), step, array, memory), executed)
    np.testing.assert_array_equal(values.output, flat.output.reshape(values.output.shape))


def test_a_layer_on_features_is_seen_as_it_is() -> None:
    problem = StepProblem(flatten(draw()), Step.GTA, ARRAY)
    assert see_step(problem) is problem
    assert see_step(StepProblem(draw(), Step.GTA, ARRAY)).own.shape == SHAPE


def test_all_tokens_share_the_weights_and_the_bias() -> None:
    operands = draw()
    output = linear_forward(operands.input, operands.weight, SHAPE)
    for place in np.ndindex(3, 2, 5):
        np.testing.assert_array_equal(output[place], operands.weight @ operands.input[place])
    grad_weight = np.zeros((7, 11))
    grad_input = linear_gta(operands.grad_output, operands.weight, SHAPE)
    for place in np.ndindex(3, 2, 5):
        grad_weight += np.outer(operands.grad_output[place], operands.input[place])
        np.testing.assert_array_equal(grad_input[place], operands.grad_output[place] @ operands.weight)
    np.testing.assert_array_equal(linear_gtw(operands.input, operands.grad_output, SHAPE), grad_weight)


def test_the_host_hands_gradients_back_through_tokens() -> None:
    layer = Linear(name="fc", type="linear", out_features=7)
    rng = np.random.default_rng(1)
    input, weight, bias = rng.standard_normal(SHAPE.input_shape), rng.standard_normal((7, 11)), rng.standard_normal(7)
    place = Place(needs_grad_input=True, output_is_kept=False, seed=1, iteration=0)
    output, backward = layer.run([input], {"weight": weight, "bias": bias}, place)
    slope = rng.standard_normal(output.shape)
    gradients = backward(slope)

    def loss(input: np.ndarray, bias: np.ndarray) -> float:
        return float((layer.run([input], {"weight": weight, "bias": bias}, place)[0] * slope).sum())

    step = 1e-6
    for index in ((0, 1, 4, 10), (2, 0, 0, 3)):
        moved = input.copy()
        moved[index] += step
        assert gradients.inputs[0][index] == pytest.approx((loss(moved, bias) - loss(input, bias)) / step, rel=1e-4)
    moved = bias + step * (np.arange(7) == 3)
    assert gradients.parameters["bias"][3] == pytest.approx((loss(input, moved) - loss(input, bias)) / step, rel=1e-4)


@pytest.mark.parametrize("preset", ["sparsetrain", "dense", "ideal"])
@pytest.mark.parametrize("step", Step)
def test_values_are_verified_with_bias_sums_and_pruning_by_the_image(preset: str, step: Step) -> None:
    finish = GradientFinish(tau=2.5, key=PruningKey(1, "before", 0))
    operands = replace(draw(2), bias=np.arange(7, dtype=np.float32), finish=finish)
    (run,) = run_layer_step(operands, step, (load_architecture(preset),), StepOptions(keeps_output=True))
    assert run.result.verdict == Verdict.EXACT.value
    if step is Step.GTA:
        # An image is pruned alike whichever others are there, because its draws go by its number.
        last = select_images(operands, [2])
        (alone,) = run_layer_step(last, step, (load_architecture(preset),), StepOptions(keeps_output=True))
        np.testing.assert_array_equal(alone.output[0], run.output[2])


def test_a_step_on_tokens_is_not_sampled_and_the_refusal_names_it() -> None:
    problem = StepProblem(draw(), Step.GTA, ARRAY, MemoryShare())
    with pytest.raises(UnmappableLayerError, match="layer 'layer', step gta: cannot be sampled"):
        RowConvolution().plan_tiles(problem, np.arange(3))
