"""Random networks with branches, and losses in their midst, on images ``(3, 2, 6, 5)``."""

from __future__ import annotations

from typing import Any

import numpy as np
from pydantic import TypeAdapter

from workloads.kinds import Layer
from workloads.network import Network, build_network

LAYERS: TypeAdapter[list[Layer]] = TypeAdapter(list[Layer])
INPUT_SHAPE = (3, 2, 6, 5)
CLASSES = 3
STEPS = 9
# Layers that keep the shape of every image that has them, with their fields.
ACTIVATIONS: dict[str, dict[str, Any]] = {
    "leaky_relu": {"negative_slope": 0.2},
    "prelu": {"per_channel": True},
    "sigmoid": {},
    "tanh": {},
    "hard_sigmoid": {},
    "hard_swish": {},
    "silu": {},
    "gelu": {},
    "softmax": {"axis": 1},
    "relu6": {},
}
NORMS: dict[str, dict[str, Any]] = {
    "layer_norm": {"axes": 3},
    "group_norm": {"groups": 1},
    "instance_norm": {"affine": True},
    "local_response_norm": {"size": 3, "alpha": 0.5},
}


class _Graph:
    """A network in the making: its layers, and the shape of every output that a later layer may read."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng([seed, 4])
        self.layers: list[dict[str, Any]] = []
        self.shapes: dict[str, tuple[int, ...]] = {"input": INPUT_SHAPE}

    def add(self, kind: str, inputs: list[str], **fields: Any) -> str:
        """Add a layer and note the shape of its output."""
        name = f"{kind}{len(self.layers)}"
        self.layers.append({"name": name, "type": kind, "inputs": inputs, **fields})
        made = build_network("net", INPUT_SHAPE, LAYERS.validate_python(self._list_ancestors(name)))
        self.shapes[name] = made.node(name).output_shape
        return name

    def _list_ancestors(self, end: str) -> list[dict[str, Any]]:
        """List a layer and what it depends on: a network that ends in it."""
        wanted: set[str] = {end}
        kept: list[dict[str, Any]] = []
        for layer in reversed(self.layers):
            if layer["name"] in wanted:
                kept.append(layer)
                wanted.update(layer["inputs"])
        return kept[::-1]

    def choose(self) -> str:
        """Choose what is read: mostly a recent output, sometimes any."""
        names = list(self.shapes)
        return names[-1] if self.rng.random() < 0.5 else str(self.rng.choice(names[1:] or names))

    def grow(self) -> None:
        """Add a layer of a random kind to a random output."""
        kinds = [
            "conv2d",
            "relu",
            "pool",
            "dropout",
            "batch_norm",
            "join",
            "join",
            "conv2d",
            "activation",
            "activation",
            "norm",
            "rearrangement",
            "rearrangement",
        ]
        kind = str(self.rng.choice(kinds))
        source = self.choose()
        height, width = self.shapes[source][2:]
        if kind == "conv2d":
            kernel = [int(self.rng.integers(1, min(size, 3) + 1)) for size in (height, width)]
            fields = {"bias": bool(self.rng.random() < 0.5), "groups": 1, "padding": [size // 2 for size in kernel]}
            channels = 2 * int(self.rng.integers(1, 3))
            if self.shapes[source][1] % 2 == 0:
                fields["groups"] = int(self.rng.integers(1, 3))
            stride = int(self.rng.choice([1, 1, 1, 2]))
            if stride == 2 and height * width < 40:
                self.add("conv_transpose2d", [source], out_channels=channels, kernel=kernel, stride=stride, **fields)
                return
            self.add("conv2d", [source], out_channels=channels, kernel=kernel, stride=stride, **fields)
        elif kind == "pool":
            self._pool(source)
        elif kind == "join":
            self._join(source)
        elif kind == "activation":
            chosen = str(self.rng.choice(list(ACTIVATIONS)))
            self.add(chosen, [source], **ACTIVATIONS[chosen])
        elif kind == "rearrangement":
            self._rearrange(source)
        elif kind == "norm":
            # Of rows of one value a norm leaves nothing.
            values = {"instance_norm": height * width} | dict.fromkeys(
                ("layer_norm", "group_norm"), self.shapes[source][1] * height * width
            )
            chosen = str(self.rng.choice([norm for norm in NORMS if values.get(norm, 2) > 1]))
            self.add(chosen, [source], **NORMS[chosen])
        else:
            self.add(kind, [source], **({"rate": 0.3} if kind == "dropout" else {}))

    def _rearrange(self, source: str) -> None:
        """Move elements, take a part, scale or resample what is there."""
        channels, _, width = self.shapes[source][1:]
        ways = ["transpose", "reshape", "shuffle", "split", "scale", "gate", "upsample", "adaptive"]
        chosen = str(self.rng.choice(ways))
        if chosen == "transpose":
            self.add("transpose", [source], axes=[1, 3, 2])
        elif chosen == "reshape":
            self.add("reshape", [source], shape=[channels, width, -1])
        elif chosen == "shuffle" and channels % 4 == 0:
            self.add("pixel_shuffle", [source], upscale=2)
        elif chosen == "shuffle":
            self.add("channel_shuffle", [source], groups=2 - channels % 2)
        elif chosen == "upsample" and width < 12:
            mode = str(self.rng.choice(["nearest", "bilinear"]))
            self.add("upsample", [source], scale=[1, 2], mode=mode)
        elif chosen == "adaptive":
            self.add("adaptive_avg_pool", [source], output=[2, 3])
        elif chosen == "split" and channels > 1:
            self.add("split", [source], sizes=[1, channels - 1], part=int(self.rng.integers(2)))
        elif chosen == "scale":
            scale = self.add("parameter", [], shape=[channels, 1, 1])
            self.add(str(self.rng.choice(["multiply", "subtract", "add"])), [source, scale])
        else:
            gate = self.add("sigmoid", [self.add("global_avg_pool", [source])])
            self.add(str(self.rng.choice(["multiply", "add"])), [source, gate])

    def _pool(self, source: str) -> None:
        kernel = min(2 + int(self.rng.integers(2)), *self.shapes[source][2:])
        stride, padding = int(self.rng.integers(1, 3)), int(self.rng.integers(0, kernel // 2 + 1))
        if self.rng.random() < 0.5:
            self.add("avg_pool", [source], kernel=kernel, stride=stride, padding=padding)
        else:
            ceil_mode = bool(self.rng.random() < 0.5)
            self.add("max_pool", [source], kernel=kernel, stride=stride, padding=padding, ceil_mode=ceil_mode)

    def _join(self, source: str) -> None:
        """Add, multiply as matrices or concatenate two outputs of one size; where there are none, make a second one."""
        shape = self.shapes[source]
        same = [name for name, other in self.shapes.items() if other[2:] == shape[2:] and name not in (source, "input")]
        other = str(self.rng.choice(same)) if same else self.add("batch_norm", [source])
        draw = self.rng.random() if self.shapes[other] == shape else 1
        if 0.5 < draw < 0.7:
            factor = source if self.rng.random() < 0.4 else other
            self.add("matmul", [source, factor], transpose_b=True, scale=0.1)
        else:
            self.add("add" if draw < 0.7 else "concat", [source, other])


def add_losses(graph: _Graph) -> None:
    """Add none, one or two losses on outputs of enough channels, which others read too."""
    rng = np.random.default_rng(graph.rng.integers(0, 2**32, 2))
    wide = [name for name, shape in graph.shapes.items() if len(shape) == 4 and shape[1] >= CLASSES]
    scores = [str(rng.choice(wide))] * 2 if rng.random() < 0.5 else [str(name) for name in rng.choice(wide, 2)]
    for number in range(int(rng.integers(0, 3))):
        kind = str(rng.choice(["softmax_cross_entropy", "mean_squared_error", "binary_cross_entropy"]))
        loss = {"name": f"aux{number}", "type": kind, "inputs": [scores[number]], "weight": 0.5 + number}
        graph.layers.insert(int(rng.integers(0, len(graph.layers) + 1)), loss)


def make_random_network(seed: int) -> Network:
    """Make the network of a seed: every output that nobody reads is averaged, and a classifier joins them all."""
    graph = _Graph(seed)
    graph.add("conv2d", ["input"], out_channels=4, kernel=3, padding=1)
    for _ in range(STEPS):
        graph.grow()
    read = {name for layer in graph.layers for name in layer["inputs"]}
    ends = [name for name in graph.shapes if name not in read and name != "input"]
    means = [graph.add("global_avg_pool", [end]) for end in ends]
    joined = graph.add("concat", means) if len(means) > 1 else means[0]
    scores = graph.add("linear", [graph.add("flatten", [joined])], out_features=CLASSES)
    graph.layers.append({"name": "loss", "type": "softmax_cross_entropy", "inputs": [scores]})
    add_losses(graph)
    return build_network("net", INPUT_SHAPE, LAYERS.validate_python(graph.layers))
