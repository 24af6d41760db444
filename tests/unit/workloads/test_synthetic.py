from __future__ import annotations

from math import sqrt
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from workloads.errors import InputError
from workloads.network import Network
from workloads.opening import open_operands
from workloads.operands import Operands
from workloads.settings import Density
from workloads.shapes import Step
from workloads.sources.synthetic import SyntheticOperands, make_synthetic, make_synthetic_layer
from workloads.workload import make_workload
from workloads.yaml_file import parse_yaml

TEXT = """\
name: small
input: {channels: 8, height: 20, width: 20}
layers:
  - {name: conv1, type: conv2d, out_channels: 32, kernel: 3, padding: 1}
  - {name: relu1, type: relu}
  - {name: pool1, type: max_pool, kernel: 2}
  - {name: conv2, type: conv2d, out_channels: 64, kernel: 3, groups: 2, bias: false}
  - {name: flat, type: flatten}
  - {name: fc, type: linear, out_features: 12}
"""
TENSORS = ("input", "weight", "bias", "grad_output", "mask")
DENSITY = Density(input=0.4, grad_output=0.25, weight=0.7)


def network(batch: int = 4) -> Network:
    return make_workload(parse_yaml(TEXT, "net.yaml"), Path(), batch=batch).network


def make(batch: int = 4, **fields: Any) -> dict[str, Operands]:
    source = SyntheticOperands(source="synthetic", **{"seed": 1, **fields})
    return {operands.layer: operands for operands in make_synthetic(network(batch), source)}


def same(one: Operands, other: Operands) -> bool:
    return all(np.array_equal(getattr(one, tensor), getattr(other, tensor)) for tensor in TENSORS)


def test_every_layer_has_all_tensors_and_steps() -> None:
    layers = make()
    assert list(layers) == ["conv1", "conv2", "fc"]
    for name, operands in layers.items():
        shape = network().layer_shape(name)
        assert operands.shape == shape
        assert operands.steps == (Step.FORWARD, Step.GTA, Step.GTW)
        assert operands.input.shape == shape.input_shape
        assert operands.weight.shape == shape.weight_shape
        assert operands.grad_output.shape == shape.output_shape
        for tensor in (operands.input, operands.weight, operands.grad_output):
            assert tensor.dtype == np.float32
            assert tensor.flags.c_contiguous
            assert np.isfinite(tensor).all()


@pytest.mark.parametrize("integers", [False, True])
def test_the_share_of_nonzeros_is_the_density(integers: bool) -> None:
    layers = make(density=DENSITY, integers=integers)
    for operands in layers.values():
        for tensor in ("input", "weight", "grad_output"):
            values = getattr(operands, tensor)
            density = getattr(DENSITY, tensor)
            # Five standard deviations of a binomial share: one draw in two million lies outside.
            tolerance = 5 * sqrt(density * (1 - density) / values.size)
            assert abs(np.count_nonzero(values) / values.size - density) < tolerance


@pytest.mark.parametrize("integers", [False, True])
def test_a_density_of_one_leaves_no_zero_and_of_zero_nothing_else(integers: bool) -> None:
    for operands in make(integers=integers).values():
        assert np.all(operands.input != 0)
        assert np.all(operands.weight != 0)
        assert np.all(operands.grad_output != 0)
    empty = Density(input=0.0, grad_output=0.0, weight=0.0)
    for operands in make(integers=integers, density=empty).values():
        assert not operands.input.any()
        assert not operands.weight.any()
        assert not operands.grad_output.any()


def test_integers_are_small_and_all_of_them_occur() -> None:
    operands = make(integers=True, density=DENSITY)["conv1"]
    everything = {-4.0, -3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0, 4.0}
    assert set(operands.input.ravel().tolist()) == everything
    assert set(operands.weight.ravel().tolist()) == everything
    assert set(operands.grad_output.ravel().tolist()) == everything
    assert operands.bias is not None
    assert set(operands.bias.tolist()) <= everything - {0.0}


def test_weights_are_scaled_by_their_fan_in() -> None:
    weight = make()["conv2"].weight
    fan_in = 16 * 3 * 3
    # The standard deviation of n normal draws is known to 1 / sqrt(2 n); five of those.
    assert abs(float(weight.std()) * sqrt(fan_in) - 1) < 5 / sqrt(2 * weight.size)


def test_a_bias_is_made_where_the_layer_has_one() -> None:
    layers = make(density=Density(weight=0.0))
    assert layers["conv1"].bias is not None
    assert layers["conv1"].bias.shape == (32,)
    assert np.all(layers["conv1"].bias != 0)
    assert layers["conv2"].bias is None
    assert layers["fc"].bias is not None
    assert layers["fc"].bias.shape == (12,)


@pytest.mark.parametrize("integers", [False, True])
def test_behind_a_relu_inputs_are_not_negative_and_masked_by_their_zeros(integers: bool) -> None:
    layers = make(density=DENSITY, integers=integers)
    behind = layers["conv2"]
    assert np.all(behind.input >= 0)
    np.testing.assert_array_equal(behind.mask, behind.input != 0)
    for name in ("conv1", "fc"):
        assert layers[name].mask is None
        assert layers[name].input.min() < 0


def test_an_image_does_not_depend_on_the_batch_it_is_in() -> None:
    small, large = make(batch=2), make(batch=5)
    for name in small:
        np.testing.assert_array_equal(small[name].input, large[name].input[:2])
        np.testing.assert_array_equal(small[name].grad_output, large[name].grad_output[:2])
        np.testing.assert_array_equal(small[name].weight, large[name].weight)


def test_a_layer_does_not_depend_on_the_order_of_drawing() -> None:
    source = SyntheticOperands(source="synthetic", seed=1)
    layers = make()
    for name in ("fc", "conv1", "conv2"):
        assert same(make_synthetic_layer(network(), source, name), layers[name])


def test_images_tensors_layers_and_seeds_differ() -> None:
    layers = make()
    other = make(seed=2)
    conv = layers["conv1"]
    assert not np.array_equal(conv.input[0], conv.input[1])
    assert not np.array_equal(conv.grad_output[0], conv.grad_output[1])
    assert not np.array_equal(conv.input.ravel()[:100], conv.grad_output.ravel()[:100])
    assert not np.array_equal(np.abs(conv.input.ravel()[:100]), layers["conv2"].input.ravel()[:100])
    assert not any(same(layers[name], other[name]) for name in layers)


def test_a_seed_of_any_size_is_used() -> None:
    assert not same(make(seed=2**63 - 1)["fc"], make(seed=2**31 - 1)["fc"])


def test_a_layer_may_have_densities_of_its_own() -> None:
    own = make(density=DENSITY, layer_density={"fc": Density(weight=0.0)})
    common = make(density=DENSITY)
    assert not own["fc"].weight.any()
    assert own["fc"].input.all()
    assert same(own["conv1"], common["conv1"])
    assert same(own["conv2"], common["conv2"])


def test_densities_of_a_layer_that_is_not_executed_are_refused() -> None:
    document = parse_yaml(TEXT, "net.yaml")
    document.data["operands"] = {"source": "synthetic", "seed": 1, "layer_density": {"conv3": {"weight": 0.5}}}
    with pytest.raises(InputError) as caught:
        open_operands(make_workload(document, Path()))
    assert str(caught.value) == (
        "net.yaml: operands.layer_density names 'conv3', which is no layer that the accelerator executes"
    )
