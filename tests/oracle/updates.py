"""Model the update of parameters from the definition alone: the parameters of each kind of layer, bytes and cycles.

Choices where the definition of the machine leaves room:

U1. Parameters of a layer are rows: kernels of a convolution, rows of a fully connected layer's weight, of a tensor of
    its own those along its last axis, and a bias, scale, shift or slope is one.
U2. All of a layer's bytes are one read and one write, as of a pass.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

from oracle.elementwise import PassMachine, PassResult
from oracle.elementwise_kinds import ROW_NORMS, Layer, pair
from oracle.stepped_records import divide_up

# Words of accumulator width that are kept of each parameter, and multiply-adds of its update, a quotient or root as 4.
KEPT = {"sgd": 0, "sgd_momentum": 1, "adam": 2, "adamw": 2}
PRICED = {"sgd": 1, "sgd_momentum": 2, "adam": 6 + 4 + 4, "adamw": 7 + 4 + 4}


def list_rows(layer: Layer) -> Iterator[tuple[int, int]]:
    """Give so many rows of so many elements of each parameter."""
    fields = layer.fields
    if layer.kind in ("conv2d", "conv_transpose2d"):
        ways = layer.shapes[0][1] * fields["out_channels"] // fields["groups"]
        yield ways, prod(pair(fields["kernel"]))
    elif layer.kind == "conv1d":
        yield layer.shapes[0][1] * fields["out_channels"] // fields["groups"], fields["kernel"]
    elif layer.kind == "linear":
        yield fields["out_features"], layer.shapes[0][-1]
    elif layer.kind == "batch_norm":
        yield from [(1, layer.shapes[0][1])] * 2
    elif layer.kind == "layer_norm" and fields["affine"]:
        *outer, last = layer.shapes[0][-fields["axes"] :]
        yield from [(prod(outer), last)] * 2
    elif layer.kind in ROW_NORMS and fields["affine"]:
        yield from [(1, layer.shapes[0][1])] * 2
    elif layer.kind == "prelu":
        yield 1, layer.shapes[0][1] if fields["per_channel"] else 1
    elif layer.kind == "parameter":
        *outer, last = fields["shape"]
        yield prod(outer), last
    if fields.get("bias"):
        yield 1, layer.shape[1] if len(layer.shape) == 4 else layer.shape[-1]


def run_updates(layers: list[Layer], machine: PassMachine, acc_bits: int, method: str) -> list[PassResult]:
    """Run the update of each layer that has parameters."""
    return [
        run_update(layer.name, rows, machine, acc_bits, method) for layer in layers if (rows := list(list_rows(layer)))
    ]


def run_accumulations(layers: list[Layer], machine: PassMachine, acc_bits: int) -> list[PassResult]:
    """Run the sum of each layer's gradients with those of the microbatches before: the PPU reads them, and adds."""
    found = []
    for layer in layers:
        rows = list(list_rows(layer))
        read, elements = (sum(count * one for count, one in sizes) for sizes in (
            [(count, divide_up(length * acc_bits, 8)) for count, length in rows], rows,
        ))  # fmt: skip
        rate, bandwidth = machine.elements_per_cycle, machine.bytes_per_cycle
        ppu_cycles = 0 if rate is None else divide_up(elements, machine.groups * rate)
        dram_cycles = machine.latency_cycles + (0 if bandwidth is None else divide_up(read, bandwidth))
        accesses = divide_up(read, machine.bytes_per_port_cycle)
        if rows:
            found.append(PassResult(
                layer.name, "accumulate", "accumulate", elements, read, 0, 0, max(ppu_cycles, dram_cycles), accesses
            ))  # fmt: skip
    return found


def run_update(
    name: str, parameters: list[tuple[int, int]], machine: PassMachine, acc_bits: int, method: str
) -> PassResult:
    """Give what the update of a layer takes, with its elements as they are priced."""

    def size(bits: int) -> int:
        return sum(rows * divide_up(length * bits, 8) for rows, length in parameters)

    elements = sum(rows * length for rows, length in parameters)
    kept_bytes = KEPT[method] * size(acc_bits)
    read, write = size(machine.data_bits) + size(acc_bits) + kept_bytes, size(machine.data_bits) + kept_bytes
    rate, bandwidth = machine.elements_per_cycle, machine.bytes_per_cycle
    ppu_cycles = 0 if rate is None else divide_up(elements, machine.groups * rate)
    moved = 0 if bandwidth is None else divide_up(read, bandwidth) + divide_up(write, bandwidth)
    accesses = sum(divide_up(count, machine.bytes_per_port_cycle) for count in (read, write))
    cycles = max(ppu_cycles, machine.latency_cycles + moved)
    return PassResult(name, "update", "update", PRICED[method] * elements, read, write, 0, cycles, accesses)
