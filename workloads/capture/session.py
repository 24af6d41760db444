"""One forward and backward pass of a model, watched, and what was found put together as a recording."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import torch

from workloads.arrays import Float32Array
from workloads.capture.calls import LayerCall, Tensor
from workloads.capture.gradients import GradientTaker, to_float32
from workloads.capture.graph_form import (
    GraphForm,
    compare_shapes,
    find_ends,
    make_graph_form,
    name_workload,
    refuse_faults,
)
from workloads.capture.observer import GraphObserver
from workloads.capture.parts import choose_part, make_part_layers, make_part_mask
from workloads.capture.places import ModulePaths, telling_failure
from workloads.capture.pruner import GradientPruner, find_pruner
from workloads.capture.recording import CapturedRecording
from workloads.capture.seen import SeenLayer
from workloads.document import YamlDocument
from workloads.errors import InputError
from workloads.gradient_masks import make_mask
from workloads.network import INPUT, Network, Node
from workloads.operands import Operands
from workloads.passes import PassStep, list_passes
from workloads.pruners.table import NORMAL
from workloads.shapes import Step
from workloads.words import list_words
from workloads.workload import make_workload

TORCH_FOLDER = str(Path(torch.__file__).parent)
PLAIN_AXES = (2, 3, 4)
FinishRecording = Callable[[GradientPruner | None], CapturedRecording]


@dataclass(frozen=True, eq=False)
class HeldOperands:
    """What a layer that the accelerator executes met in the forward pass.

    Attributes:
        wanted: Whether gradients to the input and to the weight are wanted.
        parameter: What tells the model's parameter from others that the weight is, or is a part of; None of another
            tensor.
    """

    input: Float32Array
    weight: Float32Array
    bias: Float32Array | None
    wanted: tuple[bool, bool]
    parameter: tuple[int, int, int] | None


def hold_operands(call: LayerCall, output: Tensor) -> HeldOperands:
    """Copy what a layer reads, in the number format in which it was multiplied, which autocast may have chosen."""
    factor = call.inputs[1] if call.weight is None else call.weight
    input, weight = (to_float32(one.detach().to(output.dtype)) for one in (call.inputs[0], factor))
    bias = None if call.bias is None else to_float32(call.bias.detach().to(output.dtype))
    wanted = call.inputs[0].requires_grad, factor.requires_grad
    return HeldOperands(input, weight, bias, wanted, find_parameter(factor))


def find_parameter(weight: Tensor) -> tuple[int, int, int] | None:
    """Tell which of the model's parameters, or which part of one, a weight is."""
    owner = weight if weight._base is None else weight._base
    return (id(owner), weight.storage_offset(), weight.numel()) if isinstance(owner, torch.nn.Parameter) else None


def record_training(
    model: Any, images: Any, loss: Callable[[Any], Any], *, layers: str, name: str | None
) -> CapturedRecording:
    """Record a pass, as `workloads.capture.capture` says."""
    label = name or name_workload(model)
    check_arguments(model, images, loss, label)
    paths = ModulePaths(TORCH_FOLDER)
    observer = GraphObserver(paths, hold_operands)
    taker = GradientTaker()
    with keeping_state(model), paths.watching(model):
        value = run_forward(model, images, loss, observer, label)
        finish = plan_whole(observer, value, images, taker, label) if layers == "*" else None
        finish = finish or plan_part(observer, images, taker, layers, label)
        try:
            with telling_failure(f"{label}: the backward pass", TORCH_FOLDER):
                value.backward()
        finally:
            taker.leave()
    return finish(find_pruner(model))


def plan_whole(
    observer: GraphObserver, value: Tensor, images: Tensor, taker: GradientTaker, label: str
) -> FinishRecording:
    """Make a network of all that was seen, and watch its gradients; give what is left to do behind the backward pass.

    Raises:
        InputError: it is no network.
    """
    found = observer.find(value)
    ends = find_ends(observer.graph, None if found is None else found.shares or {found.name: 1.0})
    if not ends.names:
        raise InputError(f"{label}: the loss does not depend on what the model makes of its images")
    form = make_graph_form(observer.graph, ends, images.shape, label)
    data = describe_origin(form.describe(label))
    network = make_workload(YamlDocument(f"the recording of {label}", data), Path()).network
    compare_shapes(form, network, label)
    taker.watch(network, form.seen)

    def finish(pruner: GradientPruner | None) -> CapturedRecording:
        operands = tuple(join_operands(network, form, taker, label))
        names = [node.name for node in network.nodes]
        described = {"first_layer_gta": bool(images.requires_grad)} | describe_steps(
            operands, [one.layer for one in operands if network.node(one.layer).inputs[0] in network.trained]
        )
        notices = (*form.notices, *tell_shared(form.seen.values()), *tell_frozen(network, form))
        return CapturedRecording(data | {"operands": described | describe_pruning(pruner, names)}, operands, notices)

    return finish


def plan_part(
    observer: GraphObserver, images: Tensor, taker: GradientTaker, pattern: str, label: str
) -> FinishRecording:
    """Make a list of the chosen layers, and watch their gradients; give what is left to do behind the backward pass.

    Raises:
        InputError: no layer is chosen.
    """
    graph = observer.graph
    chosen = choose_part(graph, pattern, label)
    data = describe_origin({"name": label, "batch": int(images.shape[0]), "layers": make_part_layers(graph, chosen)})
    network = make_workload(YamlDocument(f"the recording of {label}", data), Path()).network
    taker.watch_outputs(chosen)

    def finish(pruner: GradientPruner | None) -> CapturedRecording:
        refuse_missing(chosen, taker, label)
        operands = []
        for seen in chosen:
            made = make_operands(network, seen, taker, label)
            operands.append(dataclasses.replace(made, mask=make_part_mask(graph.layers, seen, made.input)))
        described = describe_steps(operands, [one.layer for one in operands])
        notices = ["passes, and gradients that are summed where branches meet, are left out of a part"]
        notices += tell_shared(chosen)
        if pruner is not None:
            notices.append("a part does not say how its gradients were pruned, so that the PPU prunes nothing")
        return CapturedRecording(data | {"operands": described}, tuple(operands), tuple(notices))

    return finish


def check_arguments(model: Any, images: Any, loss: Any, label: str) -> None:
    """Refuse what is no model, no batch of images or no loss.

    Raises:
        InputError: names it, and what is needed.
    """
    if not isinstance(model, torch.nn.Module):
        raise InputError(f"capture needs a torch.nn.Module, got {type(model).__name__}")
    if isinstance(model, torch.jit.ScriptModule) or hasattr(model, "_orig_mod"):
        raise InputError(f"{label} is compiled; capture needs the model as it was before")
    if not isinstance(images, torch.Tensor):
        raise InputError(f"{label}: images must be a torch.Tensor, got {type(images).__name__}")
    if images.dim() not in PLAIN_AXES or not images.numel():
        raise InputError(
            f"{label}: images must have the shape (N, C, H, W), (N, C, L) or (N, F), got {tuple(images.shape)}"
        )
    if not images.dtype.is_floating_point:
        raise InputError(f"{label}: images must be floats, got {images.dtype}")
    if not callable(loss):
        raise InputError(f"{label}: the loss must be a callable of what the model gives out, got {type(loss).__name__}")
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise InputError(f"{label} has no parameter that is trained, so that there is no iteration to record")


def run_forward(model: Any, images: Tensor, loss: Callable[[Any], Any], observer: GraphObserver, label: str) -> Tensor:
    """Run the model and the loss under an observer; give the loss."""
    observer.track(images, INPUT)
    with observer:
        with telling_failure(f"{label}: the model", TORCH_FOLDER):
            outputs = model(images)
        observer.in_loss = True
        with telling_failure(f"{label}: the loss", TORCH_FOLDER):
            value = loss(outputs)
    if not isinstance(value, torch.Tensor) or value.numel() != 1 or not value.requires_grad:
        got = f"a tensor of shape {tuple(value.shape)}" if isinstance(value, torch.Tensor) else type(value).__name__
        raise InputError(f"{label}: the loss must give a tensor of one number that has a gradient, got {got}")
    return value


def describe_origin(data: dict[str, Any]) -> dict[str, Any]:
    """Say of a workload's YAML form where it is from."""
    origin = f"Recorded from a model of torch {torch.__version__}."
    return {"name": data["name"], "description": origin, **data}


def join_operands(network: Network, form: GraphForm, taker: GradientTaker, label: str) -> Iterator[Operands]:
    """Put together what the passes told of each layer that the accelerator executes.

    Raises:
        InputError: no gradient came to some of them.
    """
    refuse_missing([form.seen[node.name] for node in network.compute_nodes()], taker, label)
    for node in network.compute_nodes():
        made = make_operands(network, form.seen[node.name], taker, label)
        stored: dict[str, Any] = {}
        if Step.GTA in made.steps:
            stored["summed"] = list_stored(network, node, 0, made.input, taker)
        if made.shape.weighs_activations and Step.GTW in made.steps:
            stored["weight_summed"] = list_stored(network, node, 1, made.weight, taker)
        yield dataclasses.replace(made, **stored)


def list_steps(seen: SeenLayer) -> tuple[Step, ...]:
    """List the steps that a layer had: a gradient to an input or a weight only where autograd wanted one."""
    has = dict(zip((Step.GTA, Step.GTW), seen.operands.wanted, strict=True))
    return tuple(step for step in Step if has.get(step, True))


def describe_steps(operands: Iterable[Operands], with_gta: Iterable[str]) -> dict[str, Any]:
    """Give the steps that layers have not, in their YAML form.

    Args:
        with_gta: The layers that have a GTA unless it is said that they have none.
    """
    expected, made = set(with_gta), tuple(operands)
    lacking = {
        "without_gta": [one.layer for one in made if Step.GTA not in one.steps and one.layer in expected],
        "without_gtw": [one.layer for one in made if Step.GTW not in one.steps],
    }
    return {field: names for field, names in lacking.items() if names}


def tell_shared(layers: Iterable[SeenLayer]) -> list[str]:
    """Say which layers share a weight."""
    users: dict[tuple[int, int, int], list[str]] = {}
    for seen in layers:
        if seen.operands is not None and seen.operands.parameter is not None:
            users.setdefault(seen.operands.parameter, []).append(seen.name)
    return [
        f"{list_words(names)} share one weight: each has a GTW of its own here, and the sum of what they give is not "
        "counted"
        for names in users.values()
        if len(names) > 1
    ]


def tell_frozen(network: Network, form: GraphForm) -> list[str]:
    """Say which backward passes a model did not do, and a run counts, since layers before are not trained."""
    ends = {name for name, seen in form.seen.items() if seen.output is None}
    counted = dict.fromkeys(
        made.node for made in list_passes(network) if made.step is PassStep.BACKWARD and made.node in ends
    )
    if not counted:
        return []
    return [f"no gradient comes to {list_words(counted)}, whose backward passes are counted all the same"]


def refuse_missing(layers: Iterable[SeenLayer], taker: GradientTaker, label: str) -> None:
    """Refuse layers to which no gradient came.

    Raises:
        InputError: names them all.
    """
    missing = [seen for seen in layers if seen.name not in taker.outputs and list_steps(seen) != (Step.FORWARD,)]
    refuse_faults([f"{seen.place}: the backward pass hands '{seen.name}' no gradient" for seen in missing], label)


def make_operands(network: Network, seen: SeenLayer, taker: GradientTaker, label: str) -> Operands:
    """Put together a layer's tensors, without those of its neighbours; a gradient that no step reads is zero.

    Raises:
        InputError: one is not finite.
    """
    held, shape, steps = seen.operands, network.layer_shape(seen.name), list_steps(seen)
    if steps == (Step.FORWARD,):
        grad_output = np.zeros(shape.output_shape, np.float32)
    else:
        grad_output = to_float32(taker.outputs[seen.name])
    for tensor, values in (("input", held.input), ("weight", held.weight), ("gradient", grad_output)):
        if not np.isfinite(values).all():
            raise InputError(f"{label}: the {tensor} of '{seen.name}' is not finite")
    return Operands(
        seen.name, shape, fit(held.input, shape.input_shape), fit(held.weight, shape.weight_shape), held.bias,
        grad_output.reshape(shape.output_shape), None, steps,
    )  # fmt: skip


def fit(values: Float32Array, shape: tuple[int, ...]) -> Float32Array:
    """Give a tensor the shape that a layer has; a trained factor of a product is the same for every image."""
    if values.size == prod(shape):
        return values.reshape(shape)
    return np.ascontiguousarray(np.broadcast_to(values, shape))


def list_stored(
    network: Network, node: Node, number: int, read: Float32Array, taker: GradientTaker
) -> tuple[Float32Array, ...]:
    """Give what a layer adds to the gradient to what it reads; behind a ReLU all but an add's own are masked."""
    source = node.inputs[number]
    mask = make_mask(network, node.name, read, source)
    gradients = []
    for name, gradient in taker.list_summed(network, node, number):
        values = to_float32(gradient)
        is_add = name != source and network.node(name).layer.traits.sums_inputs
        gradients.append(values if mask is None or is_add else values * mask)
    return tuple(gradients)


def describe_pruning(pruner: GradientPruner | None, names: Iterable[str]) -> dict[str, Any]:
    """Give the thresholds and keys of a training that prunes, in their YAML form and the order of the layers' names."""
    if pruner is None or pruner.last is None:
        return {}
    batch = pruner.last
    return {
        "pruning": {
            "seed": pruner.seed,
            "iteration": batch.iteration,
            "rate": pruner.rate,
            **({} if pruner.model == NORMAL else {"model": pruner.model}),
            "thresholds": {name: batch.prunings[name].threshold for name in names if name in batch.prunings},
        }
    }


@contextmanager
def keeping_state(model: Any) -> Iterator[None]:
    """Leave a model's gradients and buffers, and thresholds of its pruning, as they were."""
    grads = [(parameter, parameter.grad) for parameter in model.parameters()]
    buffers = [(buffer, buffer.detach().clone()) for buffer in model.buffers()]
    pruner = find_pruner(model)
    state = None if pruner is None else pruner.state
    iteration = 0 if pruner is None else pruner.iteration
    for parameter, _ in grads:
        parameter.grad = None
    try:
        yield
    finally:
        for parameter, grad in grads:
            parameter.grad = grad
        with torch.no_grad():
            for buffer, values in buffers:
                buffer.copy_(values)
        if pruner is not None and state is not None:
            pruner.state, pruner.iteration = state, iteration
