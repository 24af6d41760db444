"""A tensor has one size: every reader of a whole tensor reads the bytes that its writer wrote."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import prod

import pytest
from conformance.elementwise_runs import make_operands, store_operands
from random_graphs import make_random_network

from sim.architecture import load_architecture
from sim.step.stored_tensors import StoredBytes, size_output, size_share
from workloads.gradient_shares import GradientShare, find_gradient, find_share_written, list_shares_added
from workloads.network import Network, Node
from workloads.passes import find_stored, list_passes, list_shares_read, list_shares_written
from workloads.presets import preset_names
from workloads.workload import load_workload

Tensor = str | GradientShare
Entry = tuple[str, int]


@dataclass
class Ledger:
    """Who writes and reads each tensor, steps and passes, with the bytes that it moves."""

    written: dict[Tensor, Entry] = field(default_factory=dict)
    read: list[tuple[Tensor, Entry]] = field(default_factory=list)

    def compare(self) -> tuple[int, list[str]]:
        """Count the readings by or from a pass, and tell those that differ from what was written.

        From a step to a step a tensor has two forms where dropout lies between, or zeros that no ReLU made. What a
        step reads of a concatenation is compressed as one, and what steps write of it part by part.
        """
        count, wrong = 0, []
        for tensor, (reader, size) in self.read:
            if tensor not in self.written:
                continue
            writer, wrote = self.written[tensor]
            if reader.startswith("step") and not writer.startswith("pass"):
                continue
            count += 1
            if wrote != size:
                wrong.append(f"{tensor}: {writer} writes {wrote}, {reader} reads {size}")
        return count, wrong


def keep_ledger(network: Network, stored: Mapping[str, StoredBytes]) -> Ledger:
    ledger = Ledger()
    for node in network.compute_nodes():
        enter_steps(ledger, network, node, stored[node.name])
    for made in list_passes(network):
        who = f"pass {made.node} {made.step}"
        for name in made.writes:
            ledger.written[name] = who, size_output(network, name, stored, 16)
        for share in list_shares_written(network, made):
            ledger.written[share] = who, size_share(network, share, stored, 16)
        assert tuple(share.node for share in list_shares_read(network, made)) == made.reads_gradients
        ledger.read += [(name, (who, size_output(network, name, stored, 16))) for name in made.reads]
        ledger.read += [
            (share, (who, size_share(network, share, stored, 16))) for share in list_shares_read(network, made)
        ]
    for node in network.nodes:
        if node.layer.traits.is_joined and all(part in ledger.written for part in node.inputs):
            ledger.written[node.name] = "parts", sum(ledger.written[part][1] for part in node.inputs)
    return ledger


def enter_steps(ledger: Ledger, network: Network, node: Node, sizes: StoredBytes) -> None:
    who = f"step {node.name}"
    if sizes.output is not None:
        ledger.written[find_stored(network, node.name)] = who, sizes.output
    if sizes.input is not None and not network.relu_follows(node.inputs[0]):
        ledger.read.append((node.inputs[0], (who, sizes.input)))
    gradient = find_gradient(network, node.name)
    # Where a part alone is read of what the node gives out, its gradient is that part's among zeros.
    if sizes.grad_output is not None and is_as_large(network, gradient, node.name):
        ledger.read.append((GradientShare(gradient), (who, sizes.grad_output)))
    moved = zip((sizes.grad_input, sizes.grad_factor), (sizes.summed, sizes.factor_summed), strict=True)
    for number, (source, (written, summed)) in enumerate(zip(node.inputs, moved, strict=False)):
        if written is not None and source in network.trained:
            ledger.written[find_share_written(network, source, (node.name, number))] = who, written
        if summed is not None:
            added = list_shares_added(network, node.name, source, number)
            ledger.read += [
                (share, (who, size))
                for share, size in zip(added, summed, strict=True)
                if is_as_large(network, share.node, source)
            ]


def is_as_large(network: Network, name: str, other: str) -> bool:
    return prod(network.output_shape(name)) == prod(network.output_shape(other))


def draw_sizes(network: Network, seed: int) -> dict[str, StoredBytes]:
    """Draw the bytes of every tensor that a step writes or reads; whoever moves the same one moves as many."""
    rng, sizes = random.Random(seed), dict[Tensor, int]()

    def draw(tensor: Tensor) -> int:
        return sizes.setdefault(tensor, rng.randrange(1, 10**6))

    def describe(node: Node) -> Iterator[tuple[str, int | tuple[int, ...]]]:
        yield "input", draw(node.inputs[0])
        yield "output", draw(find_stored(network, node.name))
        yield "grad_output", draw(GradientShare(find_gradient(network, node.name)))
        names = zip(node.inputs, (("grad_input", "summed"), ("grad_factor", "factor_summed")), strict=False)
        for number, (source, (written, summed)) in enumerate(names):
            if source in network.trained:
                yield written, draw(find_share_written(network, source, (node.name, number)))
            yield summed, tuple(draw(share) for share in list_shares_added(network, node.name, source, number))

    return {node.name: StoredBytes(**dict(describe(node))) for node in network.compute_nodes()}  # type: ignore[arg-type]


@pytest.mark.parametrize("name", preset_names())
def test_in_a_preset_passes_read_and_write_what_steps_and_passes_write_and_read(name: str) -> None:
    network = load_workload(name).network
    count, wrong = keep_ledger(network, draw_sizes(network, 1)).compare()
    assert (wrong, count > 0) == ([], True)


@pytest.mark.parametrize("seed", range(60))
def test_in_a_random_graph_passes_read_and_write_what_steps_and_passes_write_and_read(seed: int) -> None:
    network = make_random_network(seed)
    operands = make_operands(network)
    for machine in ("sparsetrain", "dense"):
        count, wrong = keep_ledger(network, store_operands(operands, load_architecture(machine))).compare()
        assert (wrong, count > 0) == ([], True)
    count, wrong = keep_ledger(network, draw_sizes(network, seed)).compare()
    assert wrong == []


def test_a_gradient_that_an_average_hands_back_is_written_as_the_convolution_before_it_reads_it() -> None:
    """The average's backward pass once wrote such a gradient raw, which the gta of the convolution read compressed."""
    for name in ("resnet18", "resnet20"):
        network = load_workload(name).network
        stored = draw_sizes(network, 3)
        (pool,) = [node for node in network.nodes if node.layer.type == "global_avg_pool"]
        (made,) = [one for one in list_passes(network) if one.node == pool.name and one.step.value == "backward"]
        (share,) = list_shares_written(network, made)
        adders = [node for node in network.nodes if share in list_shares_added(network, node.name, node.inputs[0])]
        (adder,) = adders
        assert stored[adder.name].summed == (size_share(network, share, stored, 16),)
