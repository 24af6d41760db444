"""Threads that share work, and the memory that each keeps for what it computes on the way."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from workloads.reference.scratch import KEPT_BYTES, take_scratch
from workloads.workers import share_out, shared_work


def test_every_part_is_done_once_on_any_number_of_threads() -> None:
    for workers in (1, 2, 7):
        done = np.zeros(100, np.int64)

        def count(part: int, done: np.ndarray = done) -> None:  # type: ignore[type-arg]
            done[part] += 1

        with shared_work(workers):
            share_out(count, len(done))
        assert done.tolist() == [1] * len(done)


def test_outside_of_a_block_the_caller_does_all() -> None:
    threads = set()
    share_out(lambda _: threads.add(threading.get_ident()), 5)
    assert threads == {threading.get_ident()}


def test_two_threads_work_at_the_same_time_and_in_the_errstate_of_the_caller() -> None:
    both = threading.Barrier(2)
    states = []

    def meet(_: int) -> None:
        # Nobody passes alone: with one thread this would wait for good.
        both.wait(timeout=60)
        states.append(np.geterr()["divide"])

    with shared_work(2), np.errstate(divide="ignore"):
        share_out(meet, 2)
    assert states == ["ignore", "ignore"]


@pytest.mark.parametrize("workers", [1, 2])
def test_what_a_part_raises_is_raised(workers: int) -> None:
    def fail(part: int) -> None:
        raise ValueError(f"part {part}")

    with shared_work(workers), pytest.raises(ValueError, match=r"^part [01]$"):
        share_out(fail, 2)


def test_work_does_not_wait_for_threads_that_others_keep_busy() -> None:
    ended, begun = threading.Event(), threading.Semaphore(0)
    callers = []

    def block(_: int) -> None:
        begun.release()
        assert ended.wait(timeout=60)

    def keep_busy() -> None:
        with shared_work(64):
            share_out(block, 64)

    callers.append(threading.Thread(target=keep_busy))
    callers[0].start()
    assert begun.acquire(timeout=60)
    done: list[int] = []
    with shared_work(64):
        share_out(done.append, 200)
    assert sorted(done) == list(range(200))
    ended.set()
    callers[0].join()


def test_a_part_that_shares_out_work_of_its_own_does_it_alone() -> None:
    done = np.zeros((4, 3), np.int64)

    def share(part: int) -> None:
        def count(inner: int) -> None:
            done[part, inner] += 1

        share_out(count, 3)

    with shared_work(2):
        share_out(share, 4)
    assert (done == 1).all()


def test_scratch_of_one_use_is_the_same_memory_and_that_of_another_is_not() -> None:
    first = take_scratch("test", (4, 8), np.float64)
    again, other = take_scratch("test", (16,), np.float32), take_scratch("test 2", (16,), np.float32)
    assert np.shares_memory(first, again)
    assert not np.shares_memory(first, other)
    assert again.shape == (16,)
    assert again.dtype == np.float32


def test_each_thread_has_scratch_of_its_own() -> None:
    own, others = take_scratch("test", (8,), np.float32), []
    thread = threading.Thread(target=lambda: others.append(take_scratch("test", (8,), np.float32)))
    thread.start()
    thread.join()
    assert not np.shares_memory(own, others[0])


def test_large_scratch_is_not_kept() -> None:
    shape = (KEPT_BYTES // 4 + 1,)
    assert not np.shares_memory(take_scratch("large", shape, np.float32), take_scratch("large", shape, np.float32))
