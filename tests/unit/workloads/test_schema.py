from __future__ import annotations

import json
from math import prod
from pathlib import Path

import pytest

from workloads.document import YamlDocument
from workloads.errors import InputError
from workloads.kinds.conv2d import Conv2d
from workloads.kinds.linear import Linear
from workloads.open_form import json_schema
from workloads.presets import list_presets, preset_names
from workloads.schema import WorkloadForm
from workloads.settings import Density, ImagePipeline
from workloads.sources.host import HostOperands
from workloads.sources.recorded import RecordedOperands
from workloads.sources.synthetic import SyntheticOperands
from workloads.workload import Workload, load_workload, make_workload
from workloads.yaml_file import dump_yaml, parse_yaml

TWO_CONVS = """\
name: two_convs
batch: 2
input: {channels: 4, height: 9, width: 9}
layers:                      # `inputs` defaults to the layer before; `input` names the network's input
  - {name: conv1, type: conv2d, out_channels: 6, kernel: 3, stride: 2, padding: 1, bias: false}
  - {name: relu1, type: relu}
  - {name: conv2, type: conv2d, inputs: [relu1], out_channels: 8, kernel: [1, 3], padding: [0, 1], groups: 2}
  - {name: flat, type: flatten}
  - {name: fc, type: linear, out_features: 10}
"""
SYNTHETIC = (
    "operands: {source: synthetic, seed: 1, density: {input: 0.4, grad_output: 0.3, weight: 1.0}, integers: false}\n"
)
RECORDED = "operands: {source: recorded, path: tensors.npz}\n"
HOST = "  - {name: loss, type: softmax_cross_entropy}\noperands: {source: host, dataset: fashion_mnist, seed: 1}\n"


def workload(text: str, **overrides: int) -> Workload:
    return make_workload(parse_yaml(text, "net.yaml"), Path("folder"), **overrides)


def parameters(made: Workload) -> int:
    return sum(
        prod(made.network.layer_shape(node.name).weight_shape) + node.output_shape[1] * node.layer.bias
        for node in made.network.compute_nodes()
        if isinstance(node.layer, Conv2d | Linear)
    )


def test_every_field_of_a_workload_is_read() -> None:
    made = workload(TWO_CONVS + SYNTHETIC)
    assert made.name == "two_convs"
    assert made.label == "net.yaml"
    assert made.source_text == TWO_CONVS + SYNTHETIC
    assert made.network.input_shape == (2, 4, 9, 9)
    assert [node.output_shape for node in made.network.nodes] == [
        (2, 6, 5, 5), (2, 6, 5, 5), (2, 8, 5, 5), (2, 8 * 5 * 5), (2, 10),
    ]  # fmt: skip
    assert made.operand_source() == SyntheticOperands(
        source="synthetic", seed=1, density=Density(input=0.4, grad_output=0.3, weight=1.0), integers=False
    )


def test_what_is_left_out_has_its_default() -> None:
    text = TWO_CONVS.replace("batch: 2\n", "")
    assert workload(text).network.input_shape == (1, 4, 9, 9)
    assert workload(text + "operands: {source: synthetic, seed: 3}\n").operand_source() == SyntheticOperands(
        source="synthetic", seed=3, density=Density(input=1.0, grad_output=1.0, weight=1.0), integers=False
    )
    assert workload(TWO_CONVS + HOST).operand_source() == HostOperands(
        source="host", dataset="fashion_mnist", seed=1, dtype="float32",
        images=ImagePipeline(resize=None, padding=0, channels=None, mean=None, std=None),
    )  # fmt: skip


def test_images_are_described_by_numbers_or_lists() -> None:
    images = "images: {resize: [32, 30], padding: [1, 2], channels: 3, mean: 0, std: [1, 2, 3.5]}, dtype: float64"
    source = workload(TWO_CONVS + HOST.replace("seed: 1", f"seed: 1, {images}")).operand_source()
    assert isinstance(source, HostOperands)
    assert source.dtype == "float64"
    assert source.images.model_dump() == {
        "resize": [32, 30], "padding": [1, 2], "channels": 3, "mean": 0.0, "std": [1.0, 2.0, 3.5],
    }  # fmt: skip


def test_a_network_without_operands_is_a_workload_until_they_are_asked_for() -> None:
    made = workload(TWO_CONVS)
    with pytest.raises(InputError) as caught:
        made.operand_source()
    assert str(caught.value) == (
        "net.yaml: no operands are given; add one of operands: {source: recorded, path: FILE.npz}, "
        "{source: synthetic, seed: 1} or {source: host, dataset: fashion_mnist, seed: 1}"
    )


def test_recorded_operands_lie_beside_the_file() -> None:
    absolute = RECORDED.replace("tensors.npz", "/data/tensors.npz")
    for text, path in ((RECORDED, "folder/tensors.npz"), (absolute, "/data/tensors.npz")):
        source = workload(TWO_CONVS + text).operand_source()
        assert isinstance(source, RecordedOperands)
        assert source.recorded_path(Path("folder")) == Path(path)


@pytest.mark.parametrize("operands", ["", SYNTHETIC, RECORDED, HOST])
def test_a_resolved_workload_loads_as_an_equal_one(operands: str) -> None:
    made = workload(TWO_CONVS + operands)
    resolved = made.resolved()
    assert json.loads(json.dumps(resolved)) == resolved
    again = make_workload(parse_yaml(dump_yaml(resolved), "resolved.yaml"), Path("elsewhere"))
    assert again.resolved() == resolved
    assert [(node.inputs, node.output_shape) for node in again.network.nodes] == [
        (node.inputs, node.output_shape) for node in made.network.nodes
    ]


def test_a_resolved_workload_shows_defaults_and_inputs() -> None:
    resolved = workload(TWO_CONVS.replace("batch: 2\n", "") + RECORDED).resolved()
    assert resolved["batch"] == 1
    assert resolved["layers"][1] == {"name": "relu1", "type": "relu", "inputs": ["conv1"]}
    assert resolved["layers"][4] == {
        "name": "fc", "type": "linear", "out_features": 10, "bias": True, "inputs": ["flat"],
    }  # fmt: skip
    assert resolved["operands"] == {
        "source": "recorded", "path": str(Path("folder/tensors.npz").resolve()), "first_layer_gta": True,
        "without_gta": [],
        "without_gtw": [],
    }  # fmt: skip


def test_a_dataset_of_the_users_own_is_resolved_to_where_it_lies() -> None:
    own = workload(TWO_CONVS + HOST.replace("fashion_mnist", "images.npz")).resolved()
    assert own["operands"]["dataset"] == str(Path("folder/images.npz").resolve())
    assert workload(TWO_CONVS + HOST).resolved()["operands"]["dataset"] == "fashion_mnist"


def test_batch_and_seed_override_the_file() -> None:
    made = workload(TWO_CONVS + SYNTHETIC, batch=5, seed=9)
    source = made.operand_source()
    assert made.network.input_shape == (5, 4, 9, 9)
    assert made.resolved()["batch"] == 5
    assert isinstance(source, SyntheticOperands)
    assert source.seed == 9
    assert source.density.input == 0.4


@pytest.mark.parametrize(
    ("text", "overrides", "message"),
    [
        (TWO_CONVS, {"batch": 0}, "batch must be a whole number from 1 to 16777216, got 0"),
        (TWO_CONVS + SYNTHETIC, {"seed": -1}, "seed must be a whole number from 0 to 9223372036854775807, got -1"),
        (TWO_CONVS + RECORDED, {"seed": 2},
         "net.yaml: the seed 2 cannot be used: the operands are recorded, without a seed"),
        (TWO_CONVS, {"seed": 2}, "net.yaml: the seed 2 cannot be used: the operands are not given, without a seed"),
    ],
)  # fmt: skip
def test_an_override_that_does_not_fit_is_refused(text: str, overrides: dict[str, int], message: str) -> None:
    with pytest.raises(InputError) as caught:
        workload(text, **overrides)
    assert str(caught.value) == message


def test_data_that_are_not_from_a_file_make_a_workload_too() -> None:
    data = parse_yaml(TWO_CONVS, "x").data
    assert make_workload(YamlDocument("in memory", data), Path()).network == workload(TWO_CONVS).network
    data["layers"][2]["groups"] = 4
    with pytest.raises(InputError) as caught:
        make_workload(YamlDocument("in memory", data), Path())
    assert str(caught.value) == (
        "in memory: layers[2] 'conv2': groups = 4 must divide the 6 input channels and the 8 filters; "
        "the input's shape is (2, 6, 5, 5)"
    )


def test_a_file_is_found_by_its_path_with_any_ending(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "network").write_text(TWO_CONVS)
    (tmp_path / "lenet5").write_text(TWO_CONVS)
    monkeypatch.chdir(tmp_path)
    assert load_workload("network").name == "two_convs"
    assert load_workload(tmp_path / "network").base_directory == tmp_path
    assert load_workload("./lenet5").name == "two_convs"
    assert load_workload("lenet5").name == "lenet5"


def test_every_preset_loads_under_its_own_name() -> None:
    presets = list_presets()
    assert tuple(presets) == preset_names()
    assert {"lenet5", "alexnet_cifar"} <= set(presets)
    for name, description in presets.items():
        assert load_workload(name).name == name
        assert description
        assert "\n" not in description


@pytest.mark.parametrize(
    ("name", "count", "input_shape"),
    [
        # LeNet-5: 156 + 2416 + 48120 + 10164 + 850.
        ("lenet5", 61_706, (4, 1, 28, 28)),
        # 2.47 million, as the table of https://github.com/bearpaw/pytorch-classification says.
        ("alexnet_cifar", 2_472_266, (4, 3, 32, 32)),
    ],
)
def test_a_preset_has_the_parameters_of_its_source(name: str, count: int, input_shape: tuple[int, ...]) -> None:
    made = load_workload(name)
    assert parameters(made) == count
    assert made.network.input_shape == input_shape
    assert made.network.nodes[-1].input_shapes == ((4, 10),)
    assert isinstance(made.operand_source(), HostOperands)


def test_the_json_schema_has_every_field_and_no_other() -> None:
    schema = json_schema()
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert list(schema["properties"]) == list(WorkloadForm.model_fields)
    assert schema["additionalProperties"] is False
    assert schema["required"] == ["name", "layers"]
    recorded = schema["$defs"]["RecordedOperands"]
    assert set(recorded["properties"]) == set(RecordedOperands.model_fields)
    assert set(recorded["required"]) == {"source", "path"}
