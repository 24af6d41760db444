"""Schedules against those of torch, iteration by iteration."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from peers import import_peer
from schedule_cases import CASES, EPOCH_ITERATIONS, ITERATIONS, LEARNING_RATE, list_rates

torch = import_peer("torch")


def list_rates_of_torch(warmup: int, name: str, arguments: dict[str, Any], every: int) -> list[float]:
    """Give torch's learning rates; its linear warm-up ends one iteration before the schedule begins."""
    optimiser = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=LEARNING_RATE)
    rates = []
    if warmup:
        first = torch.optim.lr_scheduler.LinearLR(optimiser, start_factor=1 / warmup, total_iters=warmup - 1)
        for _ in range(warmup):
            rates.append(optimiser.param_groups[0]["lr"])
            optimiser.step()
            first.step()
    optimiser = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=LEARNING_RATE)
    then = getattr(torch.optim.lr_scheduler, name)(optimiser, **arguments)
    for number in itertools.count(1):
        if len(rates) == ITERATIONS:
            return rates
        rates.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        if number % every == 0:
            then.step()
    raise AssertionError


@pytest.mark.peers
@pytest.mark.parametrize("case", CASES, ids=[case[0] for case in CASES])
def test_twenty_learning_rates_are_those_of_torch(case: tuple[str, dict[str, Any], str, dict[str, Any], int]) -> None:
    _, schedule, name, arguments, every = case
    warmup = schedule.get("warmup_epochs", 0) * EPOCH_ITERATIONS
    # torch multiplies the last rate on and on: some roundings each time.
    assert list_rates(schedule) == pytest.approx(list_rates_of_torch(warmup, name, arguments, every), rel=1e-12)
