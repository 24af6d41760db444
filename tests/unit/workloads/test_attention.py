"""Attention as presets are made of it: windows as large as the image are plain attention, for loss and gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
from pydantic import TypeAdapter

from workloads.host import FLOAT64, Iteration, initial_parameters, run_iteration
from workloads.kinds import Layer
from workloads.network import build_network

LAYERS: TypeAdapter[list[Layer]] = TypeAdapter(list[Layer])
CHANNELS, SIDE, HEADS = 6, 4, 2
DEPTH, TOKENS = CHANNELS // HEADS, SIDE * SIDE
SCALE = DEPTH**-0.5
QKV: list[dict[str, Any]] = [
    {"name": "stem", "type": "conv2d", "out_channels": CHANNELS, "kernel": 1},
    {"name": "qkv", "type": "conv2d", "out_channels": 3 * CHANNELS, "kernel": 1},
]
ENDING: list[dict[str, Any]] = [
    {"name": "mean", "type": "global_avg_pool"},
    {"name": "flat", "type": "flatten"},
    {"name": "fc", "type": "linear", "out_features": 3},
    {"name": "loss", "type": "softmax_cross_entropy"},
]


def split(tensor: str) -> list[dict[str, Any]]:
    return [
        {"name": name, "type": "split", "inputs": [tensor], "sizes": [1, 1, 1], "part": part}
        for part, name in enumerate(("query", "key", "value"))
    ]


def attend_windows(window: int) -> list[dict[str, Any]]:
    """The first stage of H-MHSA, of windows of so many rows and columns, as in transcnn_tiny and hat_net_tiny."""
    count = SIDE // window
    return [
        {"name": "windows", "type": "reshape", "shape": [3, HEADS, DEPTH, count, window, count, window]},
        {"name": "ordered", "type": "transpose", "axes": [1, 2, 4, 6, 5, 7, 3]},
        {"name": "rows", "type": "reshape", "shape": [3, HEADS * count**2, window**2, DEPTH]},
        *split("rows"),
        {"name": "scores", "type": "matmul", "inputs": ["query", "key"], "transpose_b": True, "scale": SCALE},
        {"name": "attention", "type": "softmax"},
        {"name": "mixed", "type": "matmul", "inputs": ["attention", "value"]},
        {"name": "by_window", "type": "reshape", "shape": [HEADS, count, count, window, window, DEPTH]},
        {"name": "reordered", "type": "transpose", "axes": [1, 6, 2, 4, 3, 5]},
        {"name": "image", "type": "reshape", "shape": [CHANNELS, SIDE, SIDE]},
    ]


def attend_all() -> list[dict[str, Any]]:
    """Attention of all tokens to all, as in the last stage of these presets."""
    return [
        {"name": "heads", "type": "reshape", "shape": [3, HEADS, DEPTH, TOKENS]},
        *split("heads"),
        {"name": "scores", "type": "matmul", "inputs": ["query", "key"], "transpose_a": True, "scale": SCALE},
        {"name": "attention", "type": "softmax"},
        {"name": "mixed", "type": "matmul", "inputs": ["attention", "value"], "transpose_b": True},
        {"name": "by_channel", "type": "transpose", "axes": [1, 2, 4, 3]},
        {"name": "image", "type": "reshape", "shape": [CHANNELS, SIDE, SIDE]},
    ]


def train(attention: list[dict[str, Any]]) -> Iteration:
    network = build_network("net", (2, 3, SIDE, SIDE), LAYERS.validate_python([*QKV, *attention, *ENDING]))
    images = np.random.default_rng(5).standard_normal((2, 3, SIDE, SIDE))
    parameters = {name: 3 * values for name, values in initial_parameters(network, 1).items()}
    return run_iteration(network, parameters, images, np.array([2, 0]), seed=1, options=FLOAT64)


def test_one_window_of_the_whole_image_is_plain_attention() -> None:
    windows, plain = train(attend_windows(SIDE)), train(attend_all())
    assert abs(windows.loss - plain.loss) < 1e-12
    for name, gradient in plain.grads.items():
        np.testing.assert_allclose(windows.grads[name], gradient, rtol=1e-9, atol=1e-12, err_msg=name)


def test_smaller_windows_are_not() -> None:
    assert abs(train(attend_windows(SIDE // 2)).loss - train(attend_all()).loss) > 1e-3
