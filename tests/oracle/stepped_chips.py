"""Sums of gradients over chips, cycle by cycle and message by message, with every chip and every link of its own.

Nothing here is known of hops that stand for all chips alike: a chip of the ring passes a part on when it has received
the one before, and a node of the tree when it has heard from all below it, or from above.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import ceil

# A message: the reduction's number, and what it means to the chip that receives it.
Message = tuple[int, str, int]


@dataclass
class Wire:
    """A link in one direction: whoever asked first is sent first, then the reduction of the lower number."""

    target: int
    asked: list[tuple[int, int, Message, int]] = field(default_factory=list)
    sending: tuple[int, Message] | None = None


@dataclass
class Chips:
    """A cluster in the making: its wires by (from, to), messages under way, and what each chip has received."""

    count: int
    bytes_per_cycle: float
    latency: int
    wires: dict[tuple[int, int], Wire] = field(default_factory=dict)
    arrivals: list[tuple[int, int, Message]] = field(default_factory=list)
    last: dict[int, int] = field(default_factory=dict)

    def send(self, now: int, source: int, target: int, message: Message, size: int) -> None:
        wire = self.wires.setdefault((source, target), Wire(target))
        wire.asked.append((now, message[0], message, ceil(size / self.bytes_per_cycle)))

    def step(self, now: int, receive: Callable[[int, int, Message], None]) -> None:
        """Let transfers end, messages arrive, and wires take the next of those that asked."""
        moved = True
        while moved:
            moved = False
            for wire in self.wires.values():
                if wire.sending is not None and wire.sending[0] == now:
                    self.arrivals.append((now + self.latency, wire.target, wire.sending[1]))
                    wire.sending, moved = None, True
            for arrival in [one for one in self.arrivals if one[0] == now]:
                self.arrivals.remove(arrival)
                receive(now, arrival[1], arrival[2])
                moved = True
        for wire in self.wires.values():
            if wire.sending is None and wire.asked:
                first = min(wire.asked, key=lambda one: one[:2])
                wire.asked.remove(first)
                wire.sending = (now + first[3], first[2])

    def is_idle(self) -> bool:
        return not self.arrivals and all(wire.sending is None and not wire.asked for wire in self.wires.values())


def run_ring(chips: Chips, sums: Sequence[tuple[int, int]]) -> list[int]:
    """Give the cycle in which each sum is everywhere; a sum is (ready, bytes)."""
    N = chips.count
    parts = [-(-size // N) for _, size in sums]

    def receive(now: int, chip: int, message: Message) -> None:
        number, _, stage = message
        chips.last[number] = now
        if stage + 1 < 2 * (N - 1):
            chips.send(now, chip, (chip + 1) % N, (number, "part", stage + 1), parts[number])

    def begin(now: int, number: int) -> None:
        for chip in range(N):
            chips.send(now, chip, (chip + 1) % N, (number, "part", 0), parts[number])

    return run_cycles(chips, sums, begin, receive)


def run_tree(chips: Chips, sums: Sequence[tuple[int, int]]) -> list[int]:
    """Give the cycle in which each sum is everywhere; chip i hangs below chip (i - 1) // 2."""
    N = chips.count
    below = {chip: [other for other in (2 * chip + 1, 2 * chip + 2) if other < N] for chip in range(N)}
    missing = {(number, chip): len(below[chip]) + 1 for number in range(len(sums)) for chip in range(N)}

    def pass_down(now: int, chip: int, number: int) -> None:
        for other in below[chip]:
            chips.send(now, chip, other, (number, "down", 0), sums[number][1])

    def hear(now: int, chip: int, number: int) -> None:
        missing[number, chip] -= 1
        if missing[number, chip]:
            return
        if chip:
            chips.send(now, chip, (chip - 1) // 2, (number, "up", 0), sums[number][1])
        else:
            pass_down(now, chip, number)

    def receive(now: int, chip: int, message: Message) -> None:
        number, way, _ = message
        if way == "up":
            hear(now, chip, number)
        else:
            chips.last[number] = now
            pass_down(now, chip, number)

    def begin(now: int, number: int) -> None:
        for chip in range(N):
            hear(now, chip, number)

    return run_cycles(chips, sums, begin, receive)


def run_cycles(
    chips: Chips,
    sums: Sequence[tuple[int, int]],
    begin: Callable[[int, int], None],
    receive: Callable[[int, int, Message], None],
) -> list[int]:
    """Step through the cycles until nothing is under way."""
    now, left = 0, set(range(len(sums)))
    while left or not chips.is_idle():
        for number in sorted(left):
            if sums[number][0] == now:
                left.remove(number)
                begin(now, number)
        chips.step(now, receive)
        now += 1
    return [chips.last[number] for number in range(len(sums))]
