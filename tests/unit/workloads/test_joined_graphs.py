"""Parts, moved elements and tensors read twice: torch's values, masks, passes, and verified runs."""

from __future__ import annotations

from math import prod

import numpy as np
import pytest
import yaml
from numpy.typing import NDArray
from pydantic import TypeAdapter

from sim import simulate
from workloads.host import FLOAT64, parameter_shapes, run_iteration
from workloads.kinds import Layer
from workloads.network import Network, build_network
from workloads.passes import PassStep, list_passes
from workloads.workload import make_workload
from workloads.yaml_file import parse_yaml

LAYERS: TypeAdapter[list[Layer]] = TypeAdapter(list[Layer])
START = "{name: c1, type: conv2d, out_channels: 2, kernel: 3, padding: 1}, {name: r1, type: relu}"
END = (
    "{name: flat, type: flatten}, {name: fc, type: linear, out_features: 3, bias: false}, "
    "{name: loss, type: softmax_cross_entropy}"
)
POINT = "{name: c2, type: conv2d, out_channels: 2, kernel: 1, bias: false}"

# Joins of one tensor with itself, and of torch 2.13 in float64, for the values that `spread` gives: the loss, and the
# gradients to c1's bias and c2's weight.
TWICE: dict[str, tuple[str, float, list[float], list[float]]] = {
    "concat": (
        f"{{name: j, type: concat, inputs: [r1, r1]}}, {POINT}",
        0.9731134448220726,
        [-0.19845673793588348, -0.05923762680306979],
        [-0.012027440380171645, 0.009887517469260726, -0.012027440380171645, 0.009887517469260726,
         0.469280558652492, 0.1764813325017961, 0.469280558652492, 0.1764813325017961],
    ),
    "add": (
        f"{{name: j, type: add, inputs: [r1, r1]}}, {POINT}, {{name: r2, type: relu}}, "
        "{name: s, type: add, inputs: [r2, j, r1]}",
        3.4547841939942487,
        [0.1455173276745131, 1.960246184817731],
        [0.0, 0.23520344487384126, 0.0, 1.7434968349184339],
    ),
    "multiply": (
        f"{{name: j, type: multiply, inputs: [r1, r1]}}, {POINT}",
        1.0254719647844717,
        [-0.3742142888919841, 0.483201341887903],
        [-0.15917283391142462, 0.08428974736441541, 0.6939059012167839, 0.688533209794915],
    ),
}  # fmt: skip


def spread(shape: tuple[int, ...], step: int) -> NDArray[np.float64]:
    """Give quarters from -0.75 to 0.75, in an order that the step decides."""
    return ((np.arange(prod(shape)) * step % 7) - 3).reshape(shape) / 4.0


def network(layers: str, shape: tuple[int, ...] = (2, 2, 3, 3)) -> Network:
    """Build a network of layers in YAML's flow style."""
    return build_network("net", shape, LAYERS.validate_python(yaml.safe_load(f"[{layers}]")))


@pytest.mark.parametrize("kind", TWICE)
def test_a_tensor_that_is_read_twice_has_the_loss_and_gradients_of_torch(kind: str) -> None:
    layers, loss, bias, weight = TWICE[kind]
    net = network(f"{START}, {layers}, {END}")
    steps = {"c1/weight": 3, "c1/bias": 2, "c2/weight": 4, "fc/weight": 2}
    parameters = {name: spread(shape, steps[name]) for name, shape in parameter_shapes(net).items()}
    parameters["fc/weight"] /= 2
    found = run_iteration(net, parameters, spread((2, 2, 3, 3), 5), np.array([2, 0]), seed=1, options=FLOAT64)
    assert found.loss == pytest.approx(loss, rel=1e-12)
    np.testing.assert_allclose(found.grads["c1/bias"], bias, rtol=1e-11)
    np.testing.assert_allclose(found.grads["c2/weight"].ravel(), weight, rtol=1e-11, atol=1e-14)


@pytest.mark.parametrize(
    ("fields", "is_behind"),
    [
        ("split, sizes: [1, 3], part: 1", True),
        ("split, sizes: [2, 2], part: 0, axis: 3", True),
        ("channel_shuffle, groups: 2", True),
        ("pixel_shuffle, upscale: 2", True),
        ("transpose, axes: [3, 1, 2]", True),
        ("reshape, shape: [2, 8, 4]", True),
        ("upsample, scale: 2, mode: bilinear", True),
        ("adaptive_avg_pool, output: 3", True),
        ("concat, axis: 2, inputs: [r1, r1]", True),
        ("concat, axis: 2, inputs: [r1, c1]", False),
        ("multiply, inputs: [r1, r1]", False),
        ("subtract, inputs: [r1, r1]", False),
        ("add, inputs: [r1, r1]", False),
    ],
)
def test_masks_hold_behind_what_moves_elements_and_not_behind_what_makes_new_ones(fields: str, is_behind: bool) -> None:
    start = START.replace("out_channels: 2", "out_channels: 4")
    net = network(f"{start}, {{name: one, type: {fields}}}, {POINT}", (2, 3, 4, 4))
    assert net.is_behind_relu("c2") is is_behind


def test_moved_elements_are_read_and_written_once_each_way_and_parts_are_not() -> None:
    moved = (
        "{name: one, type: split, sizes: [1, 1], part: 0}, "
        "{name: two, type: split, inputs: [r1], sizes: [1, 1], part: 1}, "
        "{name: joined, type: concat, inputs: [two, one]}, {name: mixed, type: channel_shuffle, groups: 2}, "
        f"{{name: seen, type: reshape, shape: [2, 9, 1]}}, {POINT}"
    )
    made = list_passes(network(f"{START}, {moved}"))
    assert [(found.node, found.step, found.elements, found.reads, found.writes) for found in made] == [
        ("mixed", PassStep.FORWARD, 36, ("joined",), ("seen",)),
        ("mixed", PassStep.BACKWARD, 36, (), ()),
    ]
    assert made[1].reads_gradients == ("seen",)
    assert made[1].writes_gradients == ("joined",)


SIMULATED = {
    "a shuffle unit": """\
  - {name: left, type: split, sizes: [2, 2], part: 0}
  - {name: right, type: split, inputs: [r1], sizes: [2, 2], part: 1}
  - {name: point, type: conv2d, out_channels: 2, kernel: 1, bias: false}
  - {name: norm, type: batch_norm}
  - {name: relu2, type: relu}
  - {name: depth, type: conv2d, out_channels: 2, kernel: 3, padding: 1, groups: 2}
  - {name: relu3, type: relu}
  - {name: joined, type: concat, inputs: [left, relu3]}
  - {name: shuffled, type: channel_shuffle, groups: 2}
  - {name: after, type: conv2d, out_channels: 4, kernel: 3, padding: 1}
""",
    "squeeze and excite": """\
  - {name: mean, type: adaptive_avg_pool, output: 1}
  - {name: less, type: conv2d, out_channels: 2, kernel: 1}
  - {name: relu2, type: relu}
  - {name: more, type: conv2d, out_channels: 4, kernel: 1}
  - {name: gate, type: sigmoid}
  - {name: scaled, type: multiply, inputs: [r1, gate]}
  - {name: after, type: conv2d, out_channels: 4, kernel: 3, padding: 1}
""",
    "tokens that a layer mixes": """\
  - {name: places, type: reshape, shape: [4, 64]}
  - {name: turned, type: transpose, axes: [2, 1]}
  - {name: class, type: parameter, inputs: [], shape: [1, 4]}
  - {name: tokens, type: concat, inputs: [class, turned]}
  - {name: position, type: parameter, inputs: [], shape: [65, 4]}
  - {name: placed, type: add, inputs: [tokens, position]}
  - {name: norm, type: layer_norm}
  - {name: back, type: transpose, axes: [2, 1]}
  - {name: mixed, type: linear, out_features: 65}
  - {name: forth, type: transpose, axes: [2, 1]}
  - {name: sum, type: add, inputs: [placed, forth]}
  - {name: first, type: split, sizes: [1, 64], part: 0}
""",
    "images made larger and joined by rows": """\
  - {name: larger, type: upsample, scale: 2, mode: bilinear}
  - {name: smaller, type: adaptive_avg_pool, output: [3, 16]}
  - {name: joined, type: concat, axis: 2, inputs: [larger, smaller]}
  - {name: after, type: conv2d, out_channels: 4, kernel: 3, padding: 1}
""",
    "parts that overlap": """\
  - {name: one, type: split, sizes: [3, 1], part: 0}
  - {name: two, type: split, inputs: [r1], sizes: [1, 3], part: 1}
  - {name: a, type: conv2d, inputs: [one], out_channels: 4, kernel: 1}
  - {name: b, type: conv2d, inputs: [two], out_channels: 4, kernel: 1}
  - {name: sum, type: add, inputs: [a, b]}
""",
}


@pytest.mark.parametrize("name", SIMULATED)
def test_small_networks_of_joined_kinds_are_verified(name: str) -> None:
    text = (
        "name: net\nbatch: 2\ninput: {channels: 3, height: 8, width: 8}\n"
        "operands: {source: host, dataset: fashion_mnist, seed: 1, images: {resize: 8, channels: 3}}\nlayers:\n"
        "  - {name: c1, type: conv2d, out_channels: 4, kernel: 3, padding: 1}\n  - {name: r1, type: relu}\n"
        f"{SIMULATED[name]}"
        "  - {name: flat, type: flatten}\n  - {name: fc, type: linear, out_features: 10}\n"
        "  - {name: loss, type: softmax_cross_entropy}\n"
    )
    workload = make_workload(parse_yaml(text, "net.yaml"), base_directory=None)  # type: ignore[arg-type]
    assert simulate(workload, "sparsetrain").is_correct
