"""A network of the presets' common kinds, trained by torch itself: what the host's speed is compared with."""

from __future__ import annotations

from typing import Any

from workloads.network import INPUT, Network, Node
from workloads.reference.pooling import PoolWindow
from workloads.shapes import ConvShape


class TorchNetwork:
    """A network as torch modules, in training mode.

    Raises:
        TypeError: it has a kind of layer, or a geometry, that is not written down here.
    """

    def __init__(self, network: Network, torch: Any) -> None:
        self._network, self._torch = network, torch
        self._modules = {node.name: self._make_module(node) for node in network.nodes}

    def list_parameters(self) -> list[Any]:
        """List the parameters of all layers."""
        return [one for module in self._modules.values() for one in module.parameters()]

    def find_loss(self, images: Any, labels: Any) -> Any:
        """Run forward to the one loss."""
        values = {INPUT: images}
        for node in self._network.nodes:
            read = [values[name] for name in node.inputs]
            if node.layer.traits.is_loss:
                return self._modules[node.name](read[0], labels)
            if node.layer.type == "add":
                values[node.name] = sum(read[1:], start=read[0])
            elif node.layer.type == "global_avg_pool":
                values[node.name] = read[0].mean((2, 3), keepdim=True)
            else:
                values[node.name] = self._modules[node.name](read[0])
        raise TypeError(f"network '{self._network.name}' has no loss")

    def _make_module(self, node: Node) -> Any:
        layer: Any = node.layer
        modules, shape = self._torch.nn, node.input_shapes[0]
        match layer.type:
            case "conv2d":
                return self._make_conv(layer.infer_geometry(shape), layer.bias)
            case "linear":
                return modules.Linear(shape[-1], layer.out_features, bias=layer.bias)
            case "batch_norm":
                return modules.BatchNorm2d(shape[1], eps=layer.epsilon)
            case "max_pool":
                return self._make_max_pool(layer.window_on(shape))
            case "dropout":
                return modules.Dropout(layer.rate)
            case "relu" | "flatten":
                return {"relu": modules.ReLU, "flatten": modules.Flatten}[layer.type]()
            case "softmax_cross_entropy":
                return modules.CrossEntropyLoss()
            case "add" | "global_avg_pool":
                return modules.Identity()
        raise TypeError(f"layer '{node.name}': {layer.type} is not compared with torch's speed")

    def _make_conv(self, shape: ConvShape, bias: bool) -> Any:
        if (shape.pad_top, shape.pad_left) != (shape.pad_bottom, shape.pad_right):
            raise TypeError("a convolution with other padding at its end is not compared with torch's speed")
        return self._torch.nn.Conv2d(
            shape.in_channels, shape.out_channels, (shape.kernel_height, shape.kernel_width), shape.stride,
            (shape.pad_top, shape.pad_left), shape.dilation, shape.groups, bias,
        )  # fmt: skip

    def _make_max_pool(self, window: PoolWindow) -> Any:
        return self._torch.nn.MaxPool2d(window.kernel, window.stride, window.padding[:2], window.dilation)
