"""What is computed again: by hand on a chain, and as laws on random graphs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from conformance.elementwise_runs import draw_machine
from drawn_cases import thin
from pydantic import TypeAdapter
from random_graphs import make_random_network

from sim.step.live_tensors import Event, Ordered, list_written, make_event, measure_activations
from sim.step.pass_run import list_machine_iteration
from sim.step.recomputation import Repeated, is_forward, repeat_forward
from sim.step.residency import make_item
from sim.step.stored_tensors import size_raw_tensor
from workloads.kinds import Layer
from workloads.network import Network, build_network
from workloads.passes import LayerStep, list_iteration
from workloads.recomputation import find_unmatched, is_recomputed

LAYERS: TypeAdapter[list[Layer]] = TypeAdapter(list[Layer])
N, C, H, W, BITS = 2, 3, 8, 8, 16
MAPS, SCORES = N * C * H * W * BITS // 8, N * 2 * BITS // 8
CONV = {"type": "conv2d", "out_channels": C, "kernel": 3, "padding": 1}
CHAIN = [
    layer
    for number in range(1, 5)
    for layer in (
        {"name": f"conv{number}", **CONV}, {"name": f"bn{number}", "type": "batch_norm"},
        {"name": f"relu{number}", "type": "relu"},
    )
]  # fmt: skip
END = [
    {"name": "flat", "type": "flatten"}, {"name": "fc", "type": "linear", "out_features": 2},
    {"name": "loss", "type": "softmax_cross_entropy"},
]  # fmt: skip
NETWORK = build_network("net", (N, C, H, W), LAYERS.validate_python([*CHAIN, *END]))


def write(one: Ordered) -> str:
    return f"{one.node} {one.step.value}"


def repeat(*patterns: str) -> Repeated:
    return repeat_forward(NETWORK, list_iteration(NETWORK), patterns)


def test_a_normalisation_is_repeated_before_the_first_that_needs_it() -> None:
    found = repeat("bn2")
    assert [write(one) for one in found.again] == ["bn2 forward"]
    order = [write(one) for one in found.order]
    again = len(order) - 1 - order[::-1].index("bn2 forward")
    assert order[again - 1 : again + 2] == ["bn3 backward", "bn2 forward", "conv3 gtw"]


def test_what_is_repeated_repeats_what_it_reads_first() -> None:
    again = [write(one) for one in repeat("bn2", "conv2", "relu1").again]
    assert again == ["bn1 forward", "conv2 forward", "bn2 forward"]


def test_a_name_that_rides_along_stands_for_what_is_stored() -> None:
    assert repeat("relu3") == repeat("bn3")
    assert is_recomputed(NETWORK, "relu3", ["bn3"])
    assert not is_recomputed(NETWORK, "relu3", ["conv3", "relu2"])


def test_what_the_backward_half_does_not_need_is_not_repeated() -> None:
    assert repeat("fc", "loss") == Repeated(tuple(list_iteration(NETWORK)), ())
    assert not is_recomputed(NETWORK, "input", ["*"])


def test_patterns_that_match_nothing_are_found() -> None:
    assert find_unmatched(NETWORK, ["bn*", "norm*", "x"]) == "norm*"
    assert find_unmatched(NETWORK, ["bn?", "conv1"]) is None


def test_memory_falls_by_what_is_not_stored() -> None:
    stored = list_iteration(NETWORK)
    # In fc's GTA: the image, one before and one behind each batch norm, and the gradients that are read and written.
    assert measure_activations(NETWORK, stored, BITS) == MAPS + 4 * 2 * MAPS + SCORES + MAPS
    again = repeat_forward(NETWORK, stored, ["bn1", "bn2", "bn3"]).order
    # Behind three of the batch norms there is nothing then.
    assert measure_activations(NETWORK, again, BITS) == MAPS + (4 * 2 - 3) * MAPS + SCORES + MAPS


def check_laws(network: Network, order: Sequence[Ordered], patterns: Sequence[str]) -> int:
    """Hold what is repeated against what the backward half needs."""
    found = repeat_forward(network, order, patterns)
    border = next((place for place, one in enumerate(order) if not is_forward(one)), len(order))
    written = {tensor for one in order[:border] for tensor in list_written(network, one) if isinstance(tensor, str)}
    missing = {tensor for tensor in written if is_recomputed(network, tensor, patterns)}
    behind = found.order[border:]
    assert tuple(one for one in behind if is_forward(one)) == found.again
    assert tuple(one for one in behind if not is_forward(one)) == tuple(order[border:])
    assert len(set(map(write, found.again))) == len(found.again)
    for place, one in enumerate(behind):
        assert not missing & make_item(network, one).needs
        if is_forward(one):
            outputs = {tensor for tensor in list_written(network, one) if isinstance(tensor, str)}
            assert outputs & missing
            later = [make_item(network, other).needs for other in behind[place + 1 :]]
            assert any(outputs & needs for needs in later)
            missing -= outputs
    return len(found.again)


@pytest.mark.parametrize("seed", thin(range(120)))
def test_a_random_graph_repeats_what_it_needs_and_nothing_else(seed: int) -> None:
    network = make_random_network(seed)
    rng = np.random.default_rng([seed, 32])
    names = [node.name for node in network.nodes]
    chosen = [name for name in names if rng.random() < 0.5] or names[:1]
    for fuses in (False, True):
        order = list_machine_iteration(network, draw_machine(seed, fuses=fuses, skips=True))
        for patterns in (chosen, ["*"], names[:1]):
            check_laws(network, order, patterns)


def test_random_graphs_repeat_steps_and_fused_passes() -> None:
    found: list[Ordered] = []
    for seed in range(20):
        network = make_random_network(seed)
        order = list_machine_iteration(network, draw_machine(seed, fuses=True, skips=True))
        found += repeat_forward(network, order, ["*"]).again
    assert sum(isinstance(one, LayerStep) for one in found) > 20
    assert sum(not isinstance(one, LayerStep) and bool(one.members) for one in found) > 5


def find_peak_slowly(network: Network, order: Sequence[Ordered]) -> int:
    """Give the peak of memory as the definition has it, event by event and tensor by tensor."""
    events = [Event({"input": size_raw_tensor(network, "input", BITS)}, frozenset())]
    events += [make_event(network, one, BITS) for one in order]
    most = 0
    for place in range(len(events)):
        held = 0
        for tensor in {tensor for event in events[: place + 1] for tensor in event.writes}:
            born = max(number for number in range(place + 1) if tensor in events[number].writes)
            ahead = range(place, len(events))
            rewritten = next((number for number in ahead if number > born and tensor in events[number].writes), None)
            is_needed = any(
                tensor in events[number].needs for number in ahead if rewritten is None or number <= rewritten
            )
            held += events[born].writes[tensor] if born == place or is_needed else 0
        most = max(most, held)
    return most


@pytest.mark.parametrize("seed", thin(range(80)))
def test_the_peak_of_a_random_graph_is_that_of_the_definition(seed: int) -> None:
    network = make_random_network(seed)
    for fuses in (False, True):
        order = list_machine_iteration(network, draw_machine(seed, fuses=fuses, skips=True))
        for patterns in ([], ["*1*", "*3*"], ["*"]):
            if patterns and find_unmatched(network, patterns):
                continue
            repeated = repeat_forward(network, order, patterns).order
            assert measure_activations(network, repeated, BITS) == find_peak_slowly(network, repeated)


@pytest.mark.parametrize("seed", range(20))
def test_with_all_repeated_at_once_no_memory_is_saved_and_none_is_lost_in_a_chain(seed: int) -> None:
    rng = np.random.default_rng([seed, 33])
    chosen = [f"bn{number}" for number in range(1, 5) if rng.random() < 0.5]
    stored = list_iteration(NETWORK)
    whole = measure_activations(NETWORK, stored, BITS)
    assert measure_activations(NETWORK, repeat_forward(NETWORK, stored, chosen).order, BITS) <= whole
    assert measure_activations(NETWORK, repeat_forward(NETWORK, stored, ["*"]).order, BITS) == whole
