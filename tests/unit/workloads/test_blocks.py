from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from workloads.document import YamlDocument
from workloads.errors import InputError
from workloads.kinds import KINDS
from workloads.open_form import json_schema
from workloads.words import list_words
from workloads.workload import Workload, make_workload
from workloads.yaml_file import dump_yaml, parse_yaml

BLOCKS = """\
name: net
input: {channels: 4, height: 8, width: 8}
blocks:
  residual:
    parameters: [channels, pad]
    layers:
      - {name: conv, type: conv2d, out_channels: $channels, kernel: [3, 1], padding: [$pad, 0], bias: false}
      - {name: norm, type: batch_norm}
      - {name: sum, type: add, inputs: [norm, block_input]}
      - {name: relu, type: relu}
layers:
  - {name: stem, type: conv2d, out_channels: 6, kernel: 1}
  - name: stage
    block: residual
    repeat: 2
    with:
      channels: 6
      pad: 1
  - {name: single, block: residual, with: {channels: 6, pad: 1}}
  - {name: join, type: concat, inputs: [single, stage, stage.1.conv, stem]}
"""
NESTED = """\
name: net
input: {channels: 3, height: 8, width: 8}
blocks:
  unit:
    parameters: [channels, kernel]
    layers:
      - {name: conv, type: conv2d, out_channels: $channels, kernel: $kernel}
      - {name: relu, type: relu}
  module:
    parameters: [channels]
    layers:
      - {name: left, block: unit, repeat: 2, with: {channels: $channels, kernel: 1}}
      - {name: right, block: unit, inputs: [block_input], with: {channels: 5, kernel: 1}}
      - {name: joined, type: concat, inputs: [left, right]}
layers:
  - {name: first, block: module, with: {channels: 2}}
  - {name: second, block: module, inputs: [first.left], with: {channels: 7}}
  - {name: end, type: concat, inputs: [second, first]}
"""


def workload(text: str) -> Workload:
    return make_workload(parse_yaml(text, "net.yaml"), Path("folder"))


def inputs_of(made: Workload) -> dict[str, tuple[str, ...]]:
    return {node.name: node.inputs for node in made.network.nodes}


def refusal(text: str) -> str:
    with pytest.raises(InputError) as caught:
        workload(text)
    return str(caught.value)


def test_a_block_stands_for_its_layers_in_their_order() -> None:
    names = ["conv", "norm", "sum", "relu"]
    expected = ["stem", *(f"{use}.{name}" for use in ("stage.1", "stage.2", "single") for name in names), "join"]
    assert [node.name for node in workload(BLOCKS).network.nodes] == expected


def test_inside_a_block_layers_read_its_own_layers_or_what_the_block_reads() -> None:
    inputs = inputs_of(workload(BLOCKS))
    for block, source in (("stage.1", "stem"), ("stage.2", "stage.1.relu"), ("single", "stage.2.relu")):
        assert inputs[f"{block}.conv"] == (source,)
        assert inputs[f"{block}.norm"] == (f"{block}.conv",)
        assert inputs[f"{block}.sum"] == (f"{block}.norm", source)
        assert inputs[f"{block}.relu"] == (f"{block}.sum",)


def test_outside_the_name_of_a_use_stands_for_its_last_layer() -> None:
    assert inputs_of(workload(BLOCKS))["join"] == ("single.relu", "stage.2.relu", "stage.1.conv", "stem")


def test_parameters_take_the_values_of_the_use() -> None:
    made = workload(BLOCKS)
    assert made.network.layer_shape("stage.2.conv").weight_shape == (6, 6, 3, 1)
    data = next(layer for layer in made.resolved()["layers"] if layer["name"] == "single.conv")
    assert (data["out_channels"], data["kernel"], data["padding"], data["bias"]) == (6, [3, 1], [1, 0], False)


def test_a_first_block_reads_the_networks_input() -> None:
    inputs = inputs_of(workload(NESTED))
    assert inputs["first.left.1.conv"] == inputs["first.right.conv"] == ("input",)


def test_blocks_are_made_of_blocks() -> None:
    made = workload(NESTED)
    inputs = inputs_of(made)
    assert list(inputs)[:-1] == [
        f"{module}.{name}"
        for module in ("first", "second")
        for name in ("left.1.conv", "left.1.relu", "left.2.conv", "left.2.relu", "right.conv", "right.relu", "joined")
    ]
    assert inputs["first.left.2.conv"] == ("first.left.1.relu",)
    assert inputs["first.joined"] == ("first.left.2.relu", "first.right.relu")
    assert inputs["second.left.1.conv"] == inputs["second.right.conv"] == ("first.left.2.relu",)
    assert inputs["end"] == ("second.joined", "first.joined")
    assert made.network.node("second.joined").output_shape[1] == 7 + 5


def test_a_resolved_workload_has_layers_and_no_blocks() -> None:
    made = workload(BLOCKS)
    resolved = made.resolved()
    assert "blocks" not in resolved
    again = make_workload(parse_yaml(dump_yaml(resolved), "resolved.yaml"), Path())
    assert again.resolved() == resolved
    assert inputs_of(again) == inputs_of(made)
    assert made.source_text == BLOCKS


def test_a_network_without_blocks_is_as_it_was() -> None:
    document = parse_yaml("name: net\nlayers: []\n", "net.yaml")
    assert workload(BLOCKS).document is not document
    text = "name: net\ninput: {channels: 1, height: 3, width: 3}\nlayers:\n  - {name: a, type: conv2d}\n"
    assert refusal(text).startswith("net.yaml, line 4: layers[0] 'a': out_channels is missing")


@pytest.mark.parametrize(
    ("given", "instead", "message"),
    [
        ("type: batch_norm", "type: batch_norm, epsilon: 0",
         "net.yaml, line 8: blocks.residual.layers[1] 'stage.1.norm': epsilon must be a number above 0.0, got 0"),
        ("type: batch_norm", "type: batchnorm",
         "net.yaml, line 8: blocks.residual.layers[1] 'stage.1.norm': type must be one of "
         f"{list_words(map(repr, KINDS))}, got 'batchnorm'; did you mean 'batch_norm'?"),
        ("      channels: 6\n", "      channels: 0\n",
         "net.yaml, line 17: blocks.residual.layers[0] 'stage.1.conv': out_channels must be a whole number from 1 to "
         "16777216, got 0"),
        ("single, block: residual, with: {channels: 6", "single, block: residual, with: {channels: 5",
         "net.yaml, line 9: blocks.residual.layers[2] 'single.sum': an add's inputs must agree in each axis or "
         "have the length 1 there, but 'single.norm' has (1, 5, 8, 8) where the others make (1, 6, 8, 8)"),
        ("name: join, type: concat", "name: join, type: concat, bias: true",
         "net.yaml, line 20: layers[3] 'join': unknown field 'bias' (the fields are name, inputs, input, type, axis)"),
        ("stage.1.conv, stem]", "stage.3.conv, stem]",
         "net.yaml, line 20: layers[3] 'join': inputs names 'stage.3.conv', which is no layer and not 'input' (the "
         "layers are stem, stage.1.conv, stage.1.norm, stage.1.sum, stage.1.relu, stage.2.conv, stage.2.norm, "
         "stage.2.sum, stage.2.relu, single.conv, single.norm, single.sum, single.relu, join)"),
    ],
)  # fmt: skip
def test_a_fault_is_placed_where_it_stands_and_names_the_layer(given: str, instead: str, message: str) -> None:
    assert BLOCKS.count(given) == 1
    assert refusal(BLOCKS.replace(given, instead)) == message


@pytest.mark.parametrize(
    ("given", "instead", "message"),
    [
        ("    block: residual\n", "    block: residal\n",
         "net.yaml, line 13: layers[1] 'stage': there is no block 'residal'; did you mean 'residual'? "
         "(the blocks are residual)"),
        ("      channels: 6\n", "      channel: 6\n",
         "net.yaml, line 13: layers[1] 'stage': with gives 'channel', which is no parameter of block 'residual'; did "
         "you mean 'channels'? (its parameters are channels, pad)"),
        ("      channels: 6\n", "",
         "net.yaml, line 13: layers[1] 'stage': with.channels is missing; block 'residual' needs channels, pad"),
        ("      channels: 6\n", "      channels: {a: 1}\n",
         "net.yaml, line 17: layers[1] 'stage': with.channels must be true or false or a whole number or a number or "
         "text or a list of entries, each a whole number, got {a: 1}"),
        ("    repeat: 2\n", "    repeat: 0\n",
         "net.yaml, line 15: layers[1] 'stage': repeat must be a whole number from 1 to 5000, got 0"),
        ("    repeat: 2\n", "    repeats: 2\n",
         "net.yaml, line 15: layers[1] 'stage': unknown field 'repeats'; did you mean 'repeat'? "
         "(the fields are name, block, inputs, repeat, with)"),
        ("    repeat: 2\n", "    repeat: 2600\n",
         "net.yaml, line 13: layers[1] 'stage': the blocks make more than 5000 layers, the most that a network may "
         "have"),
        ("    repeat: 2\n", "    repeat: 2\n    inputs: [stem, input]\n",
         r"net.yaml, line 16: layers[1] 'stage': inputs must be a list of 1 entry, each text of the form "
         r"[A-Za-z_][A-Za-z0-9_.\-]* of at most 128 characters, got ['stem', 'input']"),
        ("out_channels: $channels", "out_channels: $chanels",
         "net.yaml, line 7: blocks.residual.layers[0] 'conv': '$chanels' is no parameter of the block "
         "(its parameters are channels, pad)"),
        ("out_channels: $channels", "out_channels: 2*$channels",
         "net.yaml, line 5: blocks.residual.parameters[0]: the parameter 'channels' is used by none of the block's "
         "layers"),
        ("parameters: [channels, pad]", "parameters: [channels, pad, pad]",
         "net.yaml, line 5: blocks.residual.parameters[2]: the parameter 'pad' is given twice"),
        ("parameters: [channels, pad]", "parameters: channels",
         "net.yaml, line 5: blocks.residual.parameters must be a list of entries, each text of the form "
         "[A-Za-z_][A-Za-z0-9_]* of at most 64 characters, got 'channels'"),
        ("[norm, block_input]", "[norm, stem]",
         "net.yaml, line 9: blocks.residual.layers[2] 'sum': inputs names 'stem', which is no layer of the block and "
         "not 'block_input'"),
        ("{name: norm,", "{name: conv,",
         "net.yaml, line 8: blocks.residual.layers[1] 'conv': the name 'conv' is taken in this block; choose another"),
        ("{name: norm,", "{name: block_input,",
         "net.yaml, line 8: blocks.residual.layers[1] 'block_input': the name 'block_input' stands for what the block "
         "reads; choose another"),
        ("{name: norm, ", "{",
         "net.yaml, line 8: blocks.residual.layers[1]: name is missing; it must be "
         r"text of the form [A-Za-z_][A-Za-z0-9_.\-]* of at most 128 characters"),
        ("name: single", "name: stage", "net.yaml, line 19: layers[2] 'stage': the name is taken by another use of a "
         "block"),
        ("name: single", "name: stage.1",
         "net.yaml, line 7: blocks.residual.layers[0] 'stage.1.conv': the name is taken by blocks.residual.layers[0]; "
         "names must be unique"),
        ("name: stem,", "name: stage,",
         "net.yaml, line 12: layers[0] 'stage': the name is taken by a use of a block; names must be unique"),
    ],
)  # fmt: skip
def test_a_block_or_use_that_is_not_well_formed_is_refused(given: str, instead: str, message: str) -> None:
    assert BLOCKS.count(given) == 1
    assert refusal(BLOCKS.replace(given, instead)) == message


def test_a_block_that_nobody_uses_is_refused() -> None:
    unused = "blocks:\n  other:\n    layers:\n      - {name: a, type: relu}\n"
    assert refusal(BLOCKS.replace("blocks:\n", unused)) == "net.yaml, line 4: blocks.other: no layer uses this block"


def test_blocks_must_be_mappings() -> None:
    text = BLOCKS[: BLOCKS.index("blocks:")]
    layers = "layers:\n  - {name: a, type: relu}\n"
    assert refusal(f"{text}blocks: 3\n{layers}") == "net.yaml, line 3: blocks must be a mapping of blocks, got 3"
    assert refusal(f"{text}blocks: {{b: []}}\n{layers}") == (
        "net.yaml, line 3: blocks.b must be a mapping of fields, got []"
    )


def test_a_block_that_is_part_of_itself_is_refused() -> None:
    text = NESTED.replace("{name: relu, type: relu}", "{name: relu, block: module, with: {channels: 3}}")
    assert refusal(text) == (
        "net.yaml, line 8: blocks.unit.layers[1] 'first.left.1.relu': the block 'module' is part of itself"
    )


def test_the_layers_of_blocks_within_blocks_are_limited() -> None:
    text = NESTED.replace("repeat: 2", "repeat: 4000")
    assert refusal(text.replace("{name: first, block: module,", "{name: first, block: module, repeat: 3,")) == (
        "net.yaml, line 12: blocks.module.layers[0] 'first.1.left': the blocks make more than 5000 layers, "
        "the most that a network may have"
    )


def test_a_block_without_parameters_needs_no_values() -> None:
    text = "name: net\ninput: {channels: 1, height: 3, width: 3}\nblocks: {b: {layers: [{name: r, type: relu}]}}\n"
    text += "layers:\n  - {name: conv, type: conv2d, out_channels: 1, kernel: 1}\n  - {name: end, block: b}\n"
    assert [node.name for node in workload(text).network.nodes] == ["conv", "end.r"]


def test_blocks_need_no_file() -> None:
    data = parse_yaml(BLOCKS, "x").data
    assert make_workload(YamlDocument("in memory", data), Path()).network == workload(BLOCKS).network
    data["blocks"]["residual"]["layers"][1]["epsilon"] = 0
    with pytest.raises(InputError) as caught:
        make_workload(YamlDocument("in memory", data), Path())
    assert str(caught.value) == (
        "in memory: blocks.residual.layers[1] 'stage.1.norm': epsilon must be a number above 0.0, got 0"
    )


def test_the_json_schema_has_blocks_and_their_uses() -> None:
    schema = json_schema()
    forms: dict[str, Any] = schema["$defs"]
    assert {"$ref": "#/$defs/BlockUse"} in schema["properties"]["layers"]["items"]["anyOf"]
    assert list(forms["BlockUse"]["properties"]) == ["name", "block", "inputs", "repeat", "with"]
    layers = [one["$ref"].rpartition("/")[2] for one in forms["Block"]["properties"]["layers"]["items"]["anyOf"]]
    mapping = schema["properties"]["layers"]["items"]["anyOf"][0]["discriminator"]["mapping"]
    assert layers == [f"{one.rpartition('/')[2]}InBlock" for one in mapping.values()] + ["BlockUseInBlock"]
    parameter = {"type": "string", "pattern": r"^\$([A-Za-z_][A-Za-z0-9_]*)$"}
    stride = forms["Conv2d"]["properties"]["stride"]
    assert forms["Conv2dInBlock"]["properties"]["stride"] == {"anyOf": [stride, parameter]}
    assert forms["Conv2dInBlock"]["properties"]["name"] == forms["Conv2d"]["properties"]["name"]
