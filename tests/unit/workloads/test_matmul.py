"""Products of two activations in a network: their forms, gradients to both factors, and operands."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter

from dataflows.storage.written import finish_gradient
from workloads.host import FLOAT64, initial_parameters, run_iteration
from workloads.kinds import Layer
from workloads.kinds.execution import Place
from workloads.kinds.matmul import Matmul
from workloads.network import Network, build_network
from workloads.operands import add_pruning
from workloads.profile import Profile
from workloads.profile_plan import plan_factor
from workloads.profile_tensors import ProfiledNetwork
from workloads.pruning import PruningKey, PruningState
from workloads.pruning_sites import find_pruning_sites
from workloads.recorded import load_recorded, save_recorded
from workloads.reference import bound_forward, bound_gta, bound_gtw, run_forward, run_gta, run_gtw, sum_length
from workloads.reference.matmul import matmul_forward
from workloads.settings import Density, GradientPruning
from workloads.shapes import MatmulShape, Step
from workloads.sources.synthetic import SyntheticOperands, make_synthetic_layer
from workloads.training.iteration import run_pruned_iteration

LAYERS: TypeAdapter[list[Layer]] = TypeAdapter(list[Layer])
N, T, C = 2, 5, 6


def layer(name: str, kind: str, *inputs: str, **fields: Any) -> dict[str, Any]:
    return {"name": name, "type": kind, **({"inputs": list(inputs)} if inputs else {}), **fields}


def network(*layers: dict[str, Any], shape: tuple[int, ...] = (N, T, C)) -> Network:
    return build_network("net", shape, LAYERS.validate_python(list(layers)))


ATTENTION = (
    layer("stem", "linear", out_features=C), layer("start", "relu"),
    layer("query", "linear", "start", out_features=4), layer("key", "linear", "start", out_features=4),
    layer("positive", "relu", "key"),
    layer("scores", "matmul", "query", "positive", transpose_b=True, scale=0.5), layer("weights", "softmax"),
    layer("mixed", "matmul", "weights", "start"), layer("end", "add", "mixed", "stem"),
)  # fmt: skip


def test_both_factors_have_gradients_that_are_summed_where_branches_meet() -> None:
    net = network(*ATTENTION)
    # Backward: mixed writes first, then key and query add what is there.
    assert net.summed_gradients("mixed") == ()
    assert net.summed_gradients("key") == net.summed_gradients("query") == ("start",)
    assert net.list_steps("mixed") == net.list_steps("scores") == tuple(Step)
    assert net.is_behind_relu("scores", "positive")
    assert not net.is_behind_relu("scores")
    assert net.layer_shape("scores") == MatmulShape(N, T, 4, T, transpose_b=True, scale=0.5)


def test_a_factor_that_nobody_trains_has_no_gradient() -> None:
    net = network(layer("a", "linear", out_features=C), layer("b", "matmul", "a", "input", transpose_b=True))
    assert net.list_steps("b") == (Step.FORWARD, Step.GTA)
    net = network(layer("a", "linear", out_features=C), layer("b", "matmul", "input", "a", transpose_b=True))
    assert net.list_steps("b") == (Step.FORWARD, Step.GTW)


@pytest.mark.parametrize(
    ("shapes", "fields", "message"),
    [
        (((2, 3, 4), (2, 4)), {}, "equal axes before the last two, but have the shapes"),
        (((2, 3, 4), (2, 5, 6)), {}, "a matmul's factors do not fit: 3 x 4 times 5 x 6"),
        (((2, 3, 4), (2, 3, 6)), {"transpose_b": True}, "3 x 4 times 6 x 3 (transposed)"),
        (((2, 4), (2, 4)), {}, "must be (batch, ..., rows, columns)"),
    ],
)
def test_factors_that_do_not_fit_are_refused(shapes: Any, fields: Any, message: str) -> None:
    one = Matmul(name="m", type="matmul", inputs=["a", "b"], **fields)
    with pytest.raises(ValueError, match="matmul") as caught:
        one.infer_output(("a", "b"), shapes)
    assert message in str(caught.value)


@pytest.mark.parametrize("transpose_a", [False, True])
@pytest.mark.parametrize("transpose_b", [False, True])
def test_the_host_agrees_with_differences(transpose_a: bool, transpose_b: bool) -> None:
    rng = np.random.default_rng(4)
    a, b = rng.standard_normal((2, 3, 4, 5)), rng.standard_normal((2, 3, 5, 6))
    a, b = (np.swapaxes(one, -1, -2).copy() if turn else one for one, turn in ((a, transpose_a), (b, transpose_b)))
    made = Matmul(
        name="m", type="matmul", inputs=["a", "b"], transpose_a=transpose_a, transpose_b=transpose_b, scale=0.7
    )
    place = Place(needs_grad_input=True, output_is_kept=False, seed=1, iteration=0)
    output, backward = made.run([a, b], {}, place)
    assert output.shape == (2, 3, 4, 6)
    slope = rng.standard_normal(output.shape)
    gradients = backward(slope).inputs
    for number, tensor in enumerate((a, b)):
        gradient = gradients[number]
        assert gradient is not None
        for index in ((0, 1, 2, 3), (1, 2, 3, 0)):
            moved = [a.copy(), b.copy()]
            moved[number][index] += 1e-6
            change = ((made.run(moved, {}, place)[0] - output) * slope).sum() / 1e-6
            assert gradient[index] == pytest.approx(change, rel=1e-4)
        assert gradient.shape == tensor.shape


def test_bounds_hold_all_sums_of_magnitudes() -> None:
    net = network(*ATTENTION)
    source = SyntheticOperands(source="synthetic", seed=2, density=Density(input=0.7, weight=0.6, grad_output=0.5))
    for name in ("scores", "mixed"):
        operands = make_synthetic_layer(net, source, name)
        sizes = replace(
            operands, input=np.abs(operands.input), weight=np.abs(operands.weight),
            grad_output=np.abs(operands.grad_output),
        )  # fmt: skip
        for bound, run in ((bound_forward, run_forward), (bound_gta, run_gta), (bound_gtw, run_gtw)):
            sums = run(sizes).astype(np.float64)
            assert bound(operands).shape == sums.shape
            assert (bound(operands) * (1 + 1e-6) >= sums).all()
    shape = net.layer_shape("scores")
    assert [sum_length(shape, step) for step in Step] == [4, T, T]


def test_synthetic_factors_are_behind_their_relu_and_have_their_mask() -> None:
    net = network(*ATTENTION)
    source = SyntheticOperands(source="synthetic", seed=2, density=Density(weight=0.5))
    operands = make_synthetic_layer(net, source, "scores")
    assert operands.weight.shape == (N, T, 4)
    assert operands.weight.min() == 0
    np.testing.assert_array_equal(operands.weight_finish.mask, operands.weight != 0)
    assert operands.mask is None
    one = make_synthetic_layer(net, source, "scores", [1])
    np.testing.assert_array_equal(one.weight[0], operands.weight[1])


HOST = network(
    *ATTENTION, layer("flat", "flatten"), layer("fc", "linear", out_features=3),
    layer("loss", "softmax_cross_entropy"), shape=(N, 3, T, C),
)  # fmt: skip
IMAGES, LABELS = np.random.default_rng(3).standard_normal((N, 3, T, C)), np.array([0, 2])


def test_the_hosts_parameters_have_the_gradients_of_differences() -> None:
    parameters = {name: value.astype(np.float64) for name, value in initial_parameters(HOST, 1).items()}
    found = run_iteration(HOST, parameters, IMAGES, LABELS, seed=1, options=FLOAT64)
    for name in ("query/weight", "key/weight", "stem/weight"):
        moved = {**parameters, name: parameters[name].copy()}
        moved[name][2, 1] += 1e-6
        change = (run_iteration(HOST, moved, IMAGES, LABELS, seed=1, options=FLOAT64).loss - found.loss) / 1e-6
        assert found.grads[name][2, 1] == pytest.approx(change, rel=1e-3, abs=1e-7)


def test_what_the_ppu_makes_of_a_factors_gradient_is_what_the_layer_before_reads() -> None:
    found = run_iteration(HOST, initial_parameters(HOST, 1), IMAGES, LABELS, seed=1)
    layers = {one.layer: one for one in found.operands()}
    query = finish_gradient(run_gta(layers["scores"]), layers["scores"])
    np.testing.assert_allclose(query, layers["query"].grad_output, rtol=1e-6)
    key = finish_gradient(run_gtw(layers["scores"]), layers["scores"], Step.GTW)
    np.testing.assert_allclose(key, layers["key"].grad_output, rtol=1e-6)
    assert layers["scores"].weight_finish.mask is not None
    shares = layers["key"].summed
    np.testing.assert_allclose(
        shares[0], finish_gradient(run_gtw(layers["mixed"]), layers["mixed"], Step.GTW), rtol=1e-6
    )


def test_the_gradient_to_a_factor_behind_a_relu_is_pruned_where_it_is_written() -> None:
    assert find_pruning_sites(HOST)["positive"].writer == "scores"
    pruning = GradientPruning(rate=0.9, threshold="own_batch")
    state = PruningState(pruning.fifo_depth)
    done = run_pruned_iteration(
        HOST, initial_parameters(HOST, 1), (IMAGES, LABELS), pruning=pruning, state=state, seed=1, iteration=0
    )
    layers = {one.layer: one for one in done.operands()}
    finish = layers["scores"].weight_finish
    assert finish.tau > 0
    assert layers["scores"].finish.tau == 0
    key = finish_gradient(run_gtw(layers["scores"]), layers["scores"], Step.GTW)
    np.testing.assert_allclose(key, layers["key"].grad_output, rtol=1e-5)
    assert np.count_nonzero(key) < np.count_nonzero(finish.mask)


def test_a_recording_holds_the_factor_and_a_gradient_is_pruned_by_its_node(tmp_path: Path) -> None:
    net = network(*ATTENTION)
    source = SyntheticOperands(source="synthetic", seed=2, density=Density(weight=0.5))
    saved = [make_synthetic_layer(net, source, node.name) for node in net.compute_nodes()]
    save_recorded(tmp_path / "recorded.npz", saved)
    for one, read in zip(saved, load_recorded(tmp_path / "recorded.npz", net), strict=True):
        np.testing.assert_array_equal(read.weight, one.weight)
        assert (read.weight_finish.mask is None) == (one.weight_finish.mask is None)
        key = PruningKey(1, "positive", 0)
        pruned = add_pruning(read, 0.5, key, is_factor=True)
        assert pruned.weight_finish.key == key
        assert pruned.finish == read.finish
    assert make_synthetic_layer(net, source, "scores").find_finish(Step.GTW).mask is not None


def test_a_profile_draws_the_factor_as_the_tensor_that_it_is() -> None:
    net = network(*ATTENTION[:-1], layer("end", "relu", "mixed"))
    densities = {("start", "output"): 0.5, ("positive", "output"): 0.4, ("end", "output"): 0.3}
    profile = Profile("table", "last", densities, dict.fromkeys(densities, 1))
    plan = plan_factor(net, profile, "scores")
    assert plan.density == 0.4
    profiled = ProfiledNetwork(net, profile, seed=1)
    operands = profiled.layer("scores")
    np.testing.assert_array_equal(operands.weight_finish.mask, operands.weight != 0)
    assert operands.weight.shape == (N, T, 4)
    np.testing.assert_array_equal(profiled.layer("mixed").weight, profiled.layer("query").input)
    assert {row["layer"]: row["density"] for row in profiled.describe() if row["tensor"] == "weight"}["scores"] == 0.4
    figured = Profile("table", "last", {("scores", "weight"): 0.2}, {("scores", "weight"): 1})
    assert plan_factor(net, figured, "scores").density == 0.2


def test_the_product_is_numpys() -> None:
    product = matmul_forward(np.ones((1, 2, 3)), np.ones((1, 3, 4)), MatmulShape(1, 2, 3, 4))
    np.testing.assert_array_equal(product, np.full((1, 2, 4), 3.0))
