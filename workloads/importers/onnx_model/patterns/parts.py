"""Query, key and value cut from one tensor whose parts were moved in front of the batch."""

from __future__ import annotations

import numpy as np

from workloads.importers.onnx_model.operations import AnyShape, Operation, OperationGraph


def find_parts(graph: OperationGraph) -> None:
    """Cut the parts first and move their axes then, so that the batch stays in front."""
    for operation in list(graph.operations):
        if operation in graph.operations and operation.kind == "Transpose":
            cut_first(graph, operation)


def cut_first(graph: OperationGraph, turn: Operation) -> None:
    """Exchange a transposition that moves an axis before the batch with the choice of places along that axis."""
    axes = list(turn.attributes.get("perm", ()))
    if len(axes) < 3 or axes[0] == 0 or axes[1] != 0 or turn.output in graph.outputs:
        return
    chosen = [list_chosen(graph, reader) for reader in graph.readers(turn.output)]
    if not chosen or any(one is None for one in chosen):
        return
    moved = axes[0]
    rest = [axis - (axis > moved) for axis in axes[1:]]
    shape = graph.shapes[turn.input(0)]
    for reader, parts in zip(graph.readers(turn.output), chosen, strict=True):
        made = [one for place, last, _ in parts or () for one in cut(graph, turn, (moved, place), rest, last)]
        inner = [last for _, last, _ in parts or () if last is not reader]
        for _, last, _ in parts or ():
            graph.shapes[f"{last.output}/part"] = drop_axis(shape, moved)
        graph.replace([reader, *inner], *made)
    graph.replace([turn])


def list_chosen(graph: OperationGraph, reader: Operation) -> list[tuple[int, Operation, str]] | None:
    """List the places that a reader chooses along the first axis, each with who gives it; None: it does else."""
    if reader.kind == "Gather" and reader.attributes.get("axis", 0) == 0:
        index = graph.constants.get(reader.input(1))
        return [(int(index), reader, reader.output)] if index is not None and index.ndim == 0 else None
    if reader.kind != "Split" or reader.attributes.get("axis", 0) != 0:
        return None
    found = []
    for place, name in enumerate(reader.outputs):
        last = graph.sole_reader(name)
        if last is None or last.kind != "Squeeze" or graph.shapes[name][0] != 1:
            return None
        if len(graph.shapes[last.output]) != len(graph.shapes[name]) - 1 or graph.shapes[last.output][0] != graph.batch:
            return None
        found.append((place, last, name))
    return found


def cut(
    graph: OperationGraph, turn: Operation, where: tuple[int, int], rest: list[int], last: Operation
) -> list[Operation]:
    """Make the choice of a place (axis, number), and the transposition of what is left, in the place of `last`."""
    part, index = f"{last.output}/part", f"{last.output}/place"
    graph.constants[index] = np.array(where[1], np.int64)
    chosen = Operation("Gather", f"{turn.name}_part", (turn.input(0), index), (part,), {"axis": where[0]})
    return [chosen, Operation("Transpose", last.name, (part,), last.outputs, {"perm": rest})]


def drop_axis(shape: AnyShape, axis: int) -> AnyShape:
    """Give a shape without an axis."""
    return (*shape[:axis], *shape[axis + 1 :])
