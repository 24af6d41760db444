"""The number of BLAS threads is what a block asks for, and afterwards what it was, whoever asks at the same time."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli.command import write_small
from threadpoolctl import threadpool_info, threadpool_limits

from sim import simulate
from sim.run import Progress
from workloads.reference import fixed_blas_threads

DEADLINE_S = 120


def count_threads() -> set[int]:
    return {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}


@pytest.fixture(autouse=True)
def _three_threads() -> Iterator[None]:
    with threadpool_limits(3, user_api="blas"):
        yield


def test_blocks_of_two_threads_that_end_in_the_order_they_began_give_back_the_number_before() -> None:
    is_inside, may_end = threading.Event(), threading.Event()

    def hold() -> None:
        with fixed_blas_threads(1):
            is_inside.set()
            assert may_end.wait(DEADLINE_S)

    thread = threading.Thread(target=hold)
    with fixed_blas_threads(1):
        thread.start()
        assert is_inside.wait(DEADLINE_S)
    assert count_threads() == {1}
    may_end.set()
    thread.join(DEADLINE_S)
    assert count_threads() == {3}


def test_a_block_with_another_number_waits_for_those_of_other_threads_and_nested_ones_do_not() -> None:
    seen: list[set[int]] = []
    is_entered, started = threading.Event(), threading.Event()

    def ask_for_two() -> None:
        started.set()
        with fixed_blas_threads(2):
            is_entered.set()
            seen.append(count_threads())

    with fixed_blas_threads(1):
        thread = threading.Thread(target=ask_for_two)
        thread.start()
        assert started.wait(DEADLINE_S)
        with fixed_blas_threads(2):
            assert count_threads() == {2}
        assert count_threads() == {1}
        assert not is_entered.is_set()
    thread.join(DEADLINE_S)
    assert (seen, count_threads()) == ([{2}], {3})


def test_a_block_that_raises_gives_back_the_number_before() -> None:
    with pytest.raises(ZeroDivisionError), fixed_blas_threads(1):
        raise ZeroDivisionError
    assert count_threads() == {3}


def test_the_number_is_as_before_when_a_run_returns_raises_or_is_one_of_several(tmp_path: Path) -> None:
    workload = tmp_path / write_small(tmp_path)
    simulate(workload)
    assert count_threads() == {3}

    def stop(_: Progress) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError) as kept:
        simulate(workload, on_progress=stop)
    assert (kept.type, count_threads()) == (ZeroDivisionError, {3})
    verdicts: list[bool] = []
    threads = [
        threading.Thread(target=lambda: verdicts.append(simulate(workload, seed=1).is_correct)) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE_S)
    assert (verdicts, count_threads()) == ([True] * 4, {3})
