"""Products of a tensor with itself: the gradient is the sum of both factors', written by GTA and completed by GTW."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter

from dataflows.storage.written import finish_gradient
from sim import simulate
from workloads.errors import InputError
from workloads.host import FLOAT64, initial_parameters, run_iteration
from workloads.kinds import Layer
from workloads.network import Network, build_network
from workloads.profile import Profile
from workloads.profile_plan import plan_factor
from workloads.profile_tensors import ProfiledNetwork
from workloads.pruning import PruningState
from workloads.pruning_sites import find_gradient_writer
from workloads.recorded import open_recording, save_recorded
from workloads.reference import run_gta, run_gtw
from workloads.settings import Density, GradientPruning
from workloads.shapes import Step
from workloads.sources.synthetic import SyntheticOperands, make_synthetic_layer
from workloads.training.iteration import run_pruned_iteration
from workloads.workload import make_workload
from workloads.yaml_file import parse_yaml

LAYERS: TypeAdapter[list[Layer]] = TypeAdapter(list[Layer])
N, T, C = 2, 5, 6


def layer(name: str, kind: str, *inputs: str, **fields: Any) -> dict[str, Any]:
    return {"name": name, "type": kind, **({"inputs": list(inputs)} if inputs else {}), **fields}


def network(*layers: dict[str, Any], ends: bool = True) -> Network:
    end = [layer("flat", "flatten"), layer("fc", "linear", out_features=3), layer("loss", "softmax_cross_entropy")]
    return build_network("net", (N, 3, T, C), LAYERS.validate_python([*layers, *(end if ends else [])]))


# Self-attention without projections: weights are the softmax of x x^T, and multiply x itself.
ATTENTION = (
    layer("stem", "linear", out_features=C), layer("x", "relu"),
    layer("scores", "matmul", "x", "x", transpose_b=True, scale=0.5), layer("weights", "softmax"),
    layer("mixed", "matmul", "weights", "x"),
)  # fmt: skip
IMAGES, LABELS = np.random.default_rng(3).standard_normal((N, 3, T, C)), np.array([0, 2])


def test_gta_adds_what_is_stored_before_and_gtw_adds_the_sum_so_far() -> None:
    net = network(*ATTENTION)
    # Backward: mixed writes its share, to which the first factor's is added, and then the second's.
    assert net.summed_gradients("mixed", 1) == ()
    assert net.summed_gradients("scores", 0) == net.summed_gradients("scores", 1) == ("x",)
    assert find_gradient_writer(net, "x") == "scores"
    assert net.unsummed_gradients("x") == ()
    alone = network(
        layer("stem", "linear", out_features=C), layer("square", "matmul", "stem", "stem", transpose_a=True)
    )
    assert (alone.summed_gradients("square", 0), alone.summed_gradients("square", 1)) == ((), ("stem",))


def test_the_hosts_parameters_have_the_gradients_of_differences() -> None:
    net = network(*ATTENTION)
    parameters = {name: value.astype(np.float64) for name, value in initial_parameters(net, 1).items()}
    found = run_iteration(net, parameters, IMAGES, LABELS, seed=1, options=FLOAT64)
    for place in ((2, 1), (0, 3)):
        moved = {**parameters, "stem/weight": parameters["stem/weight"].copy()}
        moved["stem/weight"][place] += 1e-6
        change = (run_iteration(net, moved, IMAGES, LABELS, seed=1, options=FLOAT64).loss - found.loss) / 1e-6
        assert found.grads["stem/weight"][place] == pytest.approx(change, rel=1e-3, abs=1e-7)


def test_what_the_ppu_writes_in_gtw_is_the_gradient_that_the_layer_before_reads() -> None:
    net = network(*ATTENTION)
    layers = {
        one.layer: one for one in run_iteration(net, initial_parameters(net, 1), IMAGES, LABELS, seed=1).operands()
    }
    scores = layers["scores"]
    np.testing.assert_array_equal(scores.input, scores.weight)
    first = finish_gradient(run_gta(scores), scores)
    np.testing.assert_allclose(scores.weight_summed[0], first, rtol=1e-5, atol=1e-7)
    np.testing.assert_array_equal(scores.weight_summed[0] != 0, scores.weight_summed[0] * scores.written_mask != 0)
    last = finish_gradient(run_gtw(scores), scores, Step.GTW)
    np.testing.assert_allclose(last, layers["stem"].grad_output, rtol=1e-5, atol=1e-7)


def test_the_sum_is_pruned_where_gtw_completes_it() -> None:
    net = network(*ATTENTION)
    pruning = GradientPruning(rate=0.9, threshold="own_batch")
    state = PruningState(pruning.fifo_depth)
    done = run_pruned_iteration(
        net, initial_parameters(net, 1), (IMAGES, LABELS), pruning=pruning, state=state, seed=1, iteration=0
    )
    layers = {one.layer: one for one in done.operands()}
    scores = layers["scores"]
    assert (scores.finish.tau, scores.weight_finish.tau > 0) == (0, True)
    written = finish_gradient(run_gtw(scores), scores, Step.GTW)
    np.testing.assert_allclose(written, layers["stem"].grad_output, rtol=1e-4, atol=1e-7)


def test_synthetic_and_recorded_factors_are_one_tensor(tmp_path: Path) -> None:
    net = network(*ATTENTION, ends=False)
    source = SyntheticOperands(source="synthetic", seed=2, density=Density(input=0.4, weight=0.9))
    saved = [make_synthetic_layer(net, source, node.name) for node in net.compute_nodes()]
    scores = next(one for one in saved if one.layer == "scores")
    np.testing.assert_array_equal(scores.weight, scores.input)
    assert len(scores.summed) == len(scores.weight_summed) == 1
    save_recorded(tmp_path / "recorded.npz", saved)
    read = open_recording(tmp_path / "recorded.npz", net).layer("scores")
    np.testing.assert_array_equal(read.weight_summed[0], scores.weight_summed[0])
    np.testing.assert_array_equal(read.weight_finish.mask, scores.input != 0)


def test_a_profile_draws_both_factors_as_one_and_refuses_a_row_for_the_second() -> None:
    net = network(*ATTENTION, layer("end", "relu"), ends=False)
    figures = {("x", "output"): 0.5, ("end", "output"): 0.3, ("stem", "grad_output"): 0.2}
    profile = Profile("table", "last", figures, dict.fromkeys(figures, 1))
    operands = ProfiledNetwork(net, profile, seed=1).layer("scores")
    np.testing.assert_array_equal(operands.weight, operands.input)
    assert [row["density"] for row in ProfiledNetwork(net, profile, seed=1).describe() if row["layer"] == "scores"][
        :2
    ] == [0.5, 0.5]
    wrong = Profile("table", "last", {**figures, ("scores", "weight"): 0.2}, dict.fromkeys([*figures], 1))
    with pytest.raises(InputError) as error:
        plan_factor(net, wrong, "scores")
    assert str(error.value) == (
        "table: the row scores,weight stands for no tensor, since 'scores' multiplies 'x' with itself; the row "
        "scores,input stands for both"
    )


@pytest.mark.parametrize("pruning", ["", "pruning: {rate: 0.9, threshold: own_batch}\n"])
def test_self_attention_without_projections_is_verified(pruning: str) -> None:
    text = (
        f"name: net\nbatch: 2\ninput: {{channels: 3, height: 8, width: 6}}\n{pruning}"
        "operands: {source: host, dataset: fashion_mnist, seed: 1, images: {resize: [8, 6], channels: 3}}\nlayers:\n"
        "  - {name: stem, type: linear, out_features: 6}\n  - {name: x, type: relu}\n"
        "  - {name: scores, type: matmul, inputs: [x, x], transpose_b: true, scale: 0.3}\n"
        "  - {name: weights, type: softmax}\n  - {name: mixed, type: matmul, inputs: [weights, x]}\n"
        "  - {name: flat, type: flatten}\n  - {name: fc, type: linear, out_features: 10}\n"
        "  - {name: loss, type: softmax_cross_entropy}\n"
    )
    workload = make_workload(parse_yaml(text, "net.yaml"), base_directory=None)  # type: ignore[arg-type]
    result = simulate(workload, "sparsetrain")
    assert result.is_correct
    steps = {row.step for row in result.steps if row.layer == "scores"}
    assert steps == {"forward", "gta", "gtw"}
