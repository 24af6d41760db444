"""What no workload can say is refused in one sentence, with the node's name and the file's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli.command import run_command
from onnx_models import import_model, make_model, node, save
from peers import import_peer
from unit.workloads.importers.onnx_cases import FEATURES, IMAGE, TOKENS, number, numbers

from workloads.errors import InputError
from workloads.importers.reading import import_network

onnx = import_peer("onnx")
pytestmark = pytest.mark.peers

CONV = [node("Conv", "x w", "y")]
WEIGHT = {"w": (3, 4, 3, 3)}


def change(make: Callable[[Any], object]) -> Any:
    """Make a convolution's model and change it."""
    model = make_model(CONV, IMAGE, WEIGHT)
    make(model)
    return model


def drop_shape(model: Any) -> None:
    model.graph.input[0].type.tensor_type.ClearField("shape")


def add_input(model: Any) -> None:
    model.graph.input.append(onnx.helper.make_tensor_value_info("z", 1, [1, 2]))


def truncate_weight(model: Any) -> None:
    model.graph.initializer[0].raw_data = model.graph.initializer[0].raw_data[:-4]


def point_outside(model: Any) -> None:
    array = model.graph.initializer[0]
    array.ClearField("raw_data")
    array.data_location = onnx.TensorProto.EXTERNAL
    array.external_data.add(key="location", value="weights.bin")


# A model, and what is said of it behind the file's name.
MODELS: dict[str, tuple[Callable[[], Any], str]] = {
    "two inputs": (lambda: change(add_input), "has 2 inputs, 'x', 'z'; a workload has one"),
    "no input": (lambda: change(lambda one: one.graph.ClearField("input")), "is no valid ONNX model: "),
    "an input of whole numbers": (
        lambda: change(lambda one: setattr(one.graph.input[0].type.tensor_type, "elem_type", 7)),
        "the input 'x' holds int64; images or features are expected",
    ),
    "an input of five axes": (
        lambda: make_model([node("Relu", "x", "y")], (1, 2, 3, 4, 5)),
        "the input 'x' has the shape [1, 2, 3, 4, 5]; (batch, features), (batch, channels, length) or (batch, "
        "channels, height, width) is expected",
    ),
    "an output without a shape that inference does not find": (
        lambda: change(lambda one: (
            setattr(one.graph.node[0], "domain", "mine"), one.opset_import.add(domain="mine", version=1),
            one.graph.output[0].type.tensor_type.ClearField("shape"),
        )),
        "is no valid ONNX model: ",
    ),
    "an input without a shape": (lambda: change(drop_shape), "is no valid ONNX model: "),
    "an open batch": (
        lambda: make_model(CONV, ("N", 4, 6, 5), WEIGHT), "the batch of the input 'x' is open; --batch says it"
    ),
    "an open size": (
        lambda: make_model(CONV, (2, 4, "H", 5), WEIGHT),
        "the input 'x' has the shape [2, 4, 'H', 5]; all sizes but the batch must be fixed",
    ),
    "no node": (lambda: change(lambda one: one.graph.ClearField("node")), "is no ONNX model, or one without a node"),
    "no operator set": (
        lambda: change(lambda one: one.ClearField("opset_import")),
        "names no version of ONNX's operator set; 7 to ",
    ),
    "an old operator set": (
        lambda: change(lambda one: setattr(one.opset_import[0], "version", 6)), "has the operator set 6; 7 to "
    ),
    "a new operator set": (
        lambda: change(lambda one: setattr(one.opset_import[0], "version", 999)), "has the operator set 999; 7 to "
    ),
    "a truncated weight": (lambda: change(truncate_weight), "is no valid ONNX model: "),
    "external data that are not there": (lambda: change(point_outside), "is no valid ONNX model: "),
    "a value that nothing computes": (
        lambda: change(lambda one: one.graph.node[0].input.__setitem__(0, "ghost")), "is no valid ONNX model: "
    ),
    "shapes that do not fit": (
        lambda: make_model([node("Gemm", "x w", "y")], FEATURES, {"w": (9, 5)}), "Gemm 'n0': "
    ),
    "nothing that becomes a layer": (
        lambda: make_model([node("Identity", "x", "y")], IMAGE), "holds no operator that becomes a layer"
    ),
    "another domain": (
        lambda: change(lambda one: (
            setattr(one.graph.node[0], "domain", "mine"), one.opset_import.add(domain="mine", version=1)
        )),
        "an operator cannot be imported: mine.Conv 'n0', which is no layer",
    ),
}  # fmt: skip

# Nodes, shape, constants, and what is said of them.
OPERATORS: dict[str, tuple[list[Any], tuple[int, ...], dict[str, Any], str]] = {
    "an unknown operator": ([node("Ceil", "x", "y")], IMAGE, {}, "Ceil 'n0', which is no layer"),
    "a shape that depends on data": (
        [node("NonZero", "x", "a"), node("Cast", "a", "b", to=1), node("Relu", "b", "y")], IMAGE, {},
        "NonZero 'n0', which is no layer",
    ),
    "a convolution over three axes": (
        [node("Unsqueeze", "x one", "a"), node("Conv", "a w", "y")], IMAGE,
        {"one": numbers(1), "w": (3, 1, 2, 2, 2)},
        "Conv 'n1': a tensor of shape [2, 1, 4, 6, 5] in the place of an image",
    ),
    "a transposed matrix": ([node("Gemm", "x w", "y", transA=1)], FEATURES, {"w": (2, 5)},
                            "Gemm 'n0': a first matrix that is transposed"),
    "a bias of each image": ([node("Gemm", "x w b", "y")], FEATURES, {"w": (8, 5), "b": (2, 5)},
                             "Gemm 'n0': a bias of shape [2, 5]"),
    "a constant in the first place": ([node("MatMul", "w x", "y")], TOKENS, {"w": (5, 6)},
                                      "MatMul 'n0': a constant in the first place"),
    "a constant of three axes": ([node("MatMul", "x w", "y")], TOKENS, {"w": (2, 8, 5)},
                                 "MatMul 'n0': a constant of 3 axes"),
    "other bounds": ([node("Clip", "x a b", "y")], IMAGE, {"a": number(-1), "b": number(1)},
                     "Clip 'n0': bounds -1 and 1; 0 and 6, or 0 alone, are known"),
    "another hard sigmoid": ([node("HardSigmoid", "x", "y")], IMAGE, {},
                             "HardSigmoid 'n0': alpha 0.2 and beta 0.5; 1/6 and 1/2 are known"),
    "slopes for each position": ([node("PRelu", "x s", "y")], IMAGE, {"s": (6, 5)},
                                 "PRelu 'n0': slopes of shape [6, 5]"),
    "indices of maxima": ([node("MaxPool", "x", "a i", kernel_shape=[2, 2]), node("Cast", "i", "b", to=1),
                           node("Add", "a b", "y")], IMAGE, {}, "MaxPool 'n0': the indices of the maxima are read"),
    "a mean over channels": ([node("ReduceMean", "x", "y", axes=[1])], IMAGE, {},
                             "ReduceMean 'n0': a mean over the axes [1] of 4"),
    "a divisor that is computed": ([node("Relu", "x", "a"), node("Div", "x a", "y")], IMAGE, {},
                                   "Div 'n1': a divisor that is computed"),
    "a constant of each image": ([node("Add", "x c", "y")], IMAGE, {"c": (2, 1, 1, 1)},
                                 "Add 'n0': a constant of its own for each image"),
    "a batch that is moved": ([node("Transpose", "x", "y", perm=[1, 0, 2, 3])], IMAGE, {},
                              "Transpose 'n0': the batch is moved"),
    "a batch that is joined": ([node("Concat", "x x", "y", axis=0)], IMAGE, {},
                               "Concat 'n0': a tensor of shape [4, 4, 6, 5], whose first axis is not the batch"),
    "a batch that is taken apart": ([node("Reshape", "x s", "y")], IMAGE, {"s": numbers(8, -1)},
                                    "Reshape 'n0': a tensor of shape [8, 30], whose first axis is not the batch"),
    "a step": ([node("Slice", "x s e a t", "y")], IMAGE,
               {"s": numbers(0), "e": numbers(6), "a": numbers(2), "t": numbers(2)}, "Slice 'n0': a step of 2"),
    "several places": ([node("Gather", "x i", "y", axis=1)], IMAGE, {"i": numbers(0, 2)},
                       "Gather 'n0': 2 places are chosen"),
    "a cast to whole numbers": ([node("Cast", "x", "a", to=7), node("Cast", "a", "y", to=1)], IMAGE, {},
                                "Cast 'n0': a cast to whole numbers or truth values"),
    "a scale that is no whole number": ([node("Resize", "x - f", "y")], IMAGE,
                                        {"f": np.array([1, 1, 1.5, 1], np.float32)},
                                        "Resize 'n0': a scale from [4, 6, 5] to [4, 9, 5], not by whole numbers"),
    "a cubic resize": ([node("Resize", "x - f", "y", mode="cubic")], IMAGE, {"f": np.array([1, 1, 2, 2], np.float32)},
                       "Resize 'n0': mode cubic with coordinates half_pixel and rounding round_prefer_floor"),
    "a padding by reflection": ([node("Pad", "x p", "a", mode="reflect"), node("Conv", "a w", "y")], IMAGE,
                                {**WEIGHT, "p": numbers(0, 0, 1, 1, 0, 0, 1, 1)},
                                "Pad 'n0': a padding that no convolution reads, or not with zeros"),
    "a weight of other channels": ([node("Conv", "x w", "y")], IMAGE, {"w": (3, 5, 3, 3)},
                                   "Conv 'n0': a weight of 5 channels on an input of 4"),
    "a mask of a dropout": ([node("Dropout", "x", "a m"), node("Cast", "m", "b", to=1), node("Add", "a b", "y")], IMAGE,
                            {}, "Dropout 'n0': its mask is read"),
}  # fmt: skip


@pytest.mark.parametrize("case", MODELS.values(), ids=MODELS)
def test_a_model_that_is_none_is_refused(case: tuple[Callable[[], Any], str], tmp_path: Path) -> None:
    make, words = case
    with pytest.raises(InputError) as caught:
        import_model(make(), tmp_path)
    assert str(caught.value).startswith(f"{tmp_path}/net.onnx: {words}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("case", OPERATORS.values(), ids=OPERATORS)
def test_an_operator_that_is_no_layer_is_named(
    case: tuple[list[Any], tuple[int, ...], dict[str, Any], str], tmp_path: Path
) -> None:
    nodes, shape, constants, words = case
    with pytest.raises(InputError) as caught:
        import_model(make_model(nodes, shape, constants), tmp_path)
    assert str(caught.value) == f"{tmp_path}/net.onnx: an operator cannot be imported: {words}"


def test_all_operators_that_are_no_layers_are_named_at_once(tmp_path: Path) -> None:
    nodes = [node("Ceil", "x", "a"), node("Relu", "a", "b"), node("Floor", "b", "c"), node("Clip", "c lo", "y")]
    with pytest.raises(InputError) as caught:
        import_model(make_model(nodes, IMAGE, {"lo": number(1)}), tmp_path)
    assert str(caught.value) == (
        f"{tmp_path}/net.onnx: 2 operators cannot be imported: "
        "Ceil 'n0', which is no layer, Floor 'n2', which is no layer"
    )


@pytest.mark.parametrize("kept", [0, 2, 9, 40, 200])
def test_a_model_that_is_cut_off_is_refused(kept: int, tmp_path: Path) -> None:
    whole = make_model(CONV, IMAGE, WEIGHT).SerializeToString()
    (tmp_path / "net.onnx").write_bytes(whole[:kept])
    with pytest.raises(InputError) as caught:
        import_network(tmp_path / "net.onnx")
    assert str(caught.value).startswith(f"{tmp_path}/net.onnx: is ")


@pytest.mark.parametrize("seed", range(40))
def test_a_model_with_a_damaged_byte_is_imported_or_refused(seed: int, tmp_path: Path) -> None:
    random = np.random.default_rng(seed)
    whole = bytearray(make_model([node("Conv", "x w", "a"), node("Relu", "a", "y")], IMAGE, WEIGHT).SerializeToString())
    for place in random.integers(0, len(whole), 3):
        whole[place] = random.integers(256)
    path = tmp_path / "net.onnx"
    path.write_bytes(bytes(whole))
    said = ""
    try:
        count = len(import_network(path).data["layers"])
    except InputError as error:
        count, said = 0, str(error)
    assert bool(count) != said.startswith(str(path))


def test_an_open_batch_is_the_one_that_is_asked_for(tmp_path: Path) -> None:
    found = import_model(make_model(CONV, ("N", 4, 6, 5), WEIGHT), tmp_path, batch=3)
    assert found.data["batch"] == 3


@pytest.mark.parametrize("command", ["validate", "show"])
def test_commands_that_simulate_nothing_take_an_open_batch_too(command: str, tmp_path: Path) -> None:
    save(make_model(CONV, ("N", 4, 6, 5), WEIGHT), tmp_path / "net.onnx")
    refused = run_command(tmp_path, command, "net.onnx")
    assert (refused.exit_code, "--batch" in refused.stderr) == (2, True)
    assert run_command(tmp_path, command, "net.onnx", "--batch", "3").exit_code == 0


def test_a_batch_that_is_asked_for_goes_before_the_models(tmp_path: Path) -> None:
    assert import_network(save(make_model(CONV, IMAGE, WEIGHT), tmp_path / "net.onnx"), batch=7).data["batch"] == 7
