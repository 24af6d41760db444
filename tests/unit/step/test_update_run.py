"""The update of parameters, worked out by hand."""

from __future__ import annotations

import pytest
from pydantic import TypeAdapter

from sim.architecture import load_architecture
from sim.step.update_run import count_multiply_adds, run_updates
from workloads.errors import InputError
from workloads.kinds import Layer
from workloads.network import Network, build_network
from workloads.optimisers.optimiser import ElementwiseCost
from workloads.shapes import Step
from workloads.updates import UpdateMethod, find_update_cost, parse_update

LAYERS: TypeAdapter[list[Layer]] = TypeAdapter(list[Layer])
C, M, R, S, F = 3, 4, 2, 3, 5
WEIGHT, BIAS, SCALES, FULL = M * C * R * S, M, 2 * M, F * M
# Of the preset sparsetrain: bytes of a weight and of what is gathered, and speeds.
DATA, ACC, GROUPS, RATE, CHANNEL, LATENCY, PORT = 2, 4, 56, 1, 32, 100, 16
SPARSE = load_architecture("sparsetrain")
ORDER = ("conv", "bn", "fc")


def make_network() -> Network:
    return build_network(
        "net", (2, C, 6, 6),
        LAYERS.validate_python([
            {"name": "conv", "type": "conv2d", "out_channels": M, "kernel": [R, S]},
            {"name": "bn", "type": "batch_norm"}, {"name": "relu", "type": "relu"},
            {"name": "pool", "type": "global_avg_pool"}, {"name": "flat", "type": "flatten"},
            {"name": "fc", "type": "linear", "out_features": F, "bias": False},
        ]),
    )  # fmt: skip


def all_steps(_: str) -> tuple[Step, ...]:
    return tuple(Step)


@pytest.mark.parametrize(
    ("method", "kept", "multiply_adds"), [("sgd", 0, 1), ("sgd_momentum", 1, 2), ("adam", 2, 14), ("adamw", 2, 15)]
)
def test_weights_gradients_and_what_is_kept_are_moved(method: str, kept: int, multiply_adds: int) -> None:
    cost = find_update_cost(UpdateMethod(method))
    assert cost is not None
    found = run_updates(make_network(), SPARSE, cost, all_steps)
    assert [(row.layer, row.kind, row.step) for row, _ in found] == [(name, "update", "update") for name in ORDER]
    for (row, counts), elements in zip(found, (WEIGHT + BIAS, SCALES, FULL), strict=True):
        read, write = elements * (DATA + ACC + kept * ACC), elements * (DATA + kept * ACC)
        assert (row.dram_read_bytes, row.dram_write_bytes) == (read, write)
        assert row.cycles == LATENCY + -(-read // CHANNEL) + -(-write // CHANNEL)
        assert row.ppu_busy_cycles == -(-elements // (GROUPS * RATE)) * GROUPS
        assert counts is not None
        assert counts.ppu_elements == elements * multiply_adds
        assert counts.buffer_reads == -(-read // PORT) + -(-write // PORT) == counts.buffer_writes
        assert row.energy_pj is not None
        assert row.energy_pj > row.leakage_pj > 0


def test_a_layer_without_gtw_is_not_updated() -> None:
    cost = find_update_cost(UpdateMethod.SGD)
    assert cost is not None

    def list_steps(name: str) -> tuple[Step, ...]:
        return (Step.FORWARD, Step.GTA) if name == "conv" else tuple(Step)

    assert [row.layer for row, _ in run_updates(make_network(), SPARSE, cost, list_steps)] == ["bn", "fc"]


def test_an_ideal_machine_has_no_update() -> None:
    cost = find_update_cost(UpdateMethod.ADAM)
    assert cost is not None
    assert run_updates(make_network(), load_architecture("ideal"), cost, all_steps) == []


def test_a_division_is_priced_as_four_multiply_adds() -> None:
    assert count_multiply_adds(ElementwiseCost(2, 1, multiplications=3, additions=5)) == 5
    assert count_multiply_adds(ElementwiseCost(2, 1, multiplications=3, additions=1, divisions=1)) == 3 + 4
    assert count_multiply_adds(ElementwiseCost(2, 1, 0, 0, divisions=1, square_roots=2)) == 12


def test_no_update_costs_nothing_and_an_unknown_one_is_named() -> None:
    assert find_update_cost(None) is None
    assert find_update_cost(UpdateMethod.NONE) is None
    with pytest.raises(InputError) as caught:
        parse_update("sgdm")
    assert str(caught.value) == "unknown update 'sgdm'; the updates are none, sgd, sgd_momentum, adam, adamw"
