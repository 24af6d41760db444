"""Run one (layer, step) through lowering, tiling and the stepped timing."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
from oracle.stepped_conv import Conv
from oracle.stepped_conv_work import ConvWork
from oracle.stepped_linear import Linear, LinearWork, Product
from oracle.stepped_lowering import Operands, Tensor, Work
from oracle.stepped_records import Machine, StepTimes, TimedTile
from oracle.stepped_tiling import choose_tiling
from oracle.stepped_timing import run_tiles


def compute_output(layer: Conv | Linear, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Compute a forward output, tap by tap, in float64."""
    if isinstance(layer, Linear):
        output: Tensor = input.astype(float) @ weight.astype(float).swapaxes(-1, -2)
        return output if bias is None else output + bias
    output = sum_taps(layer, "forward", input, weight)
    return output if bias is None else output + bias.reshape(1, -1, 1, 1)


def compute_grad_input(layer: Conv | Linear, grad_output: Tensor, weight: Tensor) -> Tensor:
    """Compute the unmasked gradient of the input, tap by tap, in float64."""
    if isinstance(layer, Linear):
        product: Tensor = grad_output.astype(float) @ weight.astype(float)
        return product
    return sum_taps(layer, "gta", grad_output, weight)


def sum_taps(layer: Conv, step: str, operand: Tensor, weight: Tensor) -> Tensor:
    """Sum a convolution's multiplications over its taps into the result of Forward or GTA."""
    is_gathered = layer.find_walk(step) == "forward"
    result = np.zeros(layer.tensor_shapes["output" if step == "forward" else "input"])
    shape = (layer.batch, layer.out_channels, layer.out_height, layer.out_width)
    for (n, m, p, q), (c, r, s) in product(np.ndindex(*shape), np.ndindex(*weight.shape[1:])):
        at = _find_input(layer, m, c, p, q, r, s)
        if at is None:
            continue
        if is_gathered:
            result[n, m, p, q] += float(operand[n][at]) * float(weight[m, c, r, s])
        else:
            result[n][at] += float(operand[n, m, p, q]) * float(weight[m, c, r, s])
    return result


def _find_input(layer: Conv, m: int, c: int, p: int, q: int, r: int, s: int) -> tuple[int, int, int] | None:
    group = m // (layer.out_channels // layer.groups)
    h, w = layer.meet(0, p, r), layer.meet(1, q, s)
    if not (0 <= h < layer.in_height and 0 <= w < layer.in_width):
        return None
    return group * (layer.in_channels // layer.groups) + c, h, w


def check_shapes(layer: Conv | Linear, step: str, operands: Operands) -> None:
    """Refuse a tensor whose shape is not the layer's."""
    shapes = layer.tensor_shapes
    result = {"forward": "output", "gta": "input", "gtw": "weight"}[step]
    kinds = {"input": "input", "weight": "weight", "grad_output": "output", "mask": "input"}
    kinds |= {"summed": result, "ppu_mask": result, "written": result}
    for name, kind in kinds.items():
        tensor: Tensor | None = getattr(operands, name)
        if tensor is not None and tensor.shape != shapes[kind]:
            raise ValueError(f"Layer {layer.name} was given {name} of shape {tensor.shape}; it must be {shapes[kind]}.")


def compute_written(layer: Conv | Linear, step: str, operands: Operands, bias: Tensor | None) -> Tensor | None:
    """Compute the tensor that the PPU writes in Forward (before a ReLU), GTA or a product's GTW; None in another's."""
    if step == "forward":
        return compute_output(layer, operands.take("input"), operands.take("weight"), bias)
    if step == "gta":
        total = compute_grad_input(layer, operands.take("grad_output"), operands.take("weight"))
    elif isinstance(layer, Product):
        total = operands.take("grad_output").astype(float).swapaxes(1, 2) @ operands.take("input").astype(float)
    else:
        return None
    total = total if operands.summed is None else total + operands.summed
    kept = operands.ppu_mask if operands.mask is None else operands.mask
    return total if kept is None else total * (kept != 0)


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
    kept: frozenset[str] = frozenset(),
    raw: frozenset[str] = frozenset(),
) -> Work:
    """Bring a step and its tensors together; `written` replaces the computed tensor that the PPU writes."""
    is_gradient = step == "gta" or (step == "gtw" and isinstance(layer, Product))
    operands = Operands(
        input,
        weight,
        grad_output,
        mask if step == "gta" else None,
        written,
        summed if is_gradient else None,
        ppu_mask if is_gradient else None,
        is_weight_pruned=is_weight_pruned,
        is_written_compressed=output_is_relu if step == "forward" else True,
        kept=kept,
        raw=raw,
    )
    check_shapes(layer, step, operands)
    if written is None:
        computed = compute_written(layer, step, operands, bias)
        is_relu = computed is not None and step == "forward" and output_is_relu
        operands = replace(operands, written=np.maximum(computed, 0) if is_relu else computed)
    if isinstance(layer, Conv):
        return ConvWork(layer, step, machine, operands)
    return LinearWork(layer, step, machine, operands)


def lower_step(work: Work) -> tuple[list[TimedTile], str]:
    """Return the tiles of the chosen tiling as the timing takes them, and the tiling in words."""
    tiling = choose_tiling(work)
    tiles = []
    for tile, load_bytes, write_back_bytes in zip(
        tiling.tiles, tiling.load_bytes, tiling.write_back_bytes, strict=True
    ):
        tasks = tuple(work.time_task(tile.place(at), tile) for at in tile.tasks)
        loaded_bits, written_bits = work.size_bits(tile)
        tiles.append(TimedTile(tasks, load_bytes + loaded_bits, write_back_bytes + written_bits))
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
