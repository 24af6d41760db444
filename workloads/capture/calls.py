"""What a call of a torch function stands for in a network: a layer, the tensor it was given, or nothing known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

# Torch is imported where it is there, and its types are nowhere known.
Tensor = Any


class UnmappedCallError(Exception):
    """A call that stands for no layer; the sentence says why, without the place."""


@dataclass(frozen=True, eq=False)
class LayerCall:
    """A call that is a layer: its kind and fields in YAML, and the tensors it reads.

    Attributes:
        weight: Of a layer that the accelerator executes, in the layout of its shape.
        bias: Of a layer that the accelerator executes, in the layout of its shape.
        then: Kind and fields of layers that the same call stands for besides, one behind the other.
        behind: A kind that is a part of this one, so that what that one read is read instead. is_flat: the layer takes
            (N, F), and images of one position are flattened before.
    """

    kind: str
    inputs: tuple[Tensor, ...]
    fields: Mapping[str, Any] = field(default_factory=dict)
    weight: Tensor = None
    bias: Tensor = None
    then: tuple[tuple[str, Mapping[str, Any]], ...] = ()
    behind: str | None = None


@dataclass(frozen=True, eq=False)
class SameTensor:
    """A call that leaves every element as it is, in its place."""

    input: Tensor
    kind: str = "same"
    fields: Mapping[str, Any] = field(default_factory=dict)

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """What it reads."""
        return (self.input,)


@dataclass(frozen=True, eq=False)
class PaddedTensor:
    """Zeros around a tensor's rows and columns, which a convolution that reads it has as its own padding.

    Attributes:
        sides: Top, left, bottom, right.
    """

    input: Tensor
    sides: tuple[int, int, int, int]
    kind: str = "pad"
    fields: Mapping[str, Any] = field(default_factory=dict)

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """What it reads."""
        return (self.input,)


@dataclass(frozen=True, eq=False)
class ScaledTensor:
    """A tensor times a number: a part of a product of matrices before or behind it, and of no other layer.

    reason: why it stands for no layer of its own. version: of the tensor before the call.
    """

    input: Tensor
    factor: float
    reason: str
    version: int
    kind: str = "mul"
    fields: Mapping[str, Any] = field(default_factory=dict)

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """What it reads."""
        return (self.input,)


@dataclass(frozen=True, eq=False)
class MovedBatch:
    """A tensor whose batch is no longer in front: a part of another order of its axes behind, and no layer.

    order: the input's axes. reason: why it stands for no layer of its own.
    """

    input: Tensor
    order: tuple[int, ...]
    reason: str
    kind: str = "transpose"
    fields: Mapping[str, Any] = field(default_factory=dict)

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """What it reads."""
        return (self.input,)


@dataclass(frozen=True, eq=False)
class ScaledLoss:
    """A weighted sum of losses, which a callable of the outputs makes of them: tensors and their factors."""

    shares: tuple[tuple[Tensor, float], ...]

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """What it reads."""
        return tuple(tensor for tensor, _ in self.shares)


@dataclass(frozen=True, eq=False)
class UnknownCall:
    """A call that stands for nothing known; has_weights: it reads a parameter of the model, trained or frozen."""

    kind: str
    inputs: tuple[Tensor, ...]
    reason: str
    has_weights: bool = False
    fields: Mapping[str, Any] = field(default_factory=dict)


# A call that leaves no layer where what reads its tensor can do its work.
FoldedCall = PaddedTensor | ScaledTensor | MovedBatch
Call = LayerCall | SameTensor | FoldedCall | ScaledLoss
# One for each tensor that a function gives out, where it gives several.
Calls = Call | Sequence[Call]


def pair(value: int | Sequence[int]) -> tuple[int, int]:
    """Give height and width of what torch takes as one number or as two.

    Raises:
        UnmappedCallError: there are more.
    """
    if isinstance(value, int):
        return value, value
    sizes = tuple(int(size) for size in value)
    if len(sizes) == 1:
        return sizes[0], sizes[0]
    if len(sizes) != 2:
        raise UnmappedCallError(f"sizes {sizes} are not those of height and width")
    return sizes[0], sizes[1]


def short(sizes: Sequence[int]) -> int | list[int]:
    """Write equal sizes as one number, as YAML does."""
    return int(sizes[0]) if len(set(sizes)) == 1 else [int(size) for size in sizes]


def add_padding(padding: int | Sequence[int], sides: Sequence[int]) -> int | list[int]:
    """Add zeros around an input to a layer's own padding, in the order top, left, bottom, right."""
    own = [padding] * 4 if isinstance(padding, int) else list(padding) * (4 // len(padding))
    total = [one + more for one, more in zip(own, sides, strict=True)]
    return short(total) if len(set(total)) == 1 else total[:2] if total[:2] == total[2:] else total


def expect_axes(tensor: Tensor, axes: int, what: str) -> None:
    """Refuse a tensor with another number of axes.

    Raises:
        UnmappedCallError: names what is needed.
    """
    if tensor.dim() != axes:
        raise UnmappedCallError(f"{what} reads a tensor of {axes} axes, batch first; here it is of {tensor.dim()}")


def find_edge(tensor: Tensor) -> tuple[Any, int] | None:
    """Give the node of autograd's graph that made a tensor, and which of its outputs it is."""
    return None if tensor.grad_fn is None else (tensor.grad_fn, tensor.output_nr)
