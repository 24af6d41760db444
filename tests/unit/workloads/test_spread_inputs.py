"""Sums, differences and products whose inputs are spread: torch's values, passes with bytes, and verified runs."""

from __future__ import annotations

from math import prod
from pathlib import Path

import numpy as np
import pytest
import yaml
from numpy.typing import NDArray
from pydantic import TypeAdapter

from sim import simulate
from sim.architecture import load_architecture
from workloads.errors import InputError
from workloads.host import FLOAT64, parameter_shapes, run_iteration
from workloads.kinds import Layer
from workloads.network import Network, build_network
from workloads.passes import ElementwisePass, PassStep, list_passes
from workloads.pruning_sites import find_gradient_writer
from workloads.workload import make_workload
from workloads.yaml_file import parse_yaml

LAYERS: TypeAdapter[list[Layer]] = TypeAdapter(list[Layer])
START = "{name: c1, type: conv2d, out_channels: 2, kernel: 3, padding: 1}, {name: r1, type: relu}"
MEAN = "{name: mean, type: global_avg_pool}"
END = (
    "{name: c2, type: conv2d, out_channels: 2, kernel: 1, bias: false}, {name: flat, type: flatten}, "
    "{name: fc, type: linear, out_features: 3, bias: false}, {name: loss, type: softmax_cross_entropy}"
)

# Of torch 2.13 in float64, for the values that `spread` gives: the loss, and the gradients to c1's bias, to c2's weight
# and to the parameter `b`.
JOINS: dict[str, tuple[str, float, list[float], list[float], list[float]]] = {
    "a sum with an average": (
        f"{MEAN}, {{name: j, type: add, inputs: [r1, mean]}}",
        0.9658127431722532,
        [-0.19794298720309525, 0.07950311859612152],
        [-0.05601267901033477, -0.012020271975827876, 0.44004550917187796, 0.3437758158011814],
        [],
    ),
    "a sum of an average, columns and an image": (
        f"{MEAN}, {{name: b, type: parameter, shape: [3]}}, {{name: j, type: add, inputs: [mean, b, r1]}}",
        1.0904332520007225,
        [-0.1681650464231849, 0.1104388658105036],
        [-0.4207164778107118, -0.3577510006886257, 0.5670327153676429, 0.5557875036877096],
        [-0.11850014774157323, 0.08887511080617991, 0.08887511080617994],
    ),
    "a product of an average, an image and rows": (
        f"{MEAN}, {{name: b, type: parameter, shape: [3, 1]}}, {{name: j, type: multiply, inputs: [mean, r1, b]}}",
        1.093617248297801,
        [0.010540182813072145, -0.016294226859894453],
        [0.0012972532693011907, -0.007289588908494684, 0.0012972532693011863, -0.0028663011886378206],
        [0.0003459686022855221, -0.044432412719731335, -0.006156850608473227],
    ),
    "an image less columns": (
        "{name: b, type: parameter, shape: [3]}, {name: j, type: subtract, inputs: [r1, b]}",
        0.9170609125297415,
        [-0.24500782352198186, 0.05508006129453134],
        [0.03280265545041025, 0.06965190127547177, 0.49146858942503957, 0.29117641890681484],
        [0.009048307741550105, -0.006786230806162578, -0.006786230806162558],
    ),
}


def spread(shape: tuple[int, ...], step: int) -> NDArray[np.float64]:
    """Give quarters from -0.75 to 0.75, in an order that the step decides."""
    return ((np.arange(prod(shape)) * step % 7) - 3).reshape(shape) / 4.0


def network(layers: str, shape: tuple[int, ...] = (2, 2, 3, 3)) -> Network:
    """Build a network of layers in YAML's flow style."""
    return build_network("net", shape, LAYERS.validate_python(yaml.safe_load(f"[{layers}]")))


@pytest.mark.parametrize("name", JOINS)
def test_spread_inputs_have_the_loss_and_gradients_of_torch(name: str) -> None:
    layers, loss, bias, weight, value = JOINS[name]
    net = network(f"{START}, {layers}, {END}")
    steps = {"c1/weight": 3, "c1/bias": 2, "c2/weight": 4, "fc/weight": 2, "b/value": 3}
    parameters = {name: spread(shape, steps[name]) for name, shape in parameter_shapes(net).items()}
    parameters["fc/weight"] /= 2
    found = run_iteration(net, parameters, spread((2, 2, 3, 3), 5), np.array([2, 0]), seed=1, options=FLOAT64)
    assert found.loss == pytest.approx(loss, rel=1e-12)
    np.testing.assert_allclose(found.grads["c1/bias"], bias, rtol=1e-11)
    np.testing.assert_allclose(found.grads["c2/weight"].ravel(), weight, rtol=1e-11, atol=1e-14)
    np.testing.assert_allclose(found.grads.get("b/value", np.zeros(0)).ravel(), value, rtol=1e-11, atol=1e-14)


def list_backward(net: Network) -> dict[str, ElementwisePass]:
    """List the backward passes by their nodes."""
    return {made.node: made for made in list_passes(net) if made.step is PassStep.BACKWARD}


def test_the_gradient_to_a_spread_input_is_written_by_a_pass_and_that_to_a_whole_one_is_the_sums() -> None:
    layers, *_ = JOINS["a sum of an average, columns and an image"]
    net = network(f"{START}, {layers}, {END}")
    made = list_backward(net)
    assert (made["j"].elements, made["j"].reads) == (2 * 2 * 3 * 3, ())
    assert made["j"].reads_gradients == ("j",)
    assert made["j"].writes_gradients == ("mean", "b")
    # The average adds the sum's gradient, which is r1's other share, to its own.
    assert net.summed_gradients("mean") == ("j",)
    assert made["mean"].reads_gradients == ("mean", "j")
    assert find_gradient_writer(net, "mean") == "j"
    assert find_gradient_writer(net, "r1") == "mean"


def test_a_sum_of_whole_inputs_or_of_untrained_spread_ones_has_no_pass() -> None:
    assert "j" not in list_backward(network(f"{START}, {{name: j, type: add, inputs: [r1, c1]}}, {END}"))
    images = "{name: small, type: global_avg_pool, inputs: [input]}"
    net = network(f"{START}, {images}, {{name: j, type: add, inputs: [r1, small]}}, {END}")
    assert "j" not in list_backward(net)


def test_a_tensor_that_a_sum_spreads_and_another_layer_reads_has_both_shares_in_its_gradient() -> None:
    layers = (
        f"{MEAN}, {{name: point, type: conv2d, out_channels: 2, kernel: 1}}, "
        "{name: j, type: add, inputs: [mean, r1, point]}"
    )
    net = network(f"{START}, {layers}, {END}")
    # Of what reads the mean the sum hands its share back first, and the convolution's GTA adds it to its own.
    assert net.summed_gradients("point") == ("mean",)
    assert find_gradient_writer(net, "mean") == "point"


MACHINE_BYTES = """\
name: net
batch: 2
input: {channels: 3, height: 8, width: 8}
operands: {source: synthetic, seed: 1, density: {input: 0.5, grad_output: 0.5}}
layers:
  - {name: c1, type: conv2d, out_channels: 4, kernel: 3, padding: 1}
  - {name: mean, type: global_avg_pool}
  - {name: whole, type: upsample, inputs: [c1], scale: 1}
  - {name: j, type: add, inputs: [mean, whole]}
"""


def test_the_pass_of_a_spread_input_reads_the_whole_gradient_and_writes_the_small_one() -> None:
    workload = make_workload(parse_yaml(MACHINE_BYTES, "net.yaml"), base_directory=None)  # type: ignore[arg-type]
    result = simulate(
        workload, load_architecture("sparsetrain", ("buffer.keep_on_chip=false", "ppu.fuse_passes=false"))
    )
    found = [row for row in result.steps if (row.layer, row.step) == ("j", "backward")]
    assert len(found) == 2
    for row in found:
        # Of 16 bits a number, raw: 8 x 8 x 4 of two images are read, 1 x 1 x 4 written.
        assert (row.dram_read_bytes, row.dram_write_bytes) == (2 * 4 * 8 * 8 * 2, 2 * 4 * 2)


@pytest.mark.parametrize("name", JOINS)
def test_networks_of_spread_inputs_are_verified(name: str) -> None:
    layers = "".join(f"  - {{{layer}}}\n" for layer in JOINS[name][0].replace("[3", "[8").strip("{}").split("}, {"))
    text = (
        "name: net\nbatch: 2\ninput: {channels: 3, height: 8, width: 8}\n"
        "operands: {source: host, dataset: fashion_mnist, seed: 1, images: {resize: 8, channels: 3}}\nlayers:\n"
        "  - {name: c1, type: conv2d, out_channels: 4, kernel: 3, padding: 1}\n  - {name: r1, type: relu}\n"
        f"{layers}  - {{name: c2, type: conv2d, out_channels: 4, kernel: 3, padding: 1}}\n"
        "  - {name: flat, type: flatten}\n  - {name: fc, type: linear, out_features: 10}\n"
        "  - {name: loss, type: softmax_cross_entropy}\n"
    )
    workload = make_workload(parse_yaml(text, "net.yaml"), base_directory=None)  # type: ignore[arg-type]
    assert simulate(workload, "sparsetrain").is_correct


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ("[2]", "'b' has (2, 2) where the others make (2, 2, 3, 3)"),
        ("[2, 1]", "'b' has (2, 2, 1) where the others make (2, 2, 3, 3)"),
        ("[4, 3, 3]", "'r1' has (2, 2, 3, 3) where the others make (2, 4, 3, 3)"),
    ],
)
def test_shapes_that_cannot_be_spread_are_refused(shape: str, message: str) -> None:
    layers = f"{{name: b, type: parameter, shape: {shape}}}, {{name: j, type: add, inputs: [r1, b]}}"
    with pytest.raises(InputError) as error:
        network(f"{START}, {layers}, {END}")
    assert str(error.value) == (
        f"layers[3] 'j': an add's inputs must agree in each axis or have the length 1 there, but {message}"
    )


def test_a_profile_asks_for_a_row_where_a_sum_spreads_what_a_layer_gives_out(tmp_path: Path) -> None:
    text = (
        "name: net\nbatch: 1\ninput: {channels: 2, height: 4, width: 4}\n"
        "operands: {source: profile, path: table.csv, seed: 1}\nlayers:\n"
        "  - {name: c1, type: conv2d, out_channels: 2, kernel: 1}\n"
        "  - {name: small, type: conv2d, inputs: [input], out_channels: 2, kernel: 4}\n"
        "  - {name: j, type: add, inputs: [c1, small]}\n"
    )
    (tmp_path / "table.csv").write_text("layer,tensor,density\nc1,grad_output,0.5\n")
    with pytest.raises(InputError, match=r"grad_output of 'small', .*: 'j' \(add\) spreads it over positions"):
        simulate(make_workload(parse_yaml(text, "net.yaml"), tmp_path), "sparsetrain")
