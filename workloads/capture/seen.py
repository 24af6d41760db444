"""What was seen of one run of a model: its layers, in the order of their calls."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from workloads.capture.places import CallPlace
from workloads.kinds.table import KINDS


@dataclass(frozen=True, eq=False)
class SeenLayer:
    """A layer that a call stands for.

    Attributes:
        reason: Why it stands for none that is known, or None.
        inputs: Names of layers, or ``input``.
        edges: Where in autograd's graph each input came from, None where no gradient goes back.
        output: The node of autograd's graph that made the output, and which of its outputs; None without one.
        in_loss: It was seen while the loss was computed.
        prepares: It makes the input of images, without a gradient, and stands for no layer.
        operands: Of a layer that the accelerator executes.
    """

    name: str
    kind: str
    fields: Mapping[str, Any]
    inputs: tuple[str, ...]
    place: CallPlace
    shape: tuple[int, ...] | None
    reason: str | None = None
    edges: tuple[tuple[Any, int] | None, ...] = ()
    output: tuple[Any, int] | None = None
    in_loss: bool = False
    prepares: bool = False
    operands: Any = None

    @property
    def is_loss(self) -> bool:
        """Whether it is a loss that is known."""
        return self.kind in KINDS and KINDS[self.kind].traits.is_loss


@dataclass(eq=False)
class SeenGraph:
    """What was seen of one run, in its order.

    Attributes:
        value_reads: Places at which the program read a tensor's values.
    """

    layers: dict[str, SeenLayer] = field(default_factory=dict)
    value_reads: list[tuple[CallPlace, str]] = field(default_factory=list)
    loss_reads: list[str] = field(default_factory=list)
