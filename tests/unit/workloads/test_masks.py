"""Masks of weights: what is left of them, and that every source computes with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from workloads.arrays import Float32Array
from workloads.conformance import ConformanceError, check_mask_producer, check_source
from workloads.document import YamlDocument
from workloads.errors import InputError
from workloads.masks.magnitude import MagnitudeMask
from workloads.masks.producer import MaskedWeights, MaskKey
from workloads.opening import check_operands, open_operands
from workloads.presets import find_preset
from workloads.reference.steps import run_forward
from workloads.workload import Workload, make_workload
from workloads.yaml_file import load_yaml

KEY = MaskKey(1, "conv1")
SYNTHETIC = {"source": "synthetic", "seed": 3}
PROFILE = {"source": "profile", "path": "lenet5.csv", "seed": 3}


def masked(operands: dict[str, Any] | None = None, folder: Path = Path(), **sparsify: Any) -> Workload:
    data = load_yaml(find_preset("lenet5")).data
    data |= {"batch": 2, "sparsify": {"method": "magnitude", **sparsify}}
    return make_workload(YamlDocument("net.yaml", data | ({"operands": operands} if operands else {})), folder)


def test_the_largest_magnitudes_live_and_of_equal_ones_the_first() -> None:
    weights = np.array([[3, -1, 2, -2], [1, 0, -4, 1]], np.float32)
    found = MagnitudeMask(method="magnitude", keep=0.5).produce(weights, None, KEY)
    np.testing.assert_array_equal(found.weights, [[3, 0, 2, -2], [0, 0, -4, 0]])
    np.testing.assert_array_equal(found.mask, found.weights != 0)
    assert found.frozen is None


@pytest.mark.parametrize(("keep", "alive"), [(1.0, 8), (0.44, 4), (0.43, 3), (0.0001, 1)])
def test_the_share_is_rounded_to_whole_weights_at_least_one(keep: float, alive: int) -> None:
    weights = np.arange(1, 9, dtype=np.float32).reshape(2, 4)
    found = MagnitudeMask(method="magnitude", keep=keep).produce(weights, None, KEY)
    assert np.count_nonzero(found.weights) == found.mask.sum() == alive


@pytest.mark.parametrize("source", ["synthetic", "profile", "host"])
def test_every_source_computes_with_the_masked_weights(source: str, tmp_path: Path) -> None:
    rows = "".join(f"relu{number},output,0.5\n" for number in range(1, 5))
    (tmp_path / "lenet5.csv").write_text("layer,tensor,density\n" + rows)
    operands = {"synthetic": SYNTHETIC, "profile": PROFILE, "host": None}[source]
    made = masked(operands, tmp_path, keep=0.25, layers="conv*")
    check_source(made.operand_source(), made)
    stream = open_operands(made)
    densities = {one.layer: np.count_nonzero(one.weight) / one.weight.size for one in stream.layers}
    for layer, density in densities.items():
        shape = made.network.layer_shape(layer).weight_shape
        expected = np.floor(0.25 * np.prod(shape) + 0.5) / np.prod(shape) if layer.startswith("conv") else 1.0
        assert density == expected
    assert stream.facts["sparsify"] == {"method": "magnitude", "layers": "conv*", "freeze": False, "keep": 0.25}
    assert stream.headline.endswith(", weights masked by magnitude")


def test_the_hosts_activations_are_those_of_the_masked_weights() -> None:
    first, second, *_ = open_operands(masked(keep=0.3)).layers
    output = np.maximum(run_forward(first), 0)
    pooled = output.reshape(*output.shape[:2], output.shape[2] // 2, 2, output.shape[3] // 2, 2).max(axis=(3, 5))
    np.testing.assert_allclose(second.input, pooled, rtol=1e-5, atol=1e-6)  # float32 sums in another order


def test_a_masked_workload_is_written_back_as_it_was_read() -> None:
    made = masked(SYNTHETIC, keep=0.5)
    resolved = made.resolved()
    assert resolved["sparsify"] == {"method": "magnitude", "layers": "*", "freeze": False, "keep": 0.5}
    assert make_workload(YamlDocument("again", resolved), Path()).resolved() == resolved


def test_masks_that_cannot_be_made_are_refused() -> None:
    with pytest.raises(InputError) as caught:
        check_operands(masked({"source": "recorded", "path": "some.npz"}, keep=0.5))
    assert str(caught.value) == (
        "net.yaml: sparsify acts on weights that are made here; the operands are recorded, "
        "use source synthetic or host or profile, or leave sparsify out"
    )
    with pytest.raises(InputError) as caught:
        check_operands(masked(SYNTHETIC, keep=0.5, layers="cnv*"))
    assert str(caught.value) == "sparsify: no layer matches 'cnv*'; the layers are conv1, conv2, fc1, fc2, fc3"
    with pytest.raises(InputError) as caught:
        masked(SYNTHETIC, keep=0.0)
    assert str(caught.value) == "net.yaml: sparsify.keep must be a number above 0.0 and of at most 1.0, got 0.0"
    with pytest.raises(InputError) as caught:
        masked(SYNTHETIC, method="magnitud", keep=0.5)
    assert str(caught.value) == (
        "net.yaml: sparsify.method must be one of 'magnitude', 'n_m', 'block', 'filter', 'channel', 'shape', 'kernel', "
        "'kernel_row', 'random_connect', 'file', got 'magnitud'; did you mean 'magnitude'?"
    )


def test_masked_weights_are_whole_when_they_are_made() -> None:
    ones, none = np.ones((2, 2), np.float32), np.zeros((2, 2), np.bool_)
    with pytest.raises(ValueError, match=r"^weights outside the mask must be zero$"):
        MaskedWeights(ones, none)
    with pytest.raises(ValueError, match=r"^frozen must be bool of shape \(2, 2\), got bool \(2,\)$"):
        MaskedWeights(ones, ~none, none[0])


def test_weights_outside_the_mask_are_frozen_where_the_form_says_so() -> None:
    weights = np.array([[3, -1, 2, -2]], np.float32)
    found = MagnitudeMask(method="magnitude", keep=0.5, freeze=True).produce(weights, None, KEY)
    assert found.frozen is not None
    np.testing.assert_array_equal(found.frozen, [[False, True, False, True]])


@pytest.mark.parametrize("freeze", [False, True])
def test_the_shipped_producer_keeps_its_laws(freeze: bool) -> None:
    check_mask_producer(MagnitudeMask(method="magnitude", keep=0.3, freeze=freeze))


@pytest.mark.parametrize(
    ("frozen", "freeze", "words"),
    [
        (None, True, "must say which weights are frozen where `freeze` is set, and otherwise None"),
        (True, False, "must say which weights are frozen where `freeze` is set, and otherwise None"),
        (False, True, "must freeze all weights outside the mask"),
    ],
)
def test_a_producer_that_freezes_otherwise_than_it_is_told_is_refused(
    frozen: bool | None, freeze: bool, words: str
) -> None:
    class Careless(MagnitudeMask):
        def produce(self, weights: Float32Array, activations: Float32Array | None, key: MaskKey) -> MaskedWeights:
            found = super().produce(weights, activations, key)
            told = None if frozen is None else np.full(found.mask.shape, frozen)
            return MaskedWeights(found.weights, found.mask, told)

    with pytest.raises(ConformanceError) as caught:
        check_mask_producer(Careless(method="magnitude", keep=0.3, freeze=freeze))
    assert str(caught.value) == f"the mask producer 'magnitude', weights of shape (4, 3, 3, 3): {words}"


def test_a_producer_without_a_layer_that_it_can_mask_is_refused() -> None:
    class Deep(MagnitudeMask):
        def suits(self, shape: tuple[int, ...]) -> bool:
            return len(shape) > 4

    with pytest.raises(InputError) as caught:
        Deep(method="magnitude", keep=0.3).check(masked(keep=0.5).network)
    assert str(caught.value) == "sparsify: 'lenet5' has no layer whose weights magnitude can mask"


def test_a_producer_that_changes_what_it_is_given_is_refused() -> None:
    class InPlace(MagnitudeMask):
        def produce(self, weights: Float32Array, activations: Float32Array | None, key: MaskKey) -> MaskedWeights:
            weights[...] = super().produce(weights, activations, key).weights
            return MaskedWeights(weights, weights != 0)

    with pytest.raises(ConformanceError) as caught:
        check_mask_producer(InPlace(method="magnitude", keep=0.3))
    assert str(caught.value) == (
        "the mask producer 'magnitude', weights of shape (4, 3, 3, 3): changes the weights that it is given"
    )
