"""Check the cycle-stepped timing against cases worked out by hand."""

from __future__ import annotations

import heapq
from dataclasses import replace

import numpy as np
import pytest
from oracle.stepped_records import Machine, StepTimes, TimedTask, TimedTile
from oracle.stepped_timing import run_tiles

INSTANT = Machine(
    groups=1,
    ports=None,
    bytes_per_port_cycle=None,
    dram_bytes_per_cycle=None,
    dram_latency_cycles=0,
    elements_per_cycle=None,
    prefetch_next_task=False,
)
ONE_PORT = replace(INSTANT, ports=1, bytes_per_port_cycle=4)


def task_of(*bursts: tuple[int, tuple[int, ...]], read: int = 0, elements: int = 0, write: int = 0) -> TimedTask:
    return TimedTask(bursts, ppu_read_bytes=read, elements=elements, write_bytes=write)


def time_tasks(machine: Machine, *tasks: TimedTask) -> StepTimes:
    return run_tiles([TimedTile(tasks, load_bytes=0, write_back_bytes=0)], machine)


def test_one_task_passes_load_fetch_compute_ppu_and_write_back_in_turn() -> None:
    machine = replace(ONE_PORT, dram_bytes_per_cycle=8, dram_latency_cycles=10, elements_per_cycle=2)
    tile = TimedTile((task_of((9, (5, 3)), read=5, elements=7, write=13),), load_bytes=17, write_back_bytes=25)
    times = run_tiles([tile], machine)
    load, fetch, compute, post = 10 + 3, 3, 5, 2 + 4 + 4
    write_back = 10 + 4
    assert times.cycles == load + fetch + compute + post + write_back
    assert times.wait_dram == (load,)
    assert times.wait_operands == (fetch,)
    assert times.busy == (compute,)
    assert times.wait_ppu == (0,)
    assert times.idle == (post + write_back,)
    assert (times.ports_busy, times.dram_busy, times.ppu_busy) == (3 + 2 + 4, 3 + 4, 4)
    assert (times.dram_read_bytes, times.dram_write_bytes) == (17, 25)
    assert (times.buffer_read_bytes, times.buffer_write_bytes) == (9 + 5, 13)


def test_two_halves_hide_the_fetch_of_the_next_burst_only() -> None:
    times = time_tasks(ONE_PORT, task_of((8, (5,)), (8, (5,)), (40, (1,))))
    # Burst 2 is requested when burst 0 ends at 2 + 5, and needs 10 cycles.
    assert times.cycles == 2 + 5 + 10 + 1
    assert times.wait_operands == (2 + 5,)
    assert times.busy == (5 + 5 + 1,)


def test_each_pe_goes_through_the_bursts_on_its_own() -> None:
    two_ports = replace(ONE_PORT, ports=2)
    times = time_tasks(two_ports, task_of((4, (5, 1)), (4, (1, 5))))
    assert times.cycles == 1 + (5 + 1)
    one_burst_late = time_tasks(two_ports, task_of((4, (5, 1)), (12, (1, 5))))
    # PE 1 waits for the second burst until 3; PE 0 hides that from the group's busy time.
    assert one_burst_late.cycles == 3 + 5
    assert one_burst_late.busy == (7,)


def test_a_half_is_free_only_when_all_pes_have_ended_its_burst() -> None:
    times = time_tasks(replace(ONE_PORT, ports=9), task_of((4, (9, 0)), (4, (0, 0)), (4, (0, 3))))
    assert times.cycles == 1 + 9 + 1 + 3
    assert times.wait_operands == (1 + 1,)


def test_a_burst_that_arrives_early_waits_for_the_one_before() -> None:
    times = time_tasks(replace(ONE_PORT, ports=2), task_of((40, (2,)), (4, (3,))))
    assert times.cycles == 10 + 2 + 3
    assert times.wait_operands == (10,)


def test_a_group_stalls_while_both_places_of_its_ppu_are_taken() -> None:
    machine = replace(INSTANT, elements_per_cycle=1)
    times = time_tasks(machine, *[task_of((4, (2,)), elements=10)] * 4)
    # Results go into process at 2, 12, 22, 32; a task's results may wait while another's are in process.
    assert times.cycles == 2 + 4 * 10
    assert times.busy == (4 * 2,)
    # Task 2 has ended at 6 and waits for the place that is free at 12; task 3 has ended at 14 and waits until 22.
    assert times.wait_ppu == ((12 - 6) + (22 - 14),)
    assert times.idle == (20,)
    assert times.ppu_busy == 4 * 10


def test_results_stay_in_process_until_their_write_has_ended() -> None:
    machine = replace(INSTANT, ports=1, bytes_per_port_cycle=4, elements_per_cycle=1)
    times = time_tasks(machine, *[task_of((0, (1,)), read=4, elements=2, write=12)] * 3)
    assert times.cycles == 1 + 3 * (1 + 2 + 3)
    assert times.ports_busy == 3 * (1 + 3)


def test_a_ppu_request_goes_before_operand_fetches_of_the_same_cycle() -> None:
    two_groups = replace(ONE_PORT, groups=2)
    first = task_of((4, (1,)), write=8)
    times = time_tasks(two_groups, first, task_of((8, (1,))), task_of((4, (1,))))
    # Port: group 0 until 1, group 1 until 3 (requested at 0), write of group 0 until 5, its next burst until 6.
    assert times.cycles == 6 + 1
    assert times.wait_operands == (1 + (6 - 2), 3)


def test_the_lower_group_then_the_lower_burst_is_served_first() -> None:
    two_groups = replace(ONE_PORT, groups=2)
    long = task_of((8, (1,)), (8, (1,)))
    times = time_tasks(two_groups, long, long)
    assert times.busy == (2, 2)
    # Group 0 has both of its bursts before group 1 has its first.
    assert times.wait_operands == (2 + 1, 4 + 2 + 1)
    assert times.cycles == 4 * 2 + 1


def test_an_older_request_goes_before_a_ppu_request() -> None:
    two_groups = replace(ONE_PORT, groups=2)
    times = time_tasks(two_groups, task_of((4, (1,)), write=40), task_of((4, (1,)), (4, (1,))))
    # All three operand requests are of border 0; the write of border 2 comes behind them.
    assert times.cycles == 3 + 10
    assert times.wait_operands == (1, 2)


def test_a_prefetched_task_is_fetched_while_the_last_burst_is_worked() -> None:
    tasks = [task_of((12, (5,)), write=0)] * 3
    off = time_tasks(ONE_PORT, *tasks)
    assert off.cycles == 3 * (3 + 5)
    on = time_tasks(replace(ONE_PORT, prefetch_next_task=True), *tasks)
    assert on.cycles == 3 + 3 * 5
    assert on.wait_operands == (3,)


def test_a_prefetched_task_continues_the_sequence_of_halves() -> None:
    machine = replace(ONE_PORT, ports=4, prefetch_next_task=True)
    times = time_tasks(machine, task_of((4, (6,)), (4, (6,))), task_of((4, (1,)), (20, (1,))))
    # Handed over at 1 + 6, when the half of burst 0 is free; burst 3 is requested when burst 1 ends at 13.
    assert times.cycles == 1 + 6 + 6 + 5 + 1
    assert times.wait_operands == (1 + 4,)


def test_no_pe_starts_on_the_next_task_before_the_results_are_handed_over() -> None:
    machine = replace(INSTANT, elements_per_cycle=1, prefetch_next_task=True)
    slow = task_of((4, (1, 9)), elements=30)
    times = time_tasks(machine, slow, slow, slow)
    # Ended at 9, 18, 27; the third waits for the place that is free at 9 + 30.
    assert times.cycles == 9 + 3 * 30
    assert times.busy == (27,)
    assert times.wait_ppu == (9 + 30 - 27,)


def test_the_first_pe_on_the_last_burst_calls_for_the_next_task() -> None:
    machine = replace(ONE_PORT, groups=2, ports=9, prefetch_next_task=True)
    second, third, fourth = (task_of((size, (cycles, 0))) for size, cycles in ((20, 8), (4, 3), (4, 2)))
    # PE 1 of group 0 starts on its last burst at 1, group 1 at 5: group 0 takes the third task.
    early = time_tasks(machine, task_of((4, (9, 0)), (4, (1, 0))), second, third, fourth)
    assert early.busy == (9 + 1 + 3, 8 + 2)
    # Without an output in PE 1, group 0 starts on its last burst at 10 and takes the fourth task.
    late = time_tasks(machine, task_of((4, (9,)), (4, (1,))), second, third, fourth)
    assert late.busy == (9 + 1 + 2, 8 + 3)


def test_the_group_that_is_free_first_gets_the_next_task() -> None:
    times = time_tasks(replace(INSTANT, groups=2), *[task_of((4, (cycles,))) for cycles in (5, 3, 4, 1)])
    assert times.busy == (5 + 1, 3 + 4)
    assert times.cycles == 7
    assert times.idle == (1, 0)


def test_loads_and_write_backs_share_the_channel_in_the_order_of_request() -> None:
    machine = replace(INSTANT, dram_bytes_per_cycle=1, dram_latency_cycles=10)
    tile = TimedTile((task_of((4, (2,))),), load_bytes=5, write_back_bytes=7)
    times = run_tiles([tile] * 3, machine)
    # Loads end at 15 and 20. Tile 0 ends at 17: write-back 27..34, load 34..39. Tile 1 ends at 22: write-back 39..46.
    # Tile 2 runs from 39 to 41: write-back from 51 to 58.
    assert times.cycles == 58
    assert times.wait_dram == (15 + (20 - 17) + (39 - 22),)
    assert times.busy == (3 * 2,)
    assert times.idle == (58 - 41,)
    assert times.dram_busy == 3 * (5 + 7)


def test_no_task_is_handed_over_across_tiles() -> None:
    machine = replace(ONE_PORT, groups=2, prefetch_next_task=True)
    tiles = [TimedTile((task_of((4, (5,))), task_of((4, (2,)))), 0, 0), TimedTile((task_of((8, (3,))),), 0, 0)]
    times = run_tiles(tiles, machine)
    assert times.cycles == (1 + 5) + (2 + 3)
    assert times.busy == (5 + 3, 2)
    # Group 1 has no task left from 4 to 6 and waits for nothing.
    assert times.idle == (0, (6 - 4) + 5)
    assert times.wait_operands == (1 + 2, 2)


def test_the_next_tile_starts_when_the_last_ppu_write_has_ended() -> None:
    machine = replace(ONE_PORT, elements_per_cycle=1)
    tile = TimedTile((task_of((4, (1,)), elements=6, write=8),), 0, 0)
    times = run_tiles([tile, tile], machine)
    assert times.cycles == 2 * (1 + 1 + 6 + 2)
    # From the end of the task to the end of its write the group waits for the next tile, in the last tile for nothing.
    assert times.wait_dram == (6 + 2,)
    assert times.idle == (6 + 2,)


def test_a_task_without_bursts_still_passes_the_ppu() -> None:
    machine = replace(INSTANT, elements_per_cycle=1)
    times = time_tasks(machine, task_of(elements=4, write=3), task_of(elements=4, write=3), task_of(elements=4))
    assert times.cycles == 3 * 4
    assert times.buffer_write_bytes == 3 + 3
    # The third ends at 0 as the others do and is stalled until the first has left the PPU.
    assert times.wait_ppu == (4,)


def test_a_step_without_tiles_takes_no_time() -> None:
    assert run_tiles([], INSTANT).cycles == 0


@pytest.mark.parametrize("seed", range(20))
def test_the_unlimited_machine_is_list_scheduling(seed: int) -> None:
    random = np.random.default_rng([seed, 7])
    groups = int(random.integers(1, 5))
    cycles = [tuple(int(value) for value in random.integers(1, 9, size=3)) for _ in range(int(random.integers(0, 20)))]
    times = time_tasks(
        replace(INSTANT, groups=groups), *[task_of((6, pes), read=2, elements=5, write=3) for pes in cycles]
    )
    free = [(0, group) for group in range(groups)]
    busy = [0] * groups
    for pes in cycles:
        start, group = heapq.heappop(free)
        busy[group] += max(pes)
        heapq.heappush(free, (start + max(pes), group))
    assert times.cycles == max(start for start, _ in free)
    assert times.busy == tuple(busy)


@pytest.mark.parametrize("seed", range(30))
def test_the_five_reasons_sum_to_the_total_for_every_group(seed: int) -> None:
    random = np.random.default_rng([seed, 11])

    def draw(limit: int) -> int:
        return int(random.integers(0, limit))

    def draw_task() -> TimedTask:
        pes = 1 + draw(3)
        bursts = [(draw(40), tuple(draw(9) for _ in range(pes))) for _ in range(draw(4))]
        return task_of(*bursts, read=draw(9), elements=draw(12), write=draw(20))

    tiles = [TimedTile(tuple(draw_task() for _ in range(draw(8))), draw(90), draw(90)) for _ in range(draw(5))]
    machine = Machine(
        groups=1 + draw(4),
        ports=1 + draw(3),
        bytes_per_port_cycle=4,
        dram_bytes_per_cycle=4,
        dram_latency_cycles=draw(20),
        prefetch_next_task=bool(draw(2)),
    )
    times = run_tiles(tiles, machine)
    reasons = (times.busy, times.wait_ppu, times.wait_dram, times.wait_operands, times.idle)
    assert [sum(waits) for waits in zip(*reasons, strict=True)] == [times.cycles] * machine.groups
    port_bytes = [(size, 4) for tile in tiles for task in tile.tasks for size, _ in task.bursts]
    port_bytes += [
        (size, 4) for tile in tiles for task in tile.tasks for size in (task.ppu_read_bytes, task.write_bytes)
    ]
    assert times.ports_busy == sum(-(-size // width) for size, width in port_bytes)
    assert times.dram_busy == sum(-(-size // 4) for tile in tiles for size in (tile.load_bytes, tile.write_back_bytes))
    assert times.ppu_busy == sum(task.elements for tile in tiles for task in tile.tasks)


def test_bursts_of_a_task_that_name_different_pes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^The bursts of a task name \[1, 2\] PEs; every burst must name the same\.$"):
        task_of((4, (1,)), (4, (1, 2)))


def test_a_negative_size_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^A task holds the negative size -3; every size must be at least 0\.$"):
        task_of((4, (1,)), write=-3)


def test_a_machine_without_ports_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^Machine field ports is 0; it must be at least 1\.$"):
        Machine(ports=0)
