"""A model's operations as plain records, and the graph that they make."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

Array = NDArray[Any]
AnyShape = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Operation:
    """A node: what it computes of which values.

    Attributes:
        kind: ONNX's operator, or the name of a pattern that stands for several.
        name: For messages.
    """

    kind: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def output(self) -> str:
        """The first output."""
        return self.outputs[0]

    def input(self, place: int) -> str:
        """Give an input's name; empty where it is left out."""
        return self.inputs[place] if place < len(self.inputs) else ""

    def word(self, name: str, default: str) -> str:
        """Give an attribute that is a word."""
        given = self.attributes.get(name, default)
        return given.decode("utf-8", "replace") if isinstance(given, bytes) else str(given)

    @property
    def label(self) -> str:
        """The operator and the node, as messages name them."""
        return f"{self.kind} '{self.name}'"


@dataclass(eq=False)
class OperationGraph:
    """Operations in an order in which they can be computed; what is constant has a value, all have a shape.

    Attributes:
        unknown: Values whose shape depends on data.
    """

    input: str
    outputs: tuple[str, ...]
    opset: int
    batch: int
    operations: list[Operation] = field(default_factory=list)
    constants: dict[str, Array] = field(default_factory=dict)
    shapes: dict[str, AnyShape] = field(default_factory=dict)
    unknown: dict[str, str] = field(default_factory=dict)

    def producer(self, name: str) -> Operation | None:
        """Give what computes a value."""
        return self._producers.get(name)

    def readers(self, name: str) -> list[Operation]:
        """Give what reads a value, as often as it does."""
        return self._readers.get(name, [])

    def sole_reader(self, name: str) -> Operation | None:
        """Give the one operation that reads a value, if it is one, reads it once, and the value is no output."""
        found = self.readers(name)
        return found[0] if len(found) == 1 and name not in self.outputs else None

    def made_by(self, name: str, *kinds: str) -> Operation | None:
        """Give what computes a value, if it is of one of some kinds."""
        found = self.producer(name)
        return found if found is not None and found.kind in kinds else None

    def scalar(self, name: str) -> float | None:
        """Give the number that a constant holds, in every element."""
        array = self.constants.get(name)
        if array is None or array.size != 1 or array.dtype.kind not in "fiu":
            return None
        return float(array.reshape(-1)[0])

    def replace(self, gone: Iterable[Operation], *new: Operation) -> None:
        """Put operations in the place of the last of those that they stand for."""
        removed = list(gone)
        place = max(self.operations.index(one) for one in removed)
        before, behind = self.operations[:place], self.operations[place:]
        kept = ([one for one in part if one not in removed] for part in (before, behind))
        self.operations = [*next(kept), *new, *next(kept)]
        self.index()

    def remove(self, operation: Operation, source: str) -> None:
        """Leave an operation out; whoever read its output reads `source`."""
        self.operations = [redirect(one, operation.output, source) for one in self.operations if one is not operation]
        self.outputs = tuple(source if name == operation.output else name for name in self.outputs)
        self.index()

    def index(self) -> None:
        """Find anew who computes and who reads what."""
        self._producers = {output: one for one in self.operations for output in one.outputs if output}
        self._readers: dict[str, list[Operation]] = {}
        for one in self.operations:
            for name in filter(None, one.inputs):
                self._readers.setdefault(name, []).append(one)

    def __post_init__(self) -> None:
        self.index()


def redirect(operation: Operation, old: str, new: str) -> Operation:
    """Let an operation read another value in a value's place."""
    if old not in operation.inputs:
        return operation
    inputs = tuple(new if name == old else name for name in operation.inputs)
    return Operation(operation.kind, operation.name, inputs, operation.outputs, operation.attributes)
