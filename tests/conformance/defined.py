"""The independent definition, run on the simulator's operands and array."""

from __future__ import annotations

import dataclasses

from oracle import definition, definition_layers

from dataflows.contract.array import PEArray
from workloads.operands import Operands
from workloads.shapes import ConvShape, LayerShape, Step


def define_layer(shape: LayerShape) -> definition_layers.Layer:
    """Give a layer's geometry in the definition's letters."""
    if isinstance(shape, ConvShape):
        return definition_layers.Conv(
            N=shape.batch, C=shape.in_channels, H=shape.in_height, W=shape.in_width, M=shape.out_channels,
            R=shape.kernel_height, S=shape.kernel_width, U=shape.stride, pad_h=(shape.pad_top, shape.pad_bottom),
            pad_w=(shape.pad_left, shape.pad_right), G=shape.groups, D=shape.dilation,
        )  # fmt: skip
    return definition_layers.Linear(shape.batch, shape.in_features, shape.out_features)


def define_step(operands: Operands, step: Step, array: PEArray) -> definition.StepOracle:
    """Run one step by the definition's plain loops."""
    machine = definition_layers.Machine(**dataclasses.asdict(array))
    layer = define_layer(operands.shape)
    return definition.run_step(
        layer, step.value, machine, operands.input, operands.weight, operands.grad_output, operands.mask
    )
