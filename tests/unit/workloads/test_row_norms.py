"""Normalisations of rows and of neighbouring channels, by formulas on small tensors, and what they refuse."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter

from workloads.errors import InputError
from workloads.kinds import Layer
from workloads.kinds.execution import Place
from workloads.network import Network
from workloads.passes import ElementwisePass, PassStep, list_passes
from workloads.pruning_sites import PruningPlace, find_pruning_sites
from workloads.workload import load_workload

LAYER: TypeAdapter[Layer] = TypeAdapter(Layer)
PLACE = Place(needs_grad_input=True, output_is_kept=False, seed=1, iteration=0)
N, C, H, W = 2, 4, 3, 5
FULL = N * C * H * W
CONV = "  - {name: conv, type: conv2d, out_channels: 4, kernel: 1}\n"
RELU = "  - {name: relu, type: relu}\n"
LAST = "  - {name: last, type: conv2d, out_channels: 2, kernel: 1}\n"


def build(folder: Path, *layers: str) -> Network:
    """Build a network from lines of YAML."""
    path = folder / "net.yaml"
    path.write_text(f"name: net\nbatch: {N}\ninput: {{channels: {C}, height: {H}, width: {W}}}\nlayers:\n")
    with path.open("a") as file:
        file.writelines(layers)
    return load_workload(path).network


def run(kind: str, input: Any, **fields: Any) -> Any:
    """Give the output of a layer whose parameters are at their start."""
    layer = LAYER.validate_python({"name": "one", "type": kind, **fields})
    parameters = {
        name: np.full(parameter.shape, parameter.start)
        for name, parameter in layer.list_parameters(input.shape).items()
    }
    return layer.run([input], parameters, PLACE)[0]


@pytest.mark.parametrize(
    ("kind", "fields", "axes"),
    [("layer_norm", {}, (3,)), ("layer_norm", {"axes": 2}, (2, 3)), ("layer_norm", {"axes": 3}, (1, 2, 3)),
     ("instance_norm", {}, (2, 3)), ("group_norm", {"groups": C}, (2, 3)), ("group_norm", {"groups": 1}, (1, 2, 3))],
)  # fmt: skip
def test_each_row_has_mean_zero_and_deviation_one(kind: str, fields: dict[str, Any], axes: tuple[int, ...]) -> None:
    input = np.random.default_rng(1).standard_normal((N, C, H, W)) * 3 + 10
    output = run(kind, input, epsilon=1e-12, **fields)
    np.testing.assert_allclose(output.mean(axis=axes), 0, atol=1e-14)
    np.testing.assert_allclose(output.std(axis=axes), 1, rtol=1e-11)


def test_a_response_is_divided_by_the_squares_around_it() -> None:
    input = np.arange(1.0, 5).reshape(1, 4, 1, 1)
    squares = [1 + 4, 1 + 4 + 9, 4 + 9 + 16, 9 + 16]
    output = run("local_response_norm", input, size=3, alpha=6.0, beta=2.0, k=1.0)
    np.testing.assert_allclose(
        output.ravel(), [x / (1 + 2 * s) ** 2 for x, s in zip(range(1, 5), squares, strict=True)]
    )


def test_a_window_of_two_begins_one_channel_before() -> None:
    output = run("local_response_norm", np.arange(1.0, 4).reshape(1, 3, 1, 1), size=2, alpha=2.0, beta=1.0, k=1.0)
    np.testing.assert_allclose(output.ravel(), [1 / 2, 2 / 6, 3 / 14])


def test_a_layer_norm_without_scale_and_shift_is_not_trained(tmp_path: Path) -> None:
    network = build(tmp_path, "  - {name: norm, type: layer_norm, affine: false}\n", CONV)
    assert network.trained == {"conv"}
    assert [(made.node, made.step) for made in list_passes(network)] == [("norm", PassStep.FORWARD)]
    trained = build(tmp_path, "  - {name: norm, type: layer_norm}\n", CONV)
    assert trained.trained == {"norm", "conv"}


@pytest.mark.parametrize("kind", ["layer_norm", "group_norm, groups: 2", "instance_norm"])
def test_rows_are_swept_twice_each_way(tmp_path: Path, kind: str) -> None:
    network = build(tmp_path, CONV, f"  - {{name: norm, type: {kind}}}\n", RELU)
    name = kind.partition(",")[0]
    assert list_passes(network) == (
        ElementwisePass("norm", name, PassStep.FORWARD, 2 * FULL, reads=("conv", "conv"), writes=("relu",)),
        ElementwisePass("norm", name, PassStep.BACKWARD, 2 * FULL, reads=("conv", "conv"),
                        reads_gradients=("relu", "relu"), writes_gradients=("conv",)),
    )  # fmt: skip


def test_a_local_response_norm_hands_a_relus_zeros_on_and_makes_its_gradient_dense(tmp_path: Path) -> None:
    network = build(tmp_path, CONV, RELU, "  - {name: norm, type: local_response_norm, size: 5}\n", LAST)
    assert network.is_behind_relu("last")
    assert list_passes(network) == (
        ElementwisePass("norm", "local_response_norm", PassStep.FORWARD, FULL, reads=("relu",), writes=("norm",)),
        ElementwisePass("norm", "local_response_norm", PassStep.BACKWARD, FULL, reads=("relu",),
                        reads_gradients=("norm",), writes_gradients=("relu",)),
    )  # fmt: skip
    (site,) = find_pruning_sites(network).values()
    assert (site.node, site.writer, site.place) == ("relu", "norm", PruningPlace.BATCH_NORM)


def test_a_batch_norm_refuses_tokens_whose_channels_could_be_either_axis() -> None:
    words = "reads (batch, channels, height, width) or (batch, features), but its input has the shape (2, 3, 4)"
    with pytest.raises(ValueError, match=f"^{re.escape(f'batch_norm {words}')}$"):
        LAYER.validate_python({"name": "one", "type": "batch_norm"}).infer_output(("before",), ((2, 3, 4),))


FLAT = "  - {name: flat, type: flatten}\n"
POOL = "  - {name: pool, type: global_avg_pool}\n"
REFUSALS: dict[str, tuple[tuple[str, ...], str]] = {
    "layer_norm, axes: 4": (
        (), "axes must leave the batch out, so at most 3 for an input of shape (2, 4, 3, 5), got 4",
    ),
    "layer_norm, axes: 2": (
        (FLAT,), "axes must leave the batch out, so at most 1 for an input of shape (2, 60), got 2",
    ),
    "layer_norm": (
        (POOL,),
        "layer_norm would normalise rows of one value, of which nothing is left; its input has the shape (2, 4, 1, 1)",
    ),
    "group_norm, groups: 3": ((), "groups must divide the 4 channels of the input, got 3"),
    "group_norm, groups: 4": (
        (POOL,),
        "group_norm would normalise rows of one value, of which nothing is left; its input has the shape (2, 4, 1, 1)",
    ),
    "instance_norm": (
        (FLAT,), "instance_norm reads (batch, channels, height, width), but its input has the shape (2, 60)",
    ),
    "local_response_norm, size: 5": (
        (FLAT,), "local_response_norm reads (batch, channels, height, width), but its input has the shape (2, 60)",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", REFUSALS)
def test_an_input_that_cannot_be_normalised_is_refused(tmp_path: Path, kind: str) -> None:
    before, words = REFUSALS[kind]
    with pytest.raises(InputError) as error:
        build(tmp_path, *before, f"  - {{name: norm, type: {kind}}}\n")
    assert str(error.value).endswith(f": layers[{len(before)}] 'norm': {words}")
