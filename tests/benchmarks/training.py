"""How fast the host trains: iterations in numpy, with pruning and without, and in torch, in turns on the same batches.

Wall times are those of an idle machine; where others work beside, processor times say more.
"""

from __future__ import annotations

import dataclasses
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any

from benchmarks.child import Clock
from benchmarks.tables import NONE, format_number, format_table
from torch_networks import TorchNetwork

from workloads.optimisers.sgd import Sgd
from workloads.settings import GradientPruning
from workloads.training.batches import Batch
from workloads.training.form import TrainingForm
from workloads.training.hosts.numpy_host import NumpyHost, NumpyTraining
from workloads.training.opening import TrainingChoice, open_training
from workloads.workload import Workload, load_workload

NETWORKS = ("lenet5", "resnet20", "alexnet_cifar", "resnet18_cifar")
RATE = 0.9
RATES = {"plain": 0.0, "pruned": RATE}
OPTIMISER = Sgd(method="sgd", learning_rate=1e-4, momentum=0.9, weight_decay=5e-4)
Train = Callable[[Batch], object]


Times = dict[str, list[float]]


@dataclass(frozen=True)
class TrainingSpeed:
    """Seconds of iterations on a batch, by who trains: `plain` and `pruned` are numpy's, and `torch`.

    Attributes:
        load_s: Of preparing each batch.
    """

    network: str
    batch: int
    threads: int
    train_images: int
    load_s: list[float]
    wall_s: Times
    cpu_s: Times

    @property
    def has_torch(self) -> bool:
        """Whether torch was measured."""
        return "torch" in self.wall_s

    def rate(self, who: str, times: Times) -> float:
        """Give images a second, from the median."""
        return self.batch / median(times[who])

    def compare(self, who: str, other: str, times: Times) -> float:
        """Give the median of how many times longer one takes than the other, pair by pair."""
        return median(one / two for one, two in zip(times[who], times[other], strict=True))

    @property
    def epoch_s(self) -> float:
        """Seconds of an epoch with pruning, without its evaluation."""
        iterations = self.train_images // self.batch
        return iterations * (median(self.load_s) + median(self.wall_s["pruned"]))


def measure_training(network: str, batch: int, repetitions: int, threads: int) -> TrainingSpeed:
    """Measure a preset on the data set that it names; what comes first in its turn changes nothing for the others."""
    workload = choose_form(load_workload(network), batch, threads)
    plan = open_training(workload, TrainingChoice(rate=0))
    trained: dict[str, Train] = {who: start_numpy(workload, rate) for who, rate in RATES.items()}
    if importlib.util.find_spec("torch") is not None:
        trained["torch"] = start_torch(workload, threads)
    load_s: list[float] = []
    wall_s: Times = {who: [] for who in trained}
    cpu_s: Times = {who: [] for who in trained}
    # Behind the first iterations the thresholds' FIFO is full, and everything is compiled.
    unmeasured = 1 + GradientPruning(rate=RATE).fifo_depth
    for number in range(unmeasured + repetitions):
        clock = Clock.start()
        given = plan.load_batch(number % plan.epoch_iterations)
        if number >= unmeasured:
            load_s.append(clock.read()[0])
        for who, train in trained.items():
            clock = Clock.start()
            train(given)
            if number >= unmeasured:
                wall, cpu = clock.read()
                wall_s[who].append(wall)
                cpu_s[who].append(cpu)
    return TrainingSpeed(network, batch, threads, len(plan.train.dataset.images), load_s, wall_s, cpu_s)


def choose_form(workload: Workload, batch: int, threads: int) -> Workload:
    """Give a workload the same simple training, whatever its own is."""
    form = TrainingForm(epochs=1, batch=batch, optimiser=OPTIMISER, threads=threads)
    return dataclasses.replace(workload, form=workload.form.model_copy(update={"training": form}))


def start_numpy(workload: Workload, rate: float) -> Train:
    """Start a training of the reference."""
    plan = open_training(workload, TrainingChoice(rate=rate))
    training: NumpyTraining = NumpyHost().open(plan, plan.begin())
    return training.train_batch


def start_torch(workload: Workload, threads: int) -> Train:
    """Start a training of the same network in torch."""
    import torch

    torch.set_num_threads(threads)
    plan = open_training(workload, TrainingChoice(rate=0))
    network = TorchNetwork(plan.network, torch)
    optimiser: Any = torch.optim.SGD(
        network.list_parameters(), OPTIMISER.learning_rate, OPTIMISER.momentum, weight_decay=OPTIMISER.weight_decay
    )

    def train(batch: Batch) -> None:
        loss = network.find_loss(torch.from_numpy(batch.images), torch.from_numpy(batch.targets.labels).long())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()

    return train


def describe_training(measured: list[TrainingSpeed]) -> str:
    """Tabulate images a second, of wall time and of processor time, and an epoch with pruning."""
    header = ["network", "time", "numpy images/s", "pruned images/s", "torch images/s", "numpy / torch",
              "pruning adds", "epoch s"]  # fmt: skip
    rows = []
    for one in measured:
        for name, times in (("wall", one.wall_s), ("processor", one.cpu_s)):
            rows.append([
                one.network, name, format_number(one.rate("plain", times)), format_number(one.rate("pruned", times)),
                format_number(one.rate("torch", times)) if one.has_torch else NONE,
                f"{one.compare('torch', 'plain', times):.2f}" if one.has_torch else NONE,
                f"{one.compare('pruned', 'plain', times) - 1:.1%}",
                f"{format_number(one.epoch_s)} of {one.train_images} images" if name == "wall" else NONE,
            ])  # fmt: skip
    return format_table(header, rows)
