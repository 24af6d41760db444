"""A network as a graph of layers with inferred shapes, and the checks that make it one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import inf

from workloads.errors import InputError
from workloads.inference import infer_output
from workloads.kinds import Layer
from workloads.kinds.computed import ComputedLayer
from workloads.kinds.table import list_computed
from workloads.layer_order import order_layers
from workloads.shapes import LayerShape, Shape, Step
from workloads.suggestions import did_you_mean
from workloads.words import list_words

INPUT = "input"


@dataclass(frozen=True)
class Node:
    """A layer in its place: what it reads (names of nodes, or ``input``), and its shapes, batch first.

    The loss's output is one number: its shape is ``()``.
    """

    layer: Layer
    inputs: tuple[str, ...]
    input_shapes: tuple[Shape, ...]
    output_shape: Shape

    @property
    def name(self) -> str:
        """The layer's name."""
        return self.layer.name


@dataclass(frozen=True)
class Network:
    """Layers in topological order (as declared, wherever the order allows).

    With a loss, outputs of losses are the only ones that nobody reads. Without, any may be unread, and the layers need
    not be connected.

    Attributes:
        input_shape: ``(N, C, H, W)``; ``(N,)`` where each layer that reads no other has an input of its own.
    """

    name: str
    input_shape: Shape
    nodes: tuple[Node, ...]

    def __repr__(self) -> str:
        size = " x ".join(str(length) for length in self.input_shape)
        return f"<Network {self.name}: {len(self.nodes)} layers, {len(self.compute_nodes())} to accelerate, on {size}>"

    @property
    def batch(self) -> int:
        """N."""
        return self.input_shape[0]

    def is_source(self, name: str) -> bool:
        """Tell whether a node reads this name as an input of the network, or as one of its own: no node makes it."""
        return name in self._source_shapes

    def output_shape(self, name: str) -> Shape:
        """Give the shape of a node's output, or of an input."""
        return self._source_shapes[name] if name in self._source_shapes else self.node(name).output_shape

    def node(self, name: str) -> Node:
        """Return the node of this name.

        Raises:
            KeyError: there is none.
        """
        return self._by_name[name]

    def compute_nodes(self) -> tuple[Node, ...]:
        """Return the layers that the accelerator executes: convolutions and fully connected ones."""
        return tuple(node for node in self.nodes if node.layer.traits.is_computed)

    def layer_shape(self, name: str) -> LayerShape:
        """Return the geometry of a convolution or a fully connected layer."""
        node = self.node(name)
        if not isinstance(node.layer, ComputedLayer):
            *kinds, last = list_computed()
            raise ValueError(
                f"'{name}' is a {node.layer.type} layer; only {', '.join(kinds)} and {last} have a geometry"
            )
        return node.layer.infer_joint_geometry(node.input_shapes)

    def has_bias(self, name: str) -> bool:
        """Tell whether a layer that the accelerator executes adds a bias."""
        layer = self.node(name).layer
        return isinstance(layer, ComputedLayer) and layer.bias

    def list_steps(self, name: str) -> tuple[Step, ...]:
        """List the steps that training needs of a layer: no gradient to an activation that nobody trains."""
        inputs, trained = self.node(name).inputs, self.trained
        wanted = {Step.GTA: inputs[0] in trained, Step.GTW: len(inputs) == 1 or inputs[1] in trained}
        return tuple(step for step in Step if wanted.get(step, True))

    def is_behind_relu(self, name: str, source: str | None = None) -> bool:
        """Tell whether all that the node reads comes out of a ReLU, possibly through layers that hand its zeros on.

        Those are pooling, flatten and dropout, and a concatenation of such inputs alone.

        Args:
            source: What it reads, where that alone is meant; of a layer that the accelerator executes it is by default
                the first.
        """
        return all(read in self._ceilings for read in self._find_sources(name, source))

    def gives_rectified(self, name: str) -> bool:
        """Tell whether what the node gives out comes out of a ReLU, its own or one before it."""
        return name in self._ceilings

    def find_ceiling(self, name: str, source: str | None = None) -> float:
        """Give what is cut off of the ReLU's output that a node reads: a ReLU's infinity, or what is known to be.

        Behind an average or dropout nothing is known, and of a concatenation only the highest.

        Args:
            source: As `is_behind_relu` has it.
        """
        return max((self._ceilings.get(read, inf) for read in self._find_sources(name, source)), default=inf)

    def _find_sources(self, name: str, source: str | None) -> tuple[str, ...]:
        node = self.node(name)
        if source is not None:
            return (source,)
        return node.inputs[:1] if node.layer.traits.is_computed else node.inputs

    def relu_follows(self, name: str) -> bool:
        """Tell whether the node's output is read by ReLU layers alone, so that it is stored only behind them."""
        readers = self.consumers(name)
        return bool(readers) and all(reader.layer.traits.makes_zeros for reader in readers)

    def loss_nodes(self) -> tuple[Node, ...]:
        """Return the losses; there may be none."""
        return tuple(node for node in self.nodes if node.layer.traits.is_loss)

    def consumers(self, name: str) -> tuple[Node, ...]:
        """Return the nodes that read this node's output, or, for ``input``, the network's input."""
        return self._readers.get(name, ())

    def gradient_sources(self, name: str) -> tuple[Node, ...]:
        """Return the readers of a node's output as they hand their shares of its gradient back, one after the other.

        Losses do so first, as they are evaluated; then the others, in the reverse of the network's order.
        """
        readers = self.consumers(name)
        losses = tuple(reader for reader in readers if reader.layer.traits.is_loss)
        return (*losses, *(reader for reader in reversed(readers) if not reader.layer.traits.is_loss))

    @cached_property
    def trained(self) -> frozenset[str]:
        """The nodes with a parameter in or before them: the gradients to their outputs are wanted."""
        trained: set[str] = set()
        for node in self.nodes:
            if node.layer.traits.has_parameters or trained.intersection(node.inputs):
                trained.add(node.name)
        return frozenset(trained)

    def writes_gradient(self, name: str, source: str) -> bool:
        """Tell whether a node writes the gradient to an input, by its GTA or a pass, and not its output's instead."""
        node = self.node(name)
        return not node.layer.hands_gradient_to(self.output_shape(source), node.output_shape)

    def summed_gradients(self, name: str, number: int = 0) -> tuple[str, ...]:
        """Name the stored gradients that are read and added where this node writes the gradient to an input.

        Each name stands for the gradient to that node's output; the input's own name, which can only be the first, for
        the sum of the shares so far. Readers of one tensor hand their shares back in the order of `gradient_sources`.
        Layers that have no pass, concat and an add that does not spread this input write nothing: their share is the
        gradient to their own output, or a part of it, which is stored already. Whoever writes a share (a convolution or
        fully connected layer by its GTA, another layer by its pass) adds all that is stored by then. So two branches
        are summed in the PPU of the GTA that writes last.

        The tuple is empty where nothing is to be added, as for a node whose input needs no gradient. A node that reads
        a tensor twice writes two shares, the first input's first: a product of a tensor with itself in GTA and GTW.

        Args:
            number: Which of its inputs, from 0.
        """
        return self._gradient_sums[0].get((name, number), ())

    def unsummed_gradients(self, name: str) -> tuple[str, ...]:
        """Name the stored shares of the gradient to a node's output that are left, for a pass of their own to add.

        There are at least two, or none: a pass is needed where nobody writes, as behind an output that only adds read,
        or where a share comes after all that is written.
        """
        return self._gradient_sums[1].get(name, ())

    @cached_property
    def _gradient_sums(self) -> tuple[Mapping[tuple[str, int], tuple[str, ...]], Mapping[str, tuple[str, ...]]]:
        """What each writer adds to its share of an input, and what is left to add for each node's output."""
        by_writer: dict[tuple[str, int], tuple[str, ...]] = {}
        left: dict[str, tuple[str, ...]] = {}
        for name in self.trained:
            shares: list[str] = []
            if _lie_apart(self.consumers(name)):
                # Parts of the gradient are stored beside each other, and none is added to another.
                continue
            numbers = {reader.name: iter(_find_numbers(reader, name)) for reader in self.consumers(name)}
            for reader in self.gradient_sources(name):
                if not self.writes_gradient(reader.name, name):
                    shares.append(reader.name)
                    continue
                by_writer[reader.name, next(numbers[reader.name])] = tuple(shares)
                shares = [name]
            if len(shares) > 1:
                left[name] = tuple(shares)
        return by_writer, left

    @cached_property
    def _source_shapes(self) -> dict[str, Shape]:
        own = {node.inputs[0]: node.input_shapes[0] for node in self.nodes if node.layer.input is not None}
        return {INPUT: self.input_shape, **own}

    @cached_property
    def _by_name(self) -> dict[str, Node]:
        return {node.name: node for node in self.nodes}

    @cached_property
    def _readers(self) -> dict[str, tuple[Node, ...]]:
        readers: dict[str, tuple[Node, ...]] = {}
        for node in self.nodes:
            for source in node.inputs:
                readers[source] = (*readers.get(source, ()), node)
        return readers

    @cached_property
    def _ceilings(self) -> Mapping[str, float]:
        """The nodes whose output comes out of a ReLU, with that one's upper end, infinity where it is not known."""
        ceilings: dict[str, float] = {}
        for node in self.nodes:
            traits = node.layer.traits
            if traits.makes_zeros:
                ceilings[node.name] = traits.ceiling
            elif traits.hands_zeros_on and all(source in ceilings for source in node.inputs):
                highest = max(ceilings[source] for source in node.inputs)
                ceilings[node.name] = highest if traits.hands_ceiling_on else inf
        return ceilings


def _find_numbers(reader: Node, name: str) -> list[int]:
    """Tell which inputs of a node are of this name, from 0."""
    return [number for number, source in enumerate(reader.inputs) if source == name]


def _lie_apart(readers: Sequence[Node]) -> bool:
    """Tell whether all that read a tensor are parts of it, no two of which share an element."""
    if not all(reader.layer.traits.is_part for reader in readers):
        return False
    parts = [reader.layer.locate_part() for reader in readers]
    places = [place for _, part in parts for place in part]
    return len({axis for axis, _ in parts}) <= 1 and len(set(places)) == len(places)


def name_own_input(layer: str) -> str:
    """Name the input that a layer has for itself; no layer can bear this name."""
    return f"{layer}/input"


def build_network(
    name: str, input_shape: Shape, layers: Sequence[Layer], locate: Callable[[int], str] | None = None
) -> Network:
    """Connect the layers, order them and infer their shapes.

    Args:
        input_shape: As `Network` has it.
        locate: Gives the words that name the place of ``layers[index]`` in an error; default ``layers[2] 'conv2'``.

    Raises:
        InputError: the layers do not make one graph that ends in one layer, or a layer cannot read its input's shape.
    """
    where = locate or (lambda index: f"layers[{index}] '{layers[index].name}'")
    _check_names(layers, where)
    names = dict.fromkeys([INPUT, *(layer.name for layer in layers)])
    inputs = [_inputs_of(layers, index, names, where) for index in range(len(layers))]
    sources = [INPUT, *(name_own_input(layer.name) for layer in layers if layer.input is not None)]
    order = order_layers(layers, inputs, sources, where)
    _check_ends(layers, inputs, order, where)
    shapes: dict[str, Shape] = {INPUT: input_shape}
    for layer in layers:
        if layer.input is not None:
            shapes[name_own_input(layer.name)] = (input_shape[0], *layer.input.shape)
    nodes = []
    for index in order:
        layer = layers[index]
        input_shapes = tuple(shapes[source] for source in inputs[index])
        if len(input_shape) == 1 and INPUT in inputs[index] and not layer.traits.is_source:
            raise InputError(
                f"{where(index)}: reads the network's input, and there is none; give the workload or the layer one of "
                "input: {channels: C, height: H, width: W}"
            )
        try:
            shapes[layer.name] = infer_output(layer, inputs[index], input_shapes)
        except ValueError as error:
            raise InputError(f"{where(index)}: {error}") from None
        nodes.append(Node(layer, inputs[index], input_shapes, shapes[layer.name]))
    return Network(name, input_shape, tuple(nodes))


def _check_names(layers: Sequence[Layer], where: Callable[[int], str]) -> None:
    first: dict[str, int] = {}
    for index, layer in enumerate(layers):
        if layer.name == INPUT:
            raise InputError(f"{where(index)}: the name 'input' stands for the network's input; choose another")
        if layer.name in first:
            raise InputError(f"{where(index)}: the name is taken by layers[{first[layer.name]}]; names must be unique")
        first[layer.name] = index


def _inputs_of(
    layers: Sequence[Layer], index: int, names: Mapping[str, None], where: Callable[[int], str]
) -> tuple[str, ...]:
    layer = layers[index]
    if layer.input is not None:
        if layer.inputs is not None:
            raise InputError(f"{where(index)}: has an input of its own and names inputs; one of both is possible")
        if layer.traits.is_loss:
            raise InputError(f"{where(index)}: a loss has no input of its own; it reads what a network computes")
        return (name_own_input(layer.name),)
    if layer.traits.is_source:
        # The input tells it the batch, and is not read.
        return (INPUT,)
    if layer.inputs is None:
        return (layers[index - 1].name if index else INPUT,)
    for source in layer.inputs:
        if source == layer.name:
            raise InputError(f"{where(index)}: reads its own output; inputs must name other layers")
        if source not in names:
            near = did_you_mean(source, names) or f" (the layers are {list_words(layer.name for layer in layers)})"
            raise InputError(f"{where(index)}: inputs names '{source}', which is no layer and not 'input'{near}")
    return tuple(layer.inputs)


def _check_ends(
    layers: Sequence[Layer], inputs: Sequence[tuple[str, ...]], order: Sequence[int], where: Callable[[int], str]
) -> None:
    losses = [layer.name for layer in layers if layer.traits.is_loss]
    for index in range(len(layers)):
        read_losses = [name for name in inputs[index] if name in losses]
        if read_losses:
            raise InputError(f"{where(index)}: reads the loss '{read_losses[0]}'; no layer can read a loss")
    if not losses:
        return
    read = {source for sources in inputs for source in sources}
    allowed = f"the loss '{losses[0]}'" if len(losses) == 1 else f"the losses {list_words(losses)}"
    for index in order:
        if layers[index].name not in read and not layers[index].traits.is_loss:
            raise InputError(f"{where(index)}: no layer reads its output; only {allowed} may be unread")
