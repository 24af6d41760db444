"""The host's training iteration: forward, loss and backward in numpy, once, on a fixed number of BLAS threads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from workloads.draws import keyed_generator
from workloads.errors import InputError
from workloads.forward_walk import walk_forward
from workloads.gradient_masks import make_mask
from workloads.host_backward import GradientHook, run_backward
from workloads.kinds.execution import Backward, Note, Parameter, Parameters, Place, forget
from workloads.losses import BatchTargets, Labels, evaluate_losses, make_targets
from workloads.network import Network, Node
from workloads.operands import GradientFinish, Operands
from workloads.reference.arrays import Array, Keep, keep_in_memory
from workloads.reference.threads import fixed_blas_threads
from workloads.workers import HOST_WORKERS, shared_work

# The name under which the output of a layer is noted, beside the statistics of its own.
OUTPUT = "output"


class NotFiniteError(InputError):
    """A loss or a gradient that is no finite number."""


@dataclass(frozen=True, eq=False)
class LayerTensors:
    """What one convolution or fully connected layer met in an iteration, in the iteration's dtype.

    Attributes:
        summed: The gradients that are stored when this layer's GTA begins, as `Network.summed_gradients` names them.
        factor: The second factor of a product of two activations, and what its gradient is added to.
        factor_summed: The second factor of a product of two activations, and what its gradient is added to.
        grad_output_for_gta: What the layer's GTA reads in the place of grad_output; None where it reads that.
    """

    input: Array
    grad_output: Array
    summed: tuple[Array, ...] = ()
    factor: Array | None = None
    factor_summed: tuple[Array, ...] = ()
    grad_output_for_gta: Array | None = None


@dataclass(frozen=True, eq=False)
class Iteration:
    """One training iteration.

    Attributes:
        losses: Their values, before their weights.
        loss: Their weighted sum.
        accuracy: As `workloads.losses.Evaluation` has them.
        saturated_images: As `workloads.losses.Evaluation` has them.
        grads: Gradients of all parameters, keyed as they are.
        tensors: Of each layer that the accelerator executes.
    """

    network: Network
    parameters: Parameters
    losses: Mapping[str, float]
    loss: float
    accuracy: float | None
    grads: Parameters
    tensors: Mapping[str, LayerTensors]
    saturated_images: int = 0

    def operands(self) -> Iterator[Operands]:
        """Operands of each layer that the accelerator executes, in the network's order."""
        for node in self.network.compute_nodes():
            tensors, bias = self.tensors[node.name], self.parameters.get(f"{node.name}/bias")
            input = _to_operand(tensors.input)
            yield Operands(
                layer=node.name,
                shape=self.network.layer_shape(node.name),
                input=input,
                weight=_to_operand(
                    self.parameters[f"{node.name}/weight"] if tensors.factor is None else tensors.factor
                ),
                bias=None if bias is None else _to_operand(bias),
                grad_output=_to_operand(tensors.grad_output),
                grad_output_for_gta=(
                    None if tensors.grad_output_for_gta is None else _to_operand(tensors.grad_output_for_gta)
                ),
                mask=make_mask(self.network, node.name, input),
                steps=self.network.list_steps(node.name),
                relu_follows=self.network.relu_follows(node.name),
                summed=self._stored_gradients(node, 0, tensors.input, tensors.summed),
                **self._describe_factor(node, tensors),
            )

    def _describe_factor(self, node: Node, tensors: LayerTensors) -> dict[str, Any]:
        """Give what the PPU does to the gradient to the second factor of a product."""
        factor = tensors.factor
        if factor is None:
            return {}
        mask = make_mask(self.network, node.name, _to_operand(factor), node.inputs[1])
        stored = self._stored_gradients(node, 1, factor, tensors.factor_summed)
        return {"weight_finish": GradientFinish(mask=mask), "weight_summed": stored}

    def _stored_gradients(
        self, node: Node, number: int, read: Array, summed: tuple[Array, ...]
    ) -> tuple[NDArray[np.float32], ...]:
        """Give what a layer's gradient is added to; behind a ReLU all but an add's own are stored with its mask.

        Args:
            number: Of the input, which `read` is.
        """
        source, names = node.inputs[number], self.network.summed_gradients(node.name, number)
        mask = make_mask(self.network, node.name, read, source)
        gradients = []
        for name, gradient in zip(names, summed, strict=True):
            is_add = name != source and self.network.node(name).layer.traits.sums_inputs
            gradients.append(_to_operand(gradient if mask is None or is_add else gradient * mask))
        return tuple(gradients)


def parameter_shapes(network: Network) -> dict[str, tuple[int, ...]]:
    """Shape of every parameter: `<layer>/weight` and `bias`; of batch norm `<layer>/scale` and `shift`."""
    return {f"{layer}/{name}": parameter.shape for layer, name, parameter in _list_parameters(network)}


def initial_parameters(network: Network, seed: int) -> dict[str, NDArray[np.float32]]:
    """Draw weights by Kaiming's rule, N(0, 2 / fan_in), each layer's from (seed, layer); scale 1, bias and shift 0."""
    parameters = {}
    for layer, name, parameter in _list_parameters(network):
        if parameter.start is None:
            deviation = np.sqrt(2 / np.prod(parameter.shape[1:]))
            values = keyed_generator(seed, layer, name).standard_normal(parameter.shape, dtype=np.float32)
            parameters[f"{layer}/{name}"] = values * np.float32(deviation)
        else:
            parameters[f"{layer}/{name}"] = np.full(parameter.shape, parameter.start, dtype=np.float32)
    return parameters


def initial_statistics(network: Network) -> dict[str, NDArray[np.float32]]:
    """Give what running statistics start from: ``<layer>/mean`` of batch norms, 0, and ``variance``, 1."""
    return {
        f"{node.name}/{name}": np.full(one.shape, one.start, dtype=np.float32)
        for node in network.nodes
        for name, one in node.layer.list_statistics(node.input_shapes[0]).items()
    }


def _list_parameters(network: Network) -> Iterator[tuple[str, str, Parameter]]:
    """List the layer, the name within it and the form of every parameter, in the network's order."""
    for node in network.nodes:
        for name, parameter in node.layer.list_parameters(node.input_shapes[0]).items():
            yield node.name, name, parameter


@dataclass(frozen=True, slots=True)
class HostOptions:
    """How the host computes an iteration.

    Attributes:
        dtype: Of its arithmetic.
        keep: Given each array that outlives its use, for the backward pass or the operands; hands back what is kept in
            its place (`workloads.kept_tensors`).
        note: Given each statistic of the batch that a running one follows, ``<layer>/mean`` and so on, and the output
            of each layer that is watched, ``<layer>/output``.
        watched: Such layers.
        threads: That share the work; no result depends on their number.
    """

    dtype: DTypeLike = np.float32
    keep: Keep = keep_in_memory
    note: Note = forget
    watched: frozenset[str] = frozenset()
    threads: int = HOST_WORKERS


FLOAT32, FLOAT64 = HostOptions(), HostOptions(np.float64)


def run_iteration(
    network: Network,
    parameters: Parameters,
    images: NDArray[Any],
    targets: Labels | BatchTargets,
    *,
    seed: int,
    iteration: int = 0,
    hook: GradientHook | None = None,
    options: HostOptions = FLOAT32,
) -> Iteration:
    """Run forward, losses and backward once on images ``(N, C, H, W)`` and their class numbers ``(N,)``.

    Seed and iteration are the key of dropout's draws. `hook(node, gradient, mask)` is called with the gradient to each
    node's output once its consumers' shares are summed, and what it returns takes the gradient's place; of a pair the
    layer's GTA alone reads the second. The mask is given, and the gradient zero outside it, where the node feeds a
    convolution or fully connected layer from behind a ReLU.

    Raises:
        InputError: the network has no loss; images, targets or parameters do not fit it; or the numbers overflow.
    """
    given = targets if isinstance(targets, BatchTargets) else BatchTargets(targets)
    check_images(network, images)
    compared = make_targets(network, given)
    check_parameters(network, parameters)
    dtype, keep = options.dtype, options.keep
    cast = {name: parameter.astype(dtype, copy=False) for name, parameter in parameters.items()}
    # What overflows is found afterwards, in the loss and the gradients.
    with fixed_blas_threads(), shared_work(options.threads), np.errstate(over="ignore", invalid="ignore"):
        scores, reads, tape = _run_forward(network, cast, images.astype(dtype, copy=False), seed, iteration, options)
        found = evaluate_losses(network, scores, compared)
        _check_loss(network, found.total)
        grads, grad_outputs, summed = run_backward(network, tape, reads, found, hook, keep)
    grads = {name: grads[name] for name in parameter_shapes(network)}
    _check_gradients(grads)
    tensors = {
        name: _gather_tensors(network.node(name), read, grad_outputs[name], summed) for name, read in reads.items()
    }
    return Iteration(network, cast, found.values, found.total, found.accuracy, grads, tensors, found.saturated_images)


def _gather_tensors(
    node: Node,
    read: Mapping[str, Array],
    pair: tuple[Array, Array | None],
    summed: Mapping[tuple[str, int], tuple[Array, ...]],
) -> LayerTensors:
    """Gather what a layer met.

    Args:
        read: By the names of its inputs.
        pair: The gradient to its output, and what its GTA reads in its place.
        summed: By its name and the number of its input.
    """
    first, *others = ((read[source], summed.get((node.name, number), ())) for number, source in enumerate(node.inputs))
    factor, factor_summed = others[0] if others else (None, ())
    return LayerTensors(first[0], pair[0], first[1], factor, factor_summed, pair[1])


def _run_forward(
    network: Network, parameters: Parameters, images: Array, seed: int, iteration: int, options: HostOptions
) -> tuple[dict[str, Array], dict[str, Mapping[str, Array]], dict[str, Backward]]:
    """Scores of each loss; what each compute layer reads, by name; backward function of each node.

    Other values go with their last reader.
    """
    trained = network.trained
    compute = {node.name for node in network.compute_nodes()}
    tape: dict[str, Backward] = {}
    reads: dict[str, Mapping[str, Array]] = {}

    def compute_node(node: Node, read: list[Array]) -> Array:
        place = Place(
            needs_grad_input=not trained.isdisjoint(node.inputs),
            output_is_kept=any(reader.layer.traits.keeps_input for reader in network.consumers(node.name)),
            seed=seed,
            iteration=iteration,
            keep=options.keep,
            note=partial(_note, options.note, node.name),
        )
        output, tape[node.name] = _run_node(node, read, parameters, place)
        if node.name in options.watched:
            options.note(f"{node.name}/{OUTPUT}", output)
        if node.name in compute:
            reads[node.name] = dict(zip(node.inputs, read, strict=True))
        return output

    return walk_forward(network, images, compute_node), reads, tape


def _note(note: Note, layer: str, name: str, values: Array) -> None:
    note(f"{layer}/{name}", values)


def _run_node(node: Node, inputs: Sequence[Array], parameters: Parameters, place: Place) -> tuple[Array, Backward]:
    """Compute a node's output, handed to `place.keep` where a reader keeps it, and its backward function."""
    names = node.layer.list_parameters(node.input_shapes[0])
    own = {name: parameters[f"{node.name}/{name}"] for name in names}
    output, backward = node.layer.run(inputs, own, place)
    if place.output_is_kept and not node.layer.traits.keeps_output:
        output = place.keep(output)
    return output, backward


def _to_operand(array: Array) -> NDArray[np.float32]:
    return np.ascontiguousarray(array, dtype=np.float32)


def check_images(network: Network, images: NDArray[Any]) -> None:
    """Refuse images that the network does not take.

    Raises:
        InputError: they have another shape.
    """
    if images.shape != network.input_shape:
        raise InputError(f"network '{network.name}' takes images of shape {network.input_shape}, got {images.shape}")


def check_parameters(network: Network, parameters: Parameters) -> None:
    """Refuse parameters that are not those of the network.

    Raises:
        InputError: one is missing or has another shape.
    """
    for name, shape in parameter_shapes(network).items():
        if name not in parameters:
            raise InputError(f"parameter '{name}' of network '{network.name}' is missing")
        if parameters[name].shape != shape:
            raise InputError(f"parameter '{name}' must have shape {shape}, got {parameters[name].shape}")


def check_finite(network: Network, loss: float, grads: Parameters) -> None:
    """Refuse numbers that overflow.

    Args:
        grads: Gradients of parameters, or the least and the largest value of each.

    Raises:
        NotFiniteError: the loss or a gradient is no finite number.
    """
    _check_loss(network, loss)
    _check_gradients(grads)


def _check_loss(network: Network, loss: float) -> None:
    if not np.isfinite(loss):
        raise NotFiniteError(f"the loss of network '{network.name}' is {loss}; its weights or images are too large")


def is_finite(values: Array) -> bool:
    """Tell whether all values are finite numbers."""
    # The extremes tell, without an array of flags: NaN goes through both.
    return not values.size or bool(np.isfinite([values.min(), values.max()]).all())


def _check_gradients(grads: Parameters) -> None:
    for name, grad in grads.items():
        if not is_finite(grad):
            raise NotFiniteError(f"the gradient to '{name}' is not finite; weights or images are too large")
