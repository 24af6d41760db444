"""Networks, machines and stored bytes as the model of elementwise passes takes them."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

import numpy as np
from oracle.elementwise import PassMachine, PassResult, StepTensors, run_passes
from oracle.elementwise_kinds import Layer
from oracle.stepped_records import Machine, divide_up
from oracle.stepped_storage import choose_format, size_tensor

from dataflows.storage.written import find_written
from sim.architecture import Architecture, load_architecture
from sim.step import pass_run
from sim.step.layer_run import find_stored_bytes
from sim.step.stored_tensors import StoredBytes
from sim.step.work import StepWork
from workloads.arrays import BoolArray, Float32Array
from workloads.host import initial_parameters, run_iteration
from workloads.network import Network
from workloads.operands import Operands
from workloads.pruning import PruningState
from workloads.settings import GradientPruning
from workloads.shapes import Step
from workloads.training.iteration import run_pruned_iteration


def describe_layers(network: Network) -> Iterator[Layer]:
    """Describe the layers of a network as the definition's model takes them."""
    for node in network.nodes:
        inputs = () if node.layer.traits.is_source else node.inputs
        shapes = () if node.layer.traits.is_source else node.input_shapes
        yield Layer(node.name, node.layer.type, node.layer.model_dump(), inputs, shapes, node.output_shape)


def make_operands(network: Network) -> tuple[Operands, ...]:
    """Make the host's operands of random images."""
    images = np.random.default_rng(1).standard_normal(network.input_shape)
    labels = np.arange(network.batch) % 3
    return tuple(run_iteration(network, initial_parameters(network, 1), images, labels, seed=1).operands())


def make_pruned_operands(network: Network) -> tuple[Operands, ...]:
    """Make the same of an iteration whose gradients are pruned for GTA alone."""
    images = np.random.default_rng(1).standard_normal(network.input_shape)
    labels = np.arange(network.batch) % 3
    pruning = GradientPruning(rate=0.9, threshold="own_batch", **{"for": "gta"})  # type: ignore[arg-type]
    done = run_pruned_iteration(
        network, initial_parameters(network, 1), (images, labels), pruning=pruning, state=PruningState(1), seed=1,
        iteration=0,
    )  # fmt: skip
    return tuple(done.operands())


def store_operands(operands: tuple[Operands, ...], machine: Architecture) -> dict[str, StoredBytes]:
    """Tell what the machine's steps store."""
    work, stored = StepWork(), dict[str, StoredBytes]()
    for one in operands:
        for step in one.steps:
            read = one.at(step)
            table = work.lower(work.load(machine), machine.pose(read, step), machine)
            found = find_stored_bytes(read, step, machine, table)
            stored[one.layer] = stored.get(one.layer, StoredBytes()).merge(found)
    return stored


def size_operands(operands: tuple[Operands, ...], machine: Architecture) -> dict[str, StepTensors]:
    """Size what the steps read, write and add by the definition's rows."""
    assert machine.storage is not None
    small = Machine(
        skip_zeros=machine.array.skip_zeros, data_bits=machine.storage.data_bits,
        sparse_format=machine.storage.sparse_format.value,
    )  # fmt: skip

    def size(tensor: Float32Array | BoolArray, *, is_raw: bool = False) -> int:
        if is_raw:
            return size_tensor(tensor, "raw", small.data_bits)
        rows = prod(tensor.shape[:-1]) if machine.array.skip_zeros and machine.array.skip_empty_rows else 0
        # A bit a row says that it is not empty.
        return size_tensor(tensor, choose_format(tensor, small), small.data_bits) + divide_up(rows, 8)

    def describe(one: Operands) -> StepTensors:
        written = find_written(one, Step.FORWARD)
        is_product = one.shape.weighs_activations
        return StepTensors(
            input=size(one.input),
            output=size(written, is_raw=not one.relu_follows),
            grad_output=size(one.grad_output),
            gradient_copy=None if one.grad_output_for_gta is None else size(one.grad_output_for_gta),
            grad_input=size(find_written(one.at(Step.GTA), Step.GTA)) if Step.GTA in one.steps else None,
            grad_factor=size(find_written(one, Step.GTW)) if is_product and Step.GTW in one.steps else None,
            summed=tuple(size(tensor) for tensor in one.summed),
            factor_summed=tuple(size(tensor) for tensor in one.weight_summed),
        )

    return {one.layer: describe(one) for one in operands}


def describe_machine(machine: Architecture) -> PassMachine:
    """Describe a machine as the definition's model of passes takes it."""
    assert machine.buffer is not None
    assert machine.dram is not None
    assert machine.ppu is not None
    assert machine.storage is not None
    assert machine.buffer.bytes_per_port_cycle is not None
    return PassMachine(
        machine.array.groups, machine.ppu.elements_per_cycle, machine.dram.bytes_per_cycle, machine.dram.latency_cycles,
        machine.buffer.bytes_per_port_cycle, machine.storage.data_bits, machine.buffer.capacity_bytes,
        machine.ppu.fuse_passes,
    )  # fmt: skip


def compare_passes(network: Network, operands: tuple[Operands, ...], machine: Architecture) -> list[PassResult]:
    """Compare every pass of a machine with the definition's, and give them."""
    copies = [one.layer for one in operands if one.grad_output_for_gta is not None] * machine.array.skip_zeros
    sizes = size_operands(operands, machine)
    defined = run_passes(describe_layers(network), sizes, describe_machine(machine), copies)
    stored = store_operands(operands, machine)
    found = pass_run.run_passes(network, machine, stored, tuple(Step), copied=frozenset(copies))
    for (row, counts), expected in zip(found, defined, strict=True):
        assert counts is not None
        assert counts.buffer_reads == counts.buffer_writes
        assert (8 * row.dram_read_bytes, 8 * row.dram_write_bytes) == (counts.dram_read_bits, counts.dram_write_bits)
        assert counts.noc_bytes == row.dram_read_bytes + row.dram_write_bytes
        told = PassResult(
            row.layer, row.kind, row.step, counts.ppu_elements, row.dram_read_bytes, row.dram_write_bytes,
            row.fusion_saved_bytes, row.cycles, counts.buffer_reads,
        )  # fmt: skip
        assert told == expected
    return defined


def draw_machine(seed: int, *, fuses: bool, skips: bool) -> Architecture:
    """Draw a small machine."""
    rng = np.random.default_rng([seed, 14])

    def draw(*allowed: int) -> int:
        return int(rng.choice(allowed))

    machine = load_architecture(
        "sparsetrain",
        (
            f"array.groups={draw(1, 2, 5)}", f"ppu.elements_per_cycle={draw(1, 3)}",
            f"dram.bytes_per_cycle={draw(1, 4, 32)}", f"dram.latency_cycles={draw(0, 7)}",
            f"buffer.capacity_bytes={draw(4096, 395264)}", f"buffer.bytes_per_port_cycle={draw(2, 16)}",
            f"ppu.fuse_passes={str(fuses).lower()}", f"array.skip_empty_rows={rng.choice(['true', 'false'])}",
            f"storage.sparse_format={rng.choice(['auto', 'bitmask'])}",
        ),
    )  # fmt: skip
    return machine if skips else machine.without_skipping()
