"""What is done to the factors and the result of a product of matrices is a part of it, where nothing else reads it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from peers import import_peer

torch = import_peer("torch")

from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402

from dataflows.storage.written import finish_gradient  # noqa: E402
from sim import simulate  # noqa: E402
from workloads.capture import capture  # noqa: E402
from workloads.errors import InputError  # noqa: E402
from workloads.opening import open_operands  # noqa: E402
from workloads.reference import run_gta, run_gtw  # noqa: E402
from workloads.shapes import Step  # noqa: E402

pytestmark = pytest.mark.peers


class Product(nn.Module):
    """Tokens of a fully connected layer, and a product of two matrices that are made of them."""

    def __init__(self, multiply: Callable[[Any], Any]) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.fc = nn.Linear(6, 6)
        self.multiply = multiply

    def forward(self, images: Any) -> Any:
        return self.multiply(self.fc(images))


def record(multiply: Callable[[Any], Any]) -> Any:
    return capture(Product(multiply), torch.randn(2, 3, 6, 6), lambda scores: scores.square().sum())


@pytest.mark.parametrize(
    ("multiply", "fields"),
    [
        (lambda x: x.relu() @ x.transpose(2, 3), {"transpose_b": True}),
        (lambda x: x.relu().mT @ x.mT, {"transpose_a": True, "transpose_b": True}),
        (lambda x: x.relu() @ x.mT.mT, {}),
        (lambda x: (x.relu() * 0.5) @ (x / 2), {"scale": 0.25}),
        (lambda x: (0.5 * (x.relu() @ x)) / 4, {"scale": 0.125}),
        (lambda x: (x.relu() @ (x / 2).mT).div_(2), {"transpose_b": True, "scale": 0.25}),
    ],
)
def test_turns_and_scales_are_fields_of_the_product(multiply: Callable[[Any], Any], fields: dict[str, Any]) -> None:
    linear, relu, matmul = record(multiply).form["layers"]
    assert (linear["type"], relu["type"]) == ("linear", "relu")
    inputs = [relu["name"], linear["name"]]
    assert matmul == {"name": "matmul", "type": "matmul", "inputs": inputs, **fields}


def multiply_turned(x: Any) -> Any:
    return x.mT @ x


def multiply_batches(x: Any) -> Any:
    return torch.bmm(x, x.mT)


@pytest.mark.parametrize(
    ("multiply", "fields"),
    [
        (lambda x: x @ x, {}),
        (lambda x: x @ x.mT, {"transpose_b": True}),
        (lambda x: (x.mT @ x) / 2, {"transpose_a": True, "scale": 0.5}),
        (lambda x: (x / 2) @ x, {"scale": 0.5}),
        (lambda x: multiply_turned(x.relu()), None),
        (lambda x: (x @ x.mT).softmax(-1) @ x, None),
        (lambda x: x + (x @ x.mT) + x.tanh(), None),
        (lambda x: multiply_batches(x.flatten(0, 1)), None),
    ],
)
def test_a_product_of_a_tensor_with_itself_has_the_shares_of_autograd(
    multiply: Callable[[Any], Any], fields: dict[str, Any] | None
) -> None:
    model, images = Product(multiply).double(), torch.randn(2, 1, 6, 6, dtype=torch.float64)
    recording = capture(model, images, lambda scores: (scores**2).sum() / 10)
    if fields is not None:
        assert recording.form["layers"][1] == {
            "name": "matmul", "type": "matmul", "inputs": ["fc", "fc"], **fields
        }  # fmt: skip
    linear, *others = open_operands(recording.workload).layers
    first = next(one for one in others if one.shape.weighs_activations)
    np.testing.assert_array_equal(first.input.ravel(), first.weight.ravel())
    shares = [finish_gradient(run_gta(first), first), finish_gradient(run_gtw(first), first, Step.GTW)]
    # What the first step writes is what the second one adds to its own share.
    np.testing.assert_allclose(first.weight_summed[0].ravel(), shares[0].ravel(), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(linear.grad_output.ravel(), shares[1].ravel(), rtol=1e-5, atol=1e-6)
    assert simulate(recording, "ideal", baseline=None).is_correct


def read_before_scaling(x: Any) -> Any:
    scores = x.relu() @ x
    return scores.tanh() + scores * 0.5


def read_behind_scaling(x: Any) -> Any:
    scores = x.relu() @ x
    return scores * 0.5 + scores


def change_before_product(x: Any) -> Any:
    values = x.tanh()
    half = values * 0.5
    values.relu_()
    return half @ x


def test_a_sum_that_takes_a_batch_for_rows_is_refused() -> None:
    model = Product(lambda x: x + x.mean((1, 2)))
    with pytest.raises(InputError) as caught:
        capture(model, torch.randn(2, 3, 2, 6), lambda scores: scores.square().sum())
    assert "add reads tensors of 2 and 4 axes, so that one's batch is another's axis" in str(caught.value)


@pytest.mark.parametrize(
    ("multiply", "reason"),
    [
        (read_before_scaling, "a product with the number 0.5 is no layer"),
        (read_behind_scaling, "a product of matrices is scaled here, and read without its scale as well"),
        (change_before_product, "a product with the number 0.5 is no layer"),
        (lambda x: (x * 0.5).relu() @ x, "a product with the number 0.5 is no layer"),
        (lambda x: functional.scaled_dot_product_attention(x, x.relu(), x.relu(), is_causal=True), "with a mask"),
        (lambda x: x.relu()[:, :1] @ x, "equal axes before the last two, but have the shapes (2, 1, 6, 6) and (2, 3"),
    ],
)
def test_another_use_of_what_is_scaled_is_refused(multiply: Callable[[Any], Any], reason: str) -> None:
    with pytest.raises(InputError) as caught:
        record(multiply)
    assert reason in str(caught.value)
