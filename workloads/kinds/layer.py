"""What every layer kind is: its form in YAML, and the questions that the rest asks it.

A kind is a class derived from `LayerBase` in a file of its own. It answers every question; one that it does not answer
is refused by name, so that nothing costs nothing only because nobody thought of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import Annotated, Any, ClassVar, Final, cast

from numpy.typing import NDArray
from pydantic import Field

from workloads.arrays import Float32Array
from workloads.kinds.execution import Backward, Loss, Parameter, Parameters, Place
from workloads.kinds.profile_rules import Draw, HandingPlace, ProfileRules
from workloads.layers import LayerName, OwnInput, StrictModel
from workloads.reference.arrays import Array
from workloads.shapes import LayerShape, Shape


@dataclass(frozen=True, slots=True, kw_only=True)
class Traits:
    """What a layer of a kind does for its neighbours.

    Attributes:
        is_computed: The accelerator executes it in steps, not in passes.
        has_parameters: It is trained.
        is_loss: It ends a network.
        reads_several: It joins two or more inputs.
        rides_along: It happens in the unit that writes the tensor it acts on, and so has no tensor of its own.
        is_view: It rides along and leaves all elements as they are, in their order.
        makes_zeros: It is a ReLU.
        ceiling: A ReLU's upper end, at which its gradient is zero as it is at 0.
        hands_zeros_on: What comes out of a ReLU before it still counts as coming out of one behind it.
        hands_ceiling_on: What was cut off at a ceiling before it is still equal to that behind it.
        hands_gradient_on: The gradient to its input is its output's, or a part of it, and is not written anew; a kind
            whose inputs' shapes decide says of which (`LayerBase.hands_gradient_to`).
        is_part: It is stored as a part of its input, and its gradient as a part of that one's.
        is_source: It reads nothing.
        is_joined: Its inputs are stored as parts of its output.
        sums_inputs: The gradient to its output is that to each input, and is stored once.
        densifies_gradient: A pruned gradient is dense again behind its backward pass.
        normalises: It divides each channel by the deviation of that channel.
        keeps_input: Its backward reads its input.
        keeps_output: Its backward reads its output.
    """

    is_computed: bool = False
    has_parameters: bool = False
    is_loss: bool = False
    reads_several: bool = False
    rides_along: bool = False
    is_view: bool = False
    makes_zeros: bool = False
    ceiling: float = inf
    hands_zeros_on: bool
    hands_ceiling_on: bool = False
    hands_gradient_on: bool
    is_joined: bool = False
    is_part: bool = False
    is_source: bool = False
    sums_inputs: bool = False
    densifies_gradient: bool
    normalises: bool = False
    keeps_input: bool = False
    keeps_output: bool = False


SAME_ELEMENT: Final = 0
WHOLE_TENSOR: Final = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PassWork:
    """What an elementwise pass of a layer does beside writing one tensor.

    Attributes:
        window_rows: What one row of its result needs of what it reads (backward, of the gradient to its output): so
            many rows, in the order of storage from the first to the last; `SAME_ELEMENT` where each element is needed
            only together with the same element, `WHOLE_TENSOR` where all are needed before the first row is there.
        carries_mask: Its output, or what else it writes, tells which elements of its input are zero, so that a ReLU's
            mask is known without the input.
        sweeps: How often all elements are gone through, and what it reads is read.
        reads_input: A backward pass reads the layer's input, or its output, beside the gradient.
        reads_output: A backward pass reads the layer's input, or its output, beside the gradient.
        reads_mask: Where all that the layer reads comes out of a ReLU, a backward pass reads that one's mask.
        index_bits: Of indices or flags moved besides, written forward and read backward.
        target_elements: Numbers that a loss reads beside its scores.
    """

    window_rows: int | None
    carries_mask: bool = False
    sweeps: int = 1
    reads_input: bool = False
    reads_output: bool = False
    reads_mask: bool = False
    index_bits: int = 0
    target_elements: int = 0


def unknown_kind(layer: LayerBase, question: str) -> TypeError:
    """Make the error of a question that a kind does not answer; it names the layer, its kind and the question."""
    return TypeError(f"layer '{layer.name}': {question} is not defined for the kind '{layer.type}'")


class _Unanswered:
    """Stands where a kind would give its traits or rules, and refuses it by name."""

    def __init__(self, question: str) -> None:
        self._question = question

    def __get__(self, layer: LayerBase | None, owner: type[LayerBase]) -> Any:
        if layer is None:
            raise TypeError(f"{owner.__name__} is no kind of layer: it does not say {self._question}")
        raise unknown_kind(layer, self._question)


class LayerBase(StrictModel):
    """What every layer has: a unique name, and the layers it reads (default: the one declared before it).

    A layer with an `input` of its own reads no other: nothing before it is connected to it.
    """

    name: LayerName
    inputs: Annotated[list[LayerName], Field(min_length=1)] | None = None
    input: OwnInput | None = None
    type: str

    traits: ClassVar[Traits] = cast(Traits, _Unanswered("what it does for its neighbours"))
    profile: ClassVar[ProfileRules] = cast(ProfileRules, _Unanswered("its rules for profiles"))

    def infer_output(self, names: tuple[str, ...], shapes: tuple[Shape, ...], /) -> Shape:
        """Give the shape of the output, from the names and shapes of what is read, of which there are enough.

        Raises:
            ValueError: the layer cannot read such inputs; a sentence without the place.
        """
        raise unknown_kind(self, "the shape of its output")

    def infer_geometry(self, shape: Shape, /) -> LayerShape:
        """Give the geometry of a layer that the accelerator executes.

        Raises:
            ValueError: the layer cannot read such an input; a sentence without the place.
        """
        raise unknown_kind(self, "its geometry")

    def hands_gradient_to(self, _shape: Shape, _output: Shape, /) -> bool:
        """Tell whether the gradient to an input of a shape is that to the output, or a part of it, as it is stored."""
        return self.traits.hands_gradient_on

    def list_parameters(self, shape: Shape, /) -> Mapping[str, Parameter]:
        """List the parameters of a layer whose first input has this shape, by their names within the layer."""
        raise unknown_kind(self, "which parameters it has")

    def list_statistics(self, _shape: Shape, /) -> Mapping[str, Parameter]:
        """List what follows the batches of a training besides the parameters, with the values it starts from.

        Most kinds have none.
        """
        return {}

    def run(self, inputs: Sequence[Array], parameters: Parameters, place: Place, /) -> tuple[Array, Backward]:
        """Compute the output, and the function that takes its gradient back; that function keeps what it needs."""
        raise unknown_kind(self, "its output")

    def locate_part(self) -> tuple[int, range]:
        """Tell the axis along which a layer is a part of its input, and its places on that axis."""
        raise unknown_kind(self, "which part of its input it is")

    def evaluate(self, scores: Array, targets: NDArray[Any], /) -> Loss:
        """Compute a loss of scores and targets, as `workloads.kinds.loss` tells their shapes."""
        raise unknown_kind(self, "its loss")

    def forward_work(self, shapes: tuple[Shape, ...], output: Shape, /) -> PassWork | None:
        """Tell what the forward pass does, None if there is none; a loss's stands for both directions together."""
        raise unknown_kind(self, "its forward pass")

    def backward_work(self, shapes: tuple[Shape, ...], output: Shape, /) -> PassWork | None:
        """Tell what the backward pass does, None if there is none."""
        raise unknown_kind(self, "its backward pass")

    def derive_density(self, densities: Sequence[float], sizes: Sequence[int], /) -> float | None:
        """Give the expected density of an output made from tensors of these; None where only the tensors tell."""
        raise unknown_kind(self, "the density of its output")

    def derive_output(self, sources: Sequence[Float32Array], draw: Draw, /) -> Float32Array:
        """Make one image's output of a profile's tensors, none of which has a batch axis."""
        raise unknown_kind(self, "its output in a profile")

    def find_obstacle(self) -> str | None:
        """Say why a profile's gradient cannot be handed back where the input is unknown; None where it can."""
        raise unknown_kind(self, "whether it hands a gradient back where its input is unknown")

    def hand_gradient_back(self, gradient: Float32Array, place: HandingPlace, /) -> Float32Array:
        """Give one image's gradient to the input from that to the output, in a profile."""
        raise unknown_kind(self, "its gradient in a profile")
