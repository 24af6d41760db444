"""The speed of trainings: what follows from measured times, and what they are measured on."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from benchmarks.training import NETWORKS, TrainingSpeed, describe_training, measure_training
from peers import import_peer

from workloads.host import parameter_shapes
from workloads.workload import load_workload

SPEED = TrainingSpeed(
    "net", 64, 2, 640, load_s=[1.0, 1.0, 4.0],
    wall_s={"plain": [1.0, 2.0, 4.0], "pruned": [1.5, 2.2, 4.0], "torch": [2.0, 1.0, 8.0]},
    cpu_s={"plain": [2.0, 2.0, 2.0], "pruned": [2.0, 2.1, 2.4], "torch": [1.0, 1.0, 1.0]},
)  # fmt: skip


def test_rates_and_shares_are_medians_of_iterations_beside_each_other() -> None:
    assert SPEED.rate("plain", SPEED.wall_s) == 64 / 2
    assert SPEED.compare("pruned", "plain", SPEED.wall_s) == 2.2 / 2.0
    assert SPEED.compare("torch", "plain", SPEED.wall_s) == 2.0
    assert SPEED.epoch_s == 10 * (1.0 + 2.2)


def test_the_table_has_wall_and_processor_times() -> None:
    header, _, wall, cpu = (
        [cell.strip() for cell in row.split("|")[1:-1]] for row in describe_training([SPEED]).split("\n")
    )
    assert header[2:7] == ["numpy images/s", "pruned images/s", "torch images/s", "numpy / torch", "pruning adds"]
    assert wall == ["net", "wall", "32.0", "29.1", "32.0", "2.00", "10.0%", "32.0 of 640 images"]
    assert cpu == ["net", "processor", "32.0", "30.5", "64.0", "0.50", "5.0%", "-"]


def test_without_torch_nothing_is_compared_with_it() -> None:
    alone = dataclasses.replace(
        SPEED,
        wall_s={who: times for who, times in SPEED.wall_s.items() if who != "torch"},
        cpu_s={who: times for who, times in SPEED.cpu_s.items() if who != "torch"},
    )
    assert [row.split("|")[5].strip() for row in describe_training([alone]).split("\n")[2:]] == ["-", "-"]


def test_all_who_train_are_measured_as_often_as_is_asked() -> None:
    measured = measure_training("lenet5", batch=2, repetitions=3, threads=1)
    assert {"plain", "pruned"} <= set(measured.wall_s) == set(measured.cpu_s)
    assert {len(times) for times in (*measured.wall_s.values(), *measured.cpu_s.values(), measured.load_s)} == {3}


@pytest.mark.peers
@pytest.mark.parametrize("name", NETWORKS)
def test_torch_trains_the_same_network(name: str) -> None:
    torch = import_peer("torch")
    from torch_networks import TorchNetwork

    network = load_workload(name, batch=2).network
    peer = TorchNetwork(network, torch)
    ours = sorted(math.prod(shape) for shape in parameter_shapes(network).values())
    assert sorted(one.numel() for one in peer.list_parameters()) == ours
    loss = peer.find_loss(torch.zeros(network.input_shape), torch.from_numpy(np.zeros(2, np.int64)))
    loss.backward()
    assert all(one.grad is not None and one.grad.isfinite().all() for one in peer.list_parameters())
