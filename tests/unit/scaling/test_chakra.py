"""An iteration as a Chakra execution trace: its graph, and its bytes as protobuf reads and writes them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser.small_runs import make_run
from cli.command import run_command
from peers import import_peer

from sim.scaling.chakra import NodeType, TraceFormat, encode_varint, make_trace, write_trace
from sim.scaling.share import IterationShare, SharePhase

CLOCK_MHZ = 800.0
SHARE = IterationShare(
    "machine", "net", 2, CLOCK_MHZ,
    (
        SharePhase("conv1", "conv2d", "forward", 1000), SharePhase("fc", "linear", "forward", 300),
        SharePhase("fc", "linear", "gta", 500), SharePhase("fc", "linear", "gtw", 700, 4096),
        SharePhase("bn", "batch_norm", "backward", 0, 32), SharePhase("flat", "flatten", "backward", 0),
        SharePhase("conv1", "conv2d", "gtw", 900, 200),
    ),
)  # fmt: skip
# The schema's field numbers, as `et_def.proto` has them.
NODE = {1: "id", 2: "name", 3: "type", 4: "ctrl_deps", 5: "data_deps", 7: "duration_micros", 10: "attr"}


def read_varint(data: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        number |= (data[at] & 127) << shift
        shift, at = shift + 7, at + 1
        if data[at - 1] < 128:
            return number, at


def read_fields(data: bytes) -> Iterator[tuple[int, Any]]:
    at = 0
    while at < len(data):
        key, at = read_varint(data, at)
        if key & 7 == 2:
            size, at = read_varint(data, at)
            yield key >> 3, data[at : at + size]
            at += size
        else:
            value, at = read_varint(data, at)
            yield key >> 3, value


def read_messages(data: bytes) -> list[bytes]:
    messages, at = [], 0
    while at < len(data):
        size, at = read_varint(data, at)
        messages.append(data[at : at + size])
        at += size
    return messages


def read_node(message: bytes) -> dict[str, Any]:
    node: dict[str, Any] = {"data_deps": [], "duration_micros": 0, "attr": {}}
    for number, value in read_fields(message):
        field = NODE[number]
        if field == "attr":
            (_, name), (kind, held) = read_fields(value)
            node["attr"][name.decode()] = bool(held) if kind == 27 else held
            assert kind in (9, 27)
        elif field == "data_deps":
            at = 0
            while at < len(value):
                one, at = read_varint(value, at)
                node["data_deps"].append(one)
        else:
            node[field] = value.decode() if field == "name" else value
    return node


def test_steps_follow_one_another_and_sums_hang_at_the_step_that_completes_their_gradients() -> None:
    nodes = {node.name: node for node in make_trace(SHARE)}
    assert list(nodes) == [
        "conv1/forward", "fc/forward", "fc/gta", "fc/gtw", "fc/all_reduce", "bn/backward", "bn/all_reduce",
        "conv1/gtw", "conv1/all_reduce",
    ]  # fmt: skip
    names = {node.id: node.name for node in nodes.values()}
    before = {name: [names[one] for one in node.data_deps] for name, node in nodes.items()}
    assert before["conv1/forward"] == []
    assert before["fc/all_reduce"] == before["bn/backward"] == ["fc/gtw"]
    assert before["conv1/gtw"] == ["bn/backward"]
    assert before["conv1/all_reduce"] == ["conv1/gtw"]
    assert {name for name, node in nodes.items() if node.type is NodeType.COMM_COLL_NODE} == {
        "fc/all_reduce", "bn/all_reduce", "conv1/all_reduce"
    }  # fmt: skip
    assert nodes["fc/all_reduce"].attr == {"is_cpu_op": False, "comm_type": 0, "comm_size": 4096}
    assert nodes["fc/gtw"].attr == {"is_cpu_op": False, "cycles": 700}


def test_durations_are_whole_microseconds_whose_sum_is_that_of_the_iteration() -> None:
    durations = [node.duration_micros for node in make_trace(SHARE)]
    # Ends at 1000, 1300, 1800, 2500 and 3400 cycles: 1.25, 1.6, 2.25, 3.1 and 4.25 microseconds.
    assert durations == [1, 1, 0, 1, 0, 0, 0, 1, 0]
    assert sum(durations) == round(SHARE.cycles / CLOCK_MHZ)


def test_the_bytes_are_messages_behind_their_lengths_with_the_schemas_field_numbers() -> None:
    nodes = make_trace(SHARE)
    first, *messages = read_messages(write_trace(nodes, TraceFormat.ET))
    assert dict(read_fields(first)) == {1: b"0.0.4"}
    for node, message in zip(nodes, messages, strict=True):
        assert read_node(message) == {
            "id": node.id, "name": node.name, "type": int(node.type), "data_deps": list(node.data_deps),
            "duration_micros": node.duration_micros, "attr": node.attr,
        }  # fmt: skip


@pytest.mark.parametrize("number", [0, 1, 127, 128, 300, 2**32, 2**63 - 1])
def test_a_varint_is_read_back(number: int) -> None:
    assert read_varint(encode_varint(number), 0) == (number, len(encode_varint(number)))


@pytest.mark.peers
def test_protobuf_reads_the_bytes_and_writes_the_same() -> None:
    import_peer("google.protobuf")
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    kinds = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="et.proto", package="chakra", syntax="proto3")
    fields: dict[str, list[tuple[str, int, int, int]]] = {
        "Attr": [("name", 1, kinds.TYPE_STRING, 1), ("int64_val", 9, kinds.TYPE_INT64, 1),
                 ("bool_val", 27, kinds.TYPE_BOOL, 1)],
        "GlobalMetadata": [("version", 1, kinds.TYPE_STRING, 1)],
        "Node": [("id", 1, kinds.TYPE_UINT64, 1), ("name", 2, kinds.TYPE_STRING, 1), ("type", 3, kinds.TYPE_INT32, 1),
                 ("data_deps", 5, kinds.TYPE_UINT64, 3), ("duration_micros", 7, kinds.TYPE_UINT64, 1),
                 ("attr", 10, kinds.TYPE_MESSAGE, 3)],
    }  # fmt: skip
    for name, rows in fields.items():
        message = file.message_type.add(name=name)
        for field, number, kind, label in rows:
            made = message.field.add(name=field, number=number, type=kind, label=label)
            if kind == kinds.TYPE_MESSAGE:
                made.type_name = ".chakra.Attr"
    choice = file.message_type[0]
    choice.oneof_decl.add(name="value")
    for one in choice.field[1:]:
        one.oneof_index = 0
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    first, *messages = read_messages(write_trace(make_trace(SHARE), TraceFormat.ET))
    for name, content in [("GlobalMetadata", first), *(("Node", message) for message in messages)]:
        read = message_factory.GetMessageClass(pool.FindMessageTypeByName(f"chakra.{name}")).FromString(content)
        assert read.SerializeToString(deterministic=True) == content


def test_the_command_writes_a_file_for_each_chip_in_either_form(tmp_path: Path) -> None:
    run = make_run(tmp_path, "full")
    outcome = run_command(tmp_path, "export-chakra", "full", "-o", "out/net", "--chips", "3")
    assert (outcome.exit_code, outcome.stderr) == (0, "")
    files = sorted((tmp_path / "out").iterdir())
    assert [path.name for path in files] == ["net.0.et", "net.1.et", "net.2.et"]
    assert len({path.read_bytes() for path in files}) == 1
    nodes = [read_node(message) for message in read_messages(files[0].read_bytes())[1:]]
    assert outcome.stdout == f"Trace: out/net.0.et to net.2.et, {len(nodes)} nodes each, of sparsetrain\n"
    assert sum(node["attr"].get("cycles", 0) for node in nodes) == run.totals("sparsetrain")["cycles"]
    options = ("--machine", "sparsetrain-dense", "--format", "json")
    assert run_command(tmp_path, "export-chakra", "full", "-o", "dense", *options).exit_code == 0
    data = json.loads((tmp_path / "dense.0.json").read_text())
    cycles = [one["int64_val"] for node in data["nodes"] for one in node["attr"] if one["name"] == "cycles"]
    assert sum(cycles) == run.totals("sparsetrain-dense")["cycles"]
    assert {node["type"] for node in data["nodes"]} == {"COMP_NODE", "COMM_COLL_NODE"}


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--chips", "65"], "chips must be whole numbers from 1 to 64, got 65"),
        (["--machine", "x"],
         "--machine x: the run has no such machine; it has sparsetrain, sparsetrain-dense"),
    ],
)  # fmt: skip
def test_bad_input_of_the_export_is_one_sentence(tmp_path: Path, options: list[str], sentence: str) -> None:
    make_run(tmp_path, "full")
    outcome = run_command(tmp_path, "export-chakra", "full", "-o", "net", *options)
    assert (outcome.exit_code, outcome.stdout, outcome.stderr) == (2, "", f"sparsetrain: {sentence}\n")
    assert not list(tmp_path.glob("net.*"))
