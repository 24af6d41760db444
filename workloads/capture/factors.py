"""What is done to the factors and the result of a product of matrices, and is a part of that product."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from workloads.capture.calls import Call, FoldedCall, LayerCall, MovedBatch, ScaledTensor, Tensor, UnknownCall

# Gives the call that made a tensor, where that is one of these and its input has not been changed since.
FindMaker = Callable[[Tensor], FoldedCall | LayerCall | None]


def fold_factors(call: LayerCall, find_maker: FindMaker) -> LayerCall:
    """Let a product of matrices turn and scale what it reads, in place of the calls before it."""
    inputs, fields = list(call.inputs), dict(call.fields)
    for place, side in enumerate(("transpose_a", "transpose_b")):
        while (made := find_maker(inputs[place])) is not None:
            if isinstance(made, ScaledTensor):
                fields["scale"] = fields.get("scale", 1.0) * made.factor
            elif turns_matrices(made):
                fields[side] = not fields.get(side, False)
            else:
                break
            inputs[place] = made.inputs[0]
    return dataclasses.replace(
        call, inputs=tuple(inputs), fields={name: value for name, value in fields.items() if value}
    )


def find_part(call: Call | UnknownCall, output: Tensor) -> FoldedCall | LayerCall | None:
    """Give a call that may be a part of what reads its output; none that wrote into what it read."""
    if isinstance(call, MovedBatch) or (isinstance(call, ScaledTensor) and call.input is not output):
        return call
    return call if isinstance(call, LayerCall) and turns_matrices(call) else None


def turns_matrices(call: Call) -> bool:
    """Tell whether a call exchanges the last two axes, and does no more."""
    if not isinstance(call, LayerCall) or call.kind != "transpose":
        return False
    axes = list(call.fields["axes"])
    return axes[-2:] == [len(axes), len(axes) - 1] and axes[:-2] == sorted(axes[:-2])
