"""The order in which the layers of a graph can be computed."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence

from workloads.errors import InputError
from workloads.kinds import Layer


def order_layers(
    layers: Sequence[Layer], inputs: Sequence[tuple[str, ...]], sources: Sequence[str], where: Callable[[int], str]
) -> list[int]:
    """Give the layers' indices, inputs first; of those that are ready the one declared first comes next.

    Args:
        inputs: The names that each layer reads.
        sources: What no layer makes.
        where: Gives the words that name the place of a layer in an error.

    Raises:
        InputError: the layers form a cycle.
    """
    readers: dict[str, list[int]] = {}
    for index, names in enumerate(inputs):
        for name in names:
            readers.setdefault(name, []).append(index)
    missing = [len(names) for names in inputs]
    done, order, ready = set(sources), list[int](), list[int]()

    def release(name: str) -> None:
        for index in readers.get(name, ()):
            missing[index] -= 1
            if not missing[index]:
                heapq.heappush(ready, index)

    for source in sources:
        release(source)
    while ready:
        index = heapq.heappop(ready)
        order.append(index)
        done.add(layers[index].name)
        release(layers[index].name)
    if len(order) < len(layers):
        raise InputError(_cycle_message(layers, inputs, done, next(i for i, n in enumerate(missing) if n), where))
    return order


def _cycle_message(
    layers: Sequence[Layer],
    inputs: Sequence[tuple[str, ...]],
    done: set[str],
    start: int,
    where: Callable[[int], str],
) -> str:
    index_of = {layer.name: index for index, layer in enumerate(layers)}
    walk = [start]
    while walk.count(walk[-1]) < 2:
        walk.append(index_of[next(source for source in inputs[walk[-1]] if source not in done)])
    cycle = walk[walk.index(walk[-1]) :]
    first = min(cycle)
    ring = cycle[cycle.index(first) : -1] + cycle[: cycle.index(first)]
    reads = " reads ".join(f"'{layers[index].name}'" for index in [*ring, first])
    return f"{where(first)}: the layers form a cycle: {reads}"
