"""What torch computes for layers, and the comparison with it of those that keep the shape of their one input."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from peers import import_peer
from pydantic import TypeAdapter

from workloads.kinds import Layer
from workloads.kinds.execution import Place
from workloads.kinds.window_fields import resolve_pair

torch = import_peer("torch")
functional: Any = torch.nn.functional

LAYER: TypeAdapter[Layer] = TypeAdapter(Layer)
PLACE = Place(needs_grad_input=True, output_is_kept=False, seed=1, iteration=0)


def rename(own: Mapping[str, Any]) -> dict[str, Any]:
    """Give scale and shift, where there are any, the names that torch has for them."""
    return {"weight": own.get("scale"), "bias": own.get("shift")}


# Each is given the layer, its input and its parameters by their names within the layer.
SAME_SHAPE: dict[str, Callable[[Any, Any, Mapping[str, Any]], Any]] = {
    "leaky_relu": lambda layer, x, _: functional.leaky_relu(x, layer.negative_slope),
    "prelu": lambda _, x, own: functional.prelu(x, own["slope"]),
    "sigmoid": lambda _, x, __: x.sigmoid(),
    "tanh": lambda _, x, __: x.tanh(),
    "hard_sigmoid": lambda _, x, __: functional.hardsigmoid(x),
    "hard_swish": lambda _, x, __: functional.hardswish(x),
    "silu": lambda _, x, __: functional.silu(x),
    "gelu": lambda layer, x, _: functional.gelu(x, approximate=layer.approximate),
    "softmax": lambda layer, x, _: x.softmax(layer.axis),
    "layer_norm": lambda layer, x, own: functional.layer_norm(
        x, x.shape[-layer.axes :], **rename(own), eps=layer.epsilon
    ),
    "group_norm": lambda layer, x, own: functional.group_norm(x, layer.groups, **rename(own), eps=layer.epsilon),
    "instance_norm": lambda layer, x, own: functional.instance_norm(x, **rename(own), eps=layer.epsilon),
    "batch_norm": lambda layer, x, own: functional.batch_norm(
        x, None, None, **rename(own), training=True, eps=layer.epsilon
    ),
    "local_response_norm": lambda layer, x, _: functional.local_response_norm(
        x, layer.size, layer.alpha, layer.beta, layer.k
    ),
    "relu6": lambda _, x, __: functional.relu6(x),
}


# Each is given the layer, its inputs and its parameters by their names within the layer.
OTHER_SHAPE: dict[str, Callable[[Any, list[Any], Mapping[str, Any]], Any]] = {
    "split": lambda layer, inputs, _: inputs[0].split(layer.sizes, layer.axis)[layer.part],
    "reshape": lambda layer, inputs, _: inputs[0].reshape(len(inputs[0]), *layer.shape),
    "transpose": lambda layer, inputs, _: inputs[0].permute(0, *layer.axes),
    "channel_shuffle": lambda layer, inputs, _: functional.channel_shuffle(inputs[0], layer.groups),
    "pixel_shuffle": lambda layer, inputs, _: functional.pixel_shuffle(inputs[0], layer.upscale),
    "adaptive_avg_pool": lambda layer, inputs, _: functional.adaptive_avg_pool2d(inputs[0], layer.output),
    "upsample": lambda layer, inputs, _: functional.interpolate(
        inputs[0],
        scale_factor=tuple(float(scale) for scale in resolve_pair(layer.scale)),
        mode=layer.mode,
        **({"align_corners": layer.align_corners} if layer.mode == "bilinear" else {}),
    ),
    "matmul": lambda layer, inputs, _: (
        layer.scale
        * (inputs[0].mT if layer.transpose_a else inputs[0])
        @ (inputs[1].mT if layer.transpose_b else inputs[1])
    ),
    "conv_transpose2d": lambda layer, inputs, own: functional.conv_transpose2d(
        inputs[0],
        own["weight"],
        own.get("bias"),
        stride=layer.stride,
        padding=layer.padding,
        output_padding=layer.output_padding,
        groups=layer.groups,
        dilation=layer.dilation,
    ),
    "multiply": lambda _, inputs, __: inputs[0] * inputs[1],
    "subtract": lambda _, inputs, __: inputs[0] - inputs[1],
    "parameter": lambda _, inputs, own: own["value"].expand(len(inputs[0]), *own["value"].shape),
}


def compare_with_torch(form: dict[str, Any], shape: tuple[int, ...], dtype: Any, tolerance: float) -> None:
    """Compare output and all gradients of a layer on normal numbers; torch sums in another order.

    Gradients, which are made of more roundings, may miss by ten times the tolerance.
    """
    layer = LAYER.validate_python({"name": "one", **form})
    assert layer.infer_output(("before",), (shape,)) == shape
    rng = np.random.default_rng(3)
    input, gradient = (4 * rng.standard_normal(shape).astype(dtype) + dtype(1) for _ in range(2))
    parameters = {
        name: rng.standard_normal(parameter.shape).astype(dtype)
        for name, parameter in layer.list_parameters(shape).items()
    }
    output, backward = layer.run([input], parameters, PLACE)
    handed = backward(gradient)
    leaves = {
        name: torch.from_numpy(array.copy()).requires_grad_() for name, array in {"": input, **parameters}.items()
    }
    expected = SAME_SHAPE[layer.type](layer, leaves[""], leaves)
    expected.backward(torch.from_numpy(gradient))
    assert output.dtype == dtype
    np.testing.assert_allclose(output, expected.detach().numpy(), rtol=tolerance, atol=tolerance)
    for name, computed in {"": handed.inputs[0], **handed.parameters}.items():
        assert computed is not None
        assert computed.dtype == dtype
        np.testing.assert_allclose(computed, leaves[name].grad.numpy(), rtol=tolerance, atol=10 * tolerance)
