"""Writes a network as an ONNX model with the operators that an exporter of PyTorch uses, and zeros as weights."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
from peers import import_peer

from workloads.host import parameter_shapes
from workloads.network import INPUT, Network, Node

onnx = import_peer("onnx")
FLOAT, OPERATOR_SET = onnx.TensorProto.FLOAT, 17


class _Writer:
    """A graph in the making."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.nodes: list[Any] = []
        self.initializers: list[Any] = []
        self.outputs = {INPUT: "images"}

    def constant(self, name: str, values: Any) -> str:
        """Keep a tensor in the model."""
        self.initializers.append(onnx.numpy_helper.from_array(np.asarray(values), name))
        return name

    def emit(self, operator: str, node: Node, inputs: list[str], tail: str = "", **attributes: Any) -> str:
        """Add an operator and name what it gives out."""
        name = node.name + tail
        self.nodes.append(onnx.helper.make_node(operator, inputs, [f"{name}/out"], name=name, **attributes))
        return f"{name}/out"

    def write(self, node: Node) -> str:
        """Write a layer, and give the name of its output."""
        read = [self.outputs[name] for name in node.inputs]
        kind, layer, shape = node.layer.type, node.layer, node.input_shapes[0]
        own = {name.rpartition("/")[2]: size for name, size in parameter_shapes(self.network).items()
               if name.rpartition("/")[0] == node.name}  # fmt: skip
        weights = [self.constant(f"{node.name}.{name}", np.zeros(size, np.float32)) for name, size in own.items()]
        if kind == "conv2d":
            geometry = layer.infer_geometry(shape)
            return self.emit("Conv", node, [*read, *weights], kernel_shape=[*geometry.weight_shape[2:]],
                             strides=[*geometry.stride], pads=[*geometry.padding], dilations=[*geometry.dilation],
                             group=geometry.groups)  # fmt: skip
        if kind == "linear":
            return self.emit("Gemm", node, [*read, *weights], transB=1)
        if kind == "batch_norm":
            statistics = [self.constant(f"{node.name}.{name}", np.full(shape[1], value, np.float32))
                          for name, value in (("running_mean", 0), ("running_var", 1))]  # fmt: skip
            return self.emit("BatchNormalization", node, [*read, *weights, *statistics], epsilon=layer.epsilon)
        if kind in ("max_pool", "avg_pool"):
            window = layer.window_on(shape)
            more = {"count_include_pad": 1} if kind == "avg_pool" else {}
            return self.emit("MaxPool" if kind == "max_pool" else "AveragePool", node, read,
                             kernel_shape=[*window.kernel], strides=[*window.stride], pads=[*window.padding],
                             ceil_mode=int(window.ceil_mode), **more)  # fmt: skip
        if kind == "relu6":
            ends = [
                self.constant(f"{node.name}.{name}", np.float32(value)) for name, value in (("low", 0), ("high", 6))
            ]
            return self.emit("Clip", node, [*read, *ends])
        if kind == "silu":
            return self.emit("Mul", node, [*read, self.emit("Sigmoid", node, read, "/sigmoid")])
        if kind == "concat":
            return self.emit("Concat", node, read, axis=1)
        if kind == "split":
            sizes = self.constant(f"{node.name}.sizes", np.array(layer.sizes, np.int64))
            names = [f"{node.name}/part{place}" for place in range(len(layer.sizes))]
            self.nodes.append(onnx.helper.make_node("Split", [*read, sizes], names, name=node.name, axis=1))
            return names[layer.part]
        if kind == "channel_shuffle":
            _, C, H, W = shape
            wide = self.constant(f"{node.name}.wide", np.array([shape[0], layer.groups, C // layer.groups, H, W]))
            back = self.constant(f"{node.name}.back", np.array(shape))
            turned = self.emit("Transpose", node, [self.emit("Reshape", node, [*read, wide], "/wide")], "/turned",
                               perm=[0, 2, 1, 3, 4])  # fmt: skip
            return self.emit("Reshape", node, [turned, back])
        plain = {"relu": "Relu", "sigmoid": "Sigmoid", "add": "Add", "multiply": "Mul", "flatten": "Flatten",
                 "global_avg_pool": "GlobalAveragePool", "dropout": "Dropout"}  # fmt: skip
        return self.emit(plain[kind], node, read)


def write_model(network: Network) -> Any:
    """Write a network without its loss as an ONNX model."""
    writer = _Writer(network)
    for node in network.nodes:
        if not node.layer.traits.is_loss:
            writer.outputs[node.name] = writer.write(node)
    (loss,) = network.loss_nodes()
    (scores,) = loss.inputs
    ends = [
        [onnx.helper.make_tensor_value_info(name, FLOAT, list(shape))]
        for name, shape in (("images", network.input_shape), (writer.outputs[scores], loss.input_shapes[0]))
    ]
    graph = onnx.helper.make_graph(writer.nodes, network.name, *ends, writer.initializers)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", OPERATOR_SET)])
    assert sum(prod(tensor.dims) for tensor in writer.initializers)
    return model
