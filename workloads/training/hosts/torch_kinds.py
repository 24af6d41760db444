"""The layer kinds in torch, in forms that its automatic differentiation gives the reference's gradients for.

At borders the gradients are the reference's: none at zero of a ReLU and at what is clipped, the negative slope at zero
of a leaky one, and that of a maximum to the first of equal ones. A kind without a form here is run by its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add, mul
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from workloads.kinds import KINDS, LayerBase
from workloads.kinds.execution import Gradients, Place
from workloads.kinds.window_fields import resolve_pair
from workloads.reference.elementwise import align_shape, draw_dropout_mask
from workloads.reference.pooling import PoolWindow
from workloads.shapes import ConvShape

Tensor = Any
Tensors = Mapping[str, Tensor]
functional: Any = torch.nn.functional


@dataclass(frozen=True, eq=False)
class TorchPlace:
    """What a layer has to know of its surroundings.

    Attributes:
        running: Its running statistics, by name.
        momentum: With which they are changed in their place, to follow those of the batch; None where the network is
            evaluated.
        seed: Key of its random draws.
        iteration: Key of its random draws.
    """

    running: Tensors
    momentum: float | None
    needs_grad_input: bool = True
    seed: int = 0
    iteration: int = 0


Form = Callable[[Any, Sequence[Tensor], Tensors, TorchPlace], Tensor]


def run_layer(layer: LayerBase, inputs: Sequence[Tensor], own: Tensors, place: TorchPlace) -> Tensor:
    """Compute a layer's output; what is handed back to its inputs and parameters is the reference's."""
    form = FORMS.get(layer.type) if type(layer) is KINDS.get(layer.type) else None
    output = (form or run_in_numpy)(layer, inputs, own, place)
    # A hook on an output must not be one on what it was made of.
    return output.view_as(output) if any(output is one for one in inputs) else output


def to_tensor(array: NDArray[Any], device: Any = "cpu") -> Tensor:
    """Give an array as a tensor, which shares its memory where it can."""
    return torch.from_numpy(np.require(array, requirements=["C", "W"])).to(device)


def to_array(tensor: Tensor) -> NDArray[Any]:
    """Give a tensor as an array, which shares its memory where it can."""
    array: NDArray[Any] = tensor.detach().contiguous().cpu().numpy()
    return array


class NumpyLayer(torch.autograd.Function):  # type: ignore[misc]
    """A layer that runs by itself, in numpy."""

    @staticmethod
    def forward(
        ctx: Any, run: Callable[[list[NDArray[Any]]], tuple[NDArray[Any], Any]], device: Any, *tensors: Tensor
    ) -> Tensor:
        """Compute the output of inputs and parameters."""
        output, ctx.hand_back = run([to_array(tensor) for tensor in tensors])
        ctx.device = device
        return to_tensor(output, device)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Hand the gradient back."""
        handed = ctx.hand_back(to_array(gradient))
        return None, None, *(None if one is None else to_tensor(one, ctx.device) for one in handed)


def run_in_numpy(layer: LayerBase, inputs: Sequence[Tensor], own: Tensors, place: TorchPlace) -> Tensor:
    """Let a layer run by itself, in numpy."""
    is_evaluated = place.momentum is None
    statistics = {name: to_array(values) for name, values in place.running.items()} if is_evaluated else None

    def follow(name: str, values: NDArray[Any]) -> None:
        place.running[name].lerp_(to_tensor(values, place.running[name].device), place.momentum)

    numpy_place = Place(
        needs_grad_input=place.needs_grad_input, output_is_kept=False, seed=place.seed, iteration=place.iteration,
        statistics=statistics, note=follow,
    )  # fmt: skip

    def run(arrays: list[NDArray[Any]]) -> tuple[NDArray[Any], Any]:
        read, parameters = arrays[: len(inputs)], dict(zip(own, arrays[len(inputs) :], strict=True))
        output, backward = layer.run(read, parameters, numpy_place)

        def hand_back(gradient: NDArray[Any]) -> list[NDArray[Any] | None]:
            found: Gradients = backward(gradient)
            return [*found.inputs, *(found.parameters[name] for name in own)]

        return output, hand_back

    return NumpyLayer.apply(run, inputs[0].device, *inputs, *own.values())


class ForkedLayer(torch.autograd.Function):  # type: ignore[misc]
    """A layer whose GTA reads another gradient than its GTW."""

    @staticmethod
    def forward(
        ctx: Any, run: Callable[[list[Tensor]], Tensor], change: Callable[[Tensor], Tensor], *tensors: Tensor
    ) -> Tensor:
        """Compute the output of inputs and parameters, apart from what they were made of."""
        copies = [tensor.detach().requires_grad_(tensor.requires_grad) for tensor in tensors]
        with torch.enable_grad():
            output = run(copies)
        ctx.change, ctx.copies, ctx.output = change, copies, output
        return output.detach()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Hand the changed gradient back to the first input, and the gradient itself to all others."""
        first, others = ctx.copies[0], [one for one in ctx.copies[1:] if one.requires_grad]
        (share,) = torch.autograd.grad(ctx.output, first, ctx.change(gradient), retain_graph=bool(others))
        shares = iter(torch.autograd.grad(ctx.output, others, gradient) if others else ())
        return None, None, share, *(next(shares) if one.requires_grad else None for one in ctx.copies[1:])


def run_forked(
    layer: LayerBase, inputs: Sequence[Tensor], own: Tensors, place: TorchPlace, change: Callable[[Tensor], Tensor]
) -> Tensor:
    """Compute a layer's output; the gradient to its first input is made of what the gradient is changed to."""

    def run(tensors: list[Tensor]) -> Tensor:
        read, parameters = tensors[: len(inputs)], dict(zip(own, tensors[len(inputs) :], strict=True))
        return run_layer(layer, read, parameters, place)

    return ForkedLayer.apply(run, change, *inputs, *own.values())


def convolve(layer: Any, inputs: Sequence[Tensor], own: Tensors, _: TorchPlace) -> Tensor:
    """Convolve images, or signals of one row."""
    (input,) = inputs
    geometry: ConvShape = layer.infer_geometry(tuple(input.shape))
    top, left, bottom, right = geometry.padding
    padding = (top, left)
    if (top, left) != (bottom, right):
        input, padding = functional.pad(input, (left, right, top, bottom)), (0, 0)
    return functional.conv2d(
        input, own["weight"], own.get("bias"), geometry.stride, padding, geometry.dilation, geometry.groups
    )


def convolve_transposed(layer: Any, inputs: Sequence[Tensor], own: Tensors, _: TorchPlace) -> Tensor:
    """Convolve transposed, and cut off what lies in the padding."""
    (input,) = inputs
    conv: ConvShape = layer.infer_geometry(tuple(input.shape)).conv
    top, left, bottom, right = conv.padding
    extra = resolve_pair(layer.output_padding)
    whole = functional.conv_transpose2d(
        input, own["weight"], own.get("bias"), conv.stride, 0, extra, conv.groups, conv.dilation
    )
    return whole[:, :, top : whole.shape[2] - bottom, left : whole.shape[3] - right]


def multiply_matrices(layer: Any, inputs: Sequence[Tensor], _own: Tensors, _place: TorchPlace) -> Tensor:
    """Multiply matrices and scale the product."""
    first, second = inputs
    product = (first.mT if layer.transpose_a else first) @ (second.mT if layer.transpose_b else second)
    return product if layer.scale == 1 else product * layer.scale


def fit_windows(input: Tensor, window: PoolWindow, value: float) -> Tensor:
    """Pad an image, or cut it, to what its windows span."""
    (P, Q), (height, width) = window.output_size(*input.shape[2:]), window.reach
    top, left = window.padding[:2]
    bottom = (P - 1) * window.stride[0] + height - top - input.shape[2]
    right = (Q - 1) * window.stride[1] + width - left - input.shape[3]
    return functional.pad(input, (left, right, top, bottom), value=value)


def pool_by_maximum(layer: Any, inputs: Sequence[Tensor], _own: Tensors, _place: TorchPlace) -> Tensor:
    """Take the maxima."""
    (input,) = inputs
    window: PoolWindow = layer.window_on(tuple(input.shape))
    if any(window.padding) or window.ceil_mode:
        input = fit_windows(input, window, -np.inf)
    return functional.max_pool2d(input, window.kernel, window.stride, 0, window.dilation)


def pool_by_mean(layer: Any, inputs: Sequence[Tensor], _own: Tensors, _place: TorchPlace) -> Tensor:
    """Take the means."""
    (input,) = inputs
    window: PoolWindow = layer.window_on(tuple(input.shape))
    if not any(window.padding) and not window.ceil_mode:
        return functional.avg_pool2d(input, window.kernel, window.stride)
    taps = to_tensor(window.count_taps(*input.shape[2:]).astype(np.float32), input.device)
    fitted = fit_windows(input, window, 0.0)
    return functional.avg_pool2d(fitted, window.kernel, window.stride, divisor_override=1) / taps


def scale_up(layer: Any, inputs: Sequence[Tensor], _own: Tensors, _place: TorchPlace) -> Tensor:
    """Repeat or interpolate neighbours."""
    factors = tuple(float(scale) for scale in resolve_pair(layer.scale))
    corners = {"align_corners": layer.align_corners} if layer.mode == "bilinear" else {}
    return functional.interpolate(inputs[0], scale_factor=factors, mode=layer.mode, **corners)


def drop(layer: Any, inputs: Sequence[Tensor], _own: Tensors, place: TorchPlace) -> Tensor:
    """Drop what the reference drops."""
    (input,) = inputs
    if place.momentum is None:
        return input
    kept = draw_dropout_mask(
        tuple(input.shape), layer.rate, seed=place.seed, layer=layer.name, iteration=place.iteration
    )
    return input * to_tensor(kept, input.device) * (1 / (1 - layer.rate))


def normalise_batch(layer: Any, inputs: Sequence[Tensor], own: Tensors, place: TorchPlace) -> Tensor:
    """Normalise with the statistics of the batch, which running ones follow, or with those."""
    (input,) = inputs
    is_trained = place.momentum is not None
    if is_trained and input.numel() == input.shape[1]:
        # Of single values torch has no variance.
        return run_in_numpy(layer, inputs, own, place)
    return functional.batch_norm(
        input, place.running["mean"], place.running["variance"], own["scale"], own["shift"], is_trained,
        0.0 if place.momentum is None else place.momentum, layer.epsilon,
    )  # fmt: skip


def align(inputs: Sequence[Tensor]) -> list[Tensor]:
    """Give tensors as many axes as the one that has most."""
    axes = max(input.ndim for input in inputs)
    return [input.reshape(align_shape(tuple(input.shape), axes)) for input in inputs]


def select_part(layer: Any, inputs: Sequence[Tensor], _own: Tensors, _place: TorchPlace) -> Tensor:
    """Select a part."""
    axis, places = layer.locate_part()
    return inputs[0].narrow(axis, places.start, len(places))


def affine(own: Tensors) -> tuple[Tensor | None, Tensor | None]:
    """Give scale and shift, where there are any."""
    return own.get("scale"), own.get("shift")


FORMS: dict[str, Form] = {
    "conv2d": convolve,
    "conv1d": convolve,
    "conv_transpose2d": convolve_transposed,
    "linear": lambda _, inputs, own, __: functional.linear(inputs[0], own["weight"], own.get("bias")),
    "matmul": multiply_matrices,
    "relu": lambda _, inputs, *__: inputs[0].relu(),
    "relu6": lambda _, inputs, *__: functional.relu6(inputs[0]),
    "leaky_relu": lambda layer, inputs, *_: functional.leaky_relu(inputs[0], layer.negative_slope),
    "prelu": lambda _, inputs, own, __: functional.prelu(inputs[0], own["slope"]),
    "sigmoid": lambda _, inputs, *__: inputs[0].sigmoid(),
    "tanh": lambda _, inputs, *__: inputs[0].tanh(),
    "hard_sigmoid": lambda _, inputs, *__: functional.hardsigmoid(inputs[0]),
    # By the product rule its derivative is 0 and 1 at the two borders, whichever torch's own gives there.
    "hard_swish": lambda _, inputs, *__: inputs[0] * functional.hardsigmoid(inputs[0]),
    "silu": lambda _, inputs, *__: functional.silu(inputs[0]),
    "gelu": lambda layer, inputs, *_: functional.gelu(inputs[0], approximate=layer.approximate),
    "softmax": lambda layer, inputs, *_: inputs[0].softmax(layer.axis),
    "max_pool": pool_by_maximum,
    "avg_pool": pool_by_mean,
    "global_avg_pool": lambda _, inputs, *__: inputs[0].mean((2, 3), keepdim=True),
    "adaptive_avg_pool": lambda layer, inputs, *_: functional.adaptive_avg_pool2d(
        inputs[0], resolve_pair(layer.output)
    ),
    "upsample": scale_up,
    "flatten": lambda layer, inputs, *_: inputs[0].flatten(layer.start_axis),
    "reshape": lambda layer, inputs, *_: inputs[0].reshape(len(inputs[0]), *layer.shape),
    "transpose": lambda layer, inputs, *_: inputs[0].permute(0, *layer.axes),
    "channel_shuffle": lambda layer, inputs, *_: functional.channel_shuffle(inputs[0], layer.groups),
    "pixel_shuffle": lambda layer, inputs, *_: functional.pixel_shuffle(inputs[0], layer.upscale),
    "split": select_part,
    "dropout": drop,
    "batch_norm": normalise_batch,
    "layer_norm": lambda layer, inputs, own, _: functional.layer_norm(
        inputs[0], inputs[0].shape[-layer.axes :], *affine(own), layer.epsilon
    ),
    "group_norm": lambda layer, inputs, own, _: functional.group_norm(
        inputs[0], layer.groups, *affine(own), layer.epsilon
    ),
    "instance_norm": lambda layer, inputs, own, _: functional.instance_norm(
        inputs[0], None, None, *affine(own), eps=layer.epsilon
    ),
    "local_response_norm": lambda layer, inputs, *_: functional.local_response_norm(
        inputs[0], layer.size, layer.alpha, layer.beta, layer.k
    ),
    "add": lambda _, inputs, *__: reduce(add, align(inputs)),
    "subtract": lambda _, inputs, *__: align(inputs)[0] - align(inputs)[1],
    "multiply": lambda _, inputs, *__: reduce(mul, align(inputs)),
    "concat": lambda layer, inputs, *_: torch.cat(list(inputs), layer.axis),
    "parameter": lambda _, inputs, own, __: own["value"].expand(len(inputs[0]), *own["value"].shape),
}
