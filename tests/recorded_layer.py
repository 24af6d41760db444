"""A network of one layer with recorded operands, written as a user would write it."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from dataflows.contract.array import PEArray
from workloads.operands import Operands
from workloads.shapes import ConvShape
from workloads.yaml_file import dump_yaml


def write_recorded_layer(folder: Path, operands: Operands) -> Path:
    """Write net.yaml and tensors.npz for one layer; return the YAML file."""
    shape = operands.shape
    layers: list[dict[str, Any]]
    if isinstance(shape, ConvShape):
        size = {"channels": shape.in_channels, "height": shape.in_height, "width": shape.in_width}
        layers = [
            {
                "name": operands.layer,
                "type": "conv2d",
                "out_channels": shape.out_channels,
                "kernel": [shape.kernel_height, shape.kernel_width],
                "stride": list(shape.stride),
                "padding": list(shape.padding),
                "dilation": list(shape.dilation),
                "groups": shape.groups,
                "bias": operands.bias is not None,
            }
        ]
    else:
        size = {"channels": shape.in_features, "height": 1, "width": 1}
        layers = [
            {"name": "flat", "type": "flatten"},
            {
                "name": operands.layer,
                "type": "linear",
                "out_features": shape.out_features,
                "bias": operands.bias is not None,
            },
        ]
    form = {
        "name": "recorded",
        "batch": shape.batch,
        "input": size,
        "layers": layers,
        "operands": {"source": "recorded", "path": "tensors.npz"},
    }
    names = ("input", "weight", "bias", "grad_output", "mask")
    tensors = {f"{operands.layer}/{name}": getattr(operands, name) for name in names}
    np.savez(folder / "tensors.npz", **{name: value for name, value in tensors.items() if value is not None})
    path = folder / "net.yaml"
    path.write_text(dump_yaml(form), encoding="utf-8")
    return path


def override_array(array: PEArray) -> list[str]:
    """Give the command line's options that make a machine's array this one."""
    options: list[str] = []
    for name, value in dataclasses.asdict(array).items():
        options += ["--set", f"array.{name}={str(value).lower()}"]
    return options
