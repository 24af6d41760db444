"""Run one (layer, step) through lowering, tiling and the stepped timing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from oracle.stepped_conv import Conv, ConvWork
from oracle.stepped_linear import Linear, LinearWork
from oracle.stepped_lowering import Operands, Tensor, Work
from oracle.stepped_records import Machine, StepTimes, TimedTile
from oracle.stepped_tiling import choose_tiling
from oracle.stepped_timing import run_tiles


def compute_output(layer: Conv | Linear, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Compute a forward output, tap by tap, in float64."""
    if isinstance(layer, Linear):
        output: Tensor = input.astype(float) @ weight.astype(float).T
        return output if bias is None else output + bias
    output = np.zeros((layer.batch, layer.out_channels, layer.out_height, layer.out_width))
    if bias is not None:
        output += bias.reshape(1, -1, 1, 1)
    for (n, m, p, q), (c, r, s) in _list_taps(layer, weight):
        at = _find_input(layer, m, c, p, q, r, s)
        if at is not None:
            output[n, m, p, q] += float(input[n][at]) * float(weight[m, c, r, s])
    return output


def compute_grad_input(layer: Conv | Linear, grad_output: Tensor, weight: Tensor) -> Tensor:
    """Compute the unmasked gradient of the input, tap by tap, in float64."""
    if isinstance(layer, Linear):
        product: Tensor = grad_output.astype(float) @ weight.astype(float)
        return product
    grad_input = np.zeros((layer.batch, layer.in_channels, layer.in_height, layer.in_width))
    for (n, m, p, q), (c, r, s) in _list_taps(layer, weight):
        at = _find_input(layer, m, c, p, q, r, s)
        if at is not None:
            grad_input[n][at] += float(grad_output[n, m, p, q]) * float(weight[m, c, r, s])
    return grad_input


def _list_taps(layer: Conv, weight: Tensor) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    shape = (layer.batch, layer.out_channels, layer.out_height, layer.out_width)
    return [(place, tap) for place in np.ndindex(*shape) for tap in np.ndindex(*weight.shape[1:])]


def _find_input(layer: Conv, m: int, c: int, p: int, q: int, r: int, s: int) -> tuple[int, int, int] | None:
    group = m // (layer.out_channels // layer.groups)
    h, w = layer.find_height(p, r), layer.find_width(q, s)
    if h is None or w is None:
        return None
    return group * (layer.in_channels // layer.groups) + c, h, w


def check_shapes(layer: Conv | Linear, step: str, operands: Operands) -> None:
    """Refuse a tensor whose shape is not the layer's."""
    shapes = layer.tensor_shapes
    kinds = {"input": "input", "weight": "weight", "grad_output": "output", "mask": "input"}
    kinds |= {"summed": "input", "ppu_mask": "input", "written": "output" if step == "forward" else "input"}
    for name, kind in kinds.items():
        tensor: Tensor | None = getattr(operands, name)
        if tensor is not None and tensor.shape != shapes[kind]:
            raise ValueError(f"Layer {layer.name} was given {name} of shape {tensor.shape}; it must be {shapes[kind]}.")


def make_work(
    layer: Conv | Linear,
    step: str,
    machine: Machine,
    input: Tensor | None = None,
    weight: Tensor | None = None,
    grad_output: Tensor | None = None,
    mask: Tensor | None = None,
    *,
    output_is_relu: bool = False,
    bias: Tensor | None = None,
    written: Tensor | None = None,
    summed: Tensor | None = None,
    ppu_mask: Tensor | None = None,
    is_weight_pruned: bool = False,
) -> Work:
    """Bring a step and its tensors together; `written` replaces the computed tensor that the PPU writes."""
    operands = Operands(
        input,
        weight,
        grad_output,
        mask if step == "gta" else None,
        written,
        summed if step == "gta" else None,
        ppu_mask if step == "gta" else None,
        is_weight_pruned=is_weight_pruned,
        is_written_compressed=output_is_relu if step == "forward" else True,
    )
    check_shapes(layer, step, operands)
    if written is None and step == "forward":
        output = compute_output(layer, operands.take("input"), operands.take("weight"), bias)
        operands = replace(operands, written=np.maximum(output, 0) if output_is_relu else output)
    elif written is None and step == "gta":
        gradient = compute_grad_input(layer, operands.take("grad_output"), operands.take("weight"))
        total = gradient if summed is None else gradient + summed
        kept = ppu_mask if mask is None else mask
        operands = replace(operands, written=total if kept is None else total * (kept != 0))
    if isinstance(layer, Conv):
        return ConvWork(layer, step, machine, operands)
    return LinearWork(layer, step, machine, operands)


def lower_step(work: Work) -> tuple[list[TimedTile], str]:
    """Return the tiles of the chosen tiling as the timing takes them, and the tiling in words."""
    tiling = choose_tiling(work)
    tiles = [
        TimedTile(tuple(work.time_task(tile.place(at), tile) for at in tile.tasks), load_bytes, write_back_bytes)
        for tile, load_bytes, write_back_bytes in zip(
            tiling.tiles, tiling.load_bytes, tiling.write_back_bytes, strict=True
        )
    ]
    return tiles, str(tiling)


def run_step(
    layer: Conv | Linear,
    step: str,
    machine: Machine,
    input: Tensor | None = None,
    weight: Tensor | None = None,
    grad_output: Tensor | None = None,
    mask: Tensor | None = None,
    *,
    output_is_relu: bool = False,
    bias: Tensor | None = None,
    written: Tensor | None = None,
    summed: Tensor | None = None,
    ppu_mask: Tensor | None = None,
    is_weight_pruned: bool = False,
) -> StepTimes:
    """Run a step from tensors `(N, C, H, W)`, `(M, C/G, R, S)`, `(N, M, P, Q)` (fully connected: two axes) to times."""
    work = make_work(
        layer,
        step,
        machine,
        input,
        weight,
        grad_output,
        mask,
        output_is_relu=output_is_relu,
        bias=bias,
        written=written,
        summed=summed,
        ppu_mask=ppu_mask,
        is_weight_pruned=is_weight_pruned,
    )
    tiles, tiling = lower_step(work)
    return replace(run_tiles(tiles, machine), tiling=tiling)
