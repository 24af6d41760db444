"""An iteration on several chips as a Chakra execution trace, which ASTRA-sim replays over networks of its own.

A trace is a graph of nodes for each chip. Field names and numbers are those of Chakra's schema, `et_def.proto` of
github.com/mlcommons/chakra (commit 6dc63e1); as a file it is a message of metadata and one for each node, each behind
its length as a varint. No package of it is published, so that the few fields that are needed are encoded here.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Any

from sim.scaling.share import IterationShare, SharePhase

SCHEMA_VERSION = "0.0.4"
ALL_REDUCE = 0
VARINT, LENGTH_DELIMITED = 0, 2


class TraceFormat(StrEnum):
    """How a trace is written: as protobuf, or as JSON with the same field names."""

    ET = "et"
    JSON = "json"


class NodeType(IntEnum):
    """The kinds of nodes that occur, by their numbers in the schema."""

    COMP_NODE = 4
    COMM_COLL_NODE = 7


@dataclass(frozen=True, slots=True)
class TraceNode:
    """A node.

    Attributes:
        data_deps: Nodes that must have ended before.
        duration_micros: Whole microseconds, as the schema has it; the sum of all up to a node is rounded, not each.
        attr: By their names; bool or whole numbers.
    """

    id: int
    name: str
    type: NodeType
    data_deps: tuple[int, ...]
    duration_micros: int
    attr: dict[str, int | bool]

    def describe(self) -> dict[str, Any]:
        """Give the node with the schema's field names."""
        return {
            "id": self.id,
            "name": self.name,
            "type": self.type.name,
            "data_deps": list(self.data_deps),
            "duration_micros": self.duration_micros,
            "attr": [
                {"name": name, "bool_val" if isinstance(value, bool) else "int64_val": value}
                for name, value in self.attr.items()
            ],
        }


def make_trace(share: IterationShare) -> list[TraceNode]:
    """Make the nodes of one chip; all chips have the same.

    A compute node for each step and pass, one behind the other, with its `cycles` as an attribute, and behind each that
    completes gradients a collective node that sums their bytes over all chips. One that takes no time and sums nothing
    is left out.
    """
    nodes: list[TraceNode] = []
    done, before = 0, tuple[int, ...]()
    for phase in share.phases:
        if not phase.cycles and not phase.gradient_bytes:
            continue
        start, done = done, done + phase.cycles
        micros = round(done / share.clock_mhz) - round(start / share.clock_mhz)
        made = TraceNode(
            len(nodes) + 1, f"{phase.layer}/{phase.step}", NodeType.COMP_NODE, before, micros,
            {"is_cpu_op": False, "cycles": phase.cycles},
        )  # fmt: skip
        nodes.append(made)
        before = (made.id,)
        if phase.gradient_bytes:
            nodes.append(make_collective(phase, len(nodes) + 1, made.id))
    return nodes


def make_collective(phase: SharePhase, number: int, before: int) -> TraceNode:
    """Make the node that sums a layer's gradients over all chips; what joins these says how long that takes."""
    attr = {"is_cpu_op": False, "comm_type": ALL_REDUCE, "comm_size": phase.gradient_bytes}
    return TraceNode(number, f"{phase.layer}/all_reduce", NodeType.COMM_COLL_NODE, (before,), 0, attr)


def write_trace(nodes: Sequence[TraceNode], form: TraceFormat) -> bytes:
    """Write a trace as the content of a file."""
    if form is TraceFormat.JSON:
        data = {"global_metadata": {"version": SCHEMA_VERSION}, "nodes": [node.describe() for node in nodes]}
        return (json.dumps(data, indent=1) + "\n").encode()
    messages = [encode_text(1, SCHEMA_VERSION), *(encode_node(node) for node in nodes)]
    return b"".join(encode_varint(len(message)) + message for message in messages)


def encode_node(node: TraceNode) -> bytes:
    """Encode a node as protobuf does; what has its default is left out."""
    parts = [encode_number(1, node.id), encode_text(2, node.name), encode_number(3, node.type)]
    if node.data_deps:
        parts.append(encode_bytes(5, b"".join(encode_varint(one) for one in node.data_deps)))
    if node.duration_micros:
        parts.append(encode_number(7, node.duration_micros))
    return b"".join([*parts, *encode_attributes(node.attr.items())])


def encode_attributes(attributes: Iterable[tuple[str, int | bool]]) -> list[bytes]:
    """Encode attributes; of a choice of types the chosen one is always written."""
    return [
        encode_bytes(10, encode_text(1, name) + encode_number(27 if isinstance(value, bool) else 9, int(value)))
        for name, value in attributes
    ]


def encode_text(field: int, text: str) -> bytes:
    """Encode a field of text."""
    return encode_bytes(field, text.encode())


def encode_bytes(field: int, content: bytes) -> bytes:
    """Encode a field that stands behind its length."""
    return encode_varint(field << 3 | LENGTH_DELIMITED) + encode_varint(len(content)) + content


def encode_number(field: int, number: int) -> bytes:
    """Encode a field of a whole number that is not negative."""
    return encode_varint(field << 3 | VARINT) + encode_varint(number)


def encode_varint(number: int) -> bytes:
    """Encode a number in groups of seven bits, the lowest first; all but the last have the eighth bit set."""
    groups = []
    while number > 0x7F:
        groups.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*groups, number])
