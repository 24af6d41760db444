"""Describe a convolution or a transposed one, and time its row operations.

A transposed convolution is described by the convolution K whose input is its output and whose output is its input; all
sizes here are K's, and only the names of its tensors and steps are the layer's own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from oracle.stepped_lowering import Tensor
from oracle.stepped_records import Machine, divide_up

Pair = tuple[int, int]
TRANSPOSED_WALKS = {"forward": "gta", "gta": "forward", "gtw": "gtw"}


@dataclass(frozen=True)
class Conv:
    """Describe a convolution and the images it works on.

    stride, dilation: one number, or (height, width). padding: one number, or (top, left, bottom, right). out_size: rows
    and columns of the output where they are given, else what the geometry makes them.
    """

    name: str
    batch: int
    in_channels: int
    in_height: int
    in_width: int
    out_channels: int
    kernel_height: int
    kernel_width: int
    stride: int | Pair = 1
    padding: int | tuple[int, int, int, int] = 0
    groups: int = 1
    dilation: int | Pair = 1
    is_transposed: bool = False
    out_size: Pair | None = None

    def __post_init__(self) -> None:
        """Refuse groups that do not divide the channels and a kernel larger than the padded image."""
        if self.in_channels % self.groups or self.out_channels % self.groups:
            raise ValueError(f"Layer {self.name} has {self.groups} groups, which must divide both channel counts.")
        if self.out_height < 1 or self.out_width < 1:
            raise ValueError(
                f"Layer {self.name} has an output of {self.out_height} x {self.out_width}; allowed is 1 x 1."
            )

    @property
    def tensor_shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shapes of input, weight and output, of a transposed convolution its own."""
        images = (
            (self.batch, self.in_channels, self.in_height, self.in_width),
            (self.batch, self.out_channels, self.out_height, self.out_width),
        )
        return {
            "input": images[self.is_transposed],
            "weight": (self.out_channels, self.in_channels // self.groups, self.kernel_height, self.kernel_width),
            "output": images[not self.is_transposed],
        }

    def find_walk(self, step: str) -> str:
        """Return the step of K that a step of the layer is."""
        return TRANSPOSED_WALKS[step] if self.is_transposed else step

    @property
    def pads(self) -> tuple[int, int, int, int]:
        """Return the padding of each side: top, left, bottom, right."""
        return (self.padding,) * 4 if isinstance(self.padding, int) else self.padding

    @property
    def strides(self) -> Pair:
        """Return the strides of height and width."""
        return (self.stride, self.stride) if isinstance(self.stride, int) else self.stride

    @property
    def dilations(self) -> Pair:
        """Return the dilations of height and width."""
        return (self.dilation, self.dilation) if isinstance(self.dilation, int) else self.dilation

    def _count_places(self, axis: int) -> int:
        size, kernel = (self.in_height, self.in_width)[axis], (self.kernel_height, self.kernel_width)[axis]
        padded = size + self.pads[axis] + self.pads[axis + 2]
        return (padded - self.dilations[axis] * (kernel - 1) - 1) // self.strides[axis] + 1

    @property
    def out_height(self) -> int:
        """Return P."""
        return self._count_places(0) if self.out_size is None else self.out_size[0]

    @property
    def out_width(self) -> int:
        """Return Q."""
        return self._count_places(1) if self.out_size is None else self.out_size[1]

    def meet(self, axis: int, place: int, tap: int) -> int:
        """Return the place of the input, in range or not, that an output meets under a tap: place U + tap D - pad."""
        return place * self.strides[axis] + tap * self.dilations[axis] - self.pads[axis]

    def find_height(self, p: int, r: int) -> int | None:
        """Return the row of the ifmap that row p meets under kernel row r, None out of range."""
        h = self.meet(0, p, r)
        return h if 0 <= h < self.in_height else None

    def find_out_height(self, h: int, r: int) -> int | None:
        """Return the row p of the ofmap that meets row h under kernel row r, None if there is none in range."""
        p, rest = divmod(h - self.meet(0, 0, r), self.strides[0])
        return p if rest == 0 and 0 <= p < self.out_height else None

    def find_in_window(self, outputs: range) -> range:
        """Return the columns of the ifmap that a run of output columns reads, whether or not a tap falls on them."""
        first, last = self.meet(1, outputs[0], 0), self.meet(1, outputs[-1], self.kernel_width - 1)
        start = max(first, 0)
        return range(start, max(start, min(last + 1, self.in_width)))

    def find_out_window(self, columns: range) -> range:
        """Return the columns of the ofmap whose reach meets a run of columns of the ifmap."""
        met = [
            q
            for q in range(self.out_width)
            if self.meet(1, q, 0) < columns.stop and self.meet(1, q, self.kernel_width - 1) >= columns.start
        ]
        return range(met[0], met[-1] + 1) if met else range(0)


def time_row(driver: Tensor, window: Iterable[int], list_taps: Callable[[int], list[bool]], machine: Machine) -> int:
    """Return the cycles of a row operation; list_taps says of each in-range tap of an element whether it is live."""
    cycles = machine.row_overhead_cycles
    for place in window:
        taps = list_taps(place)
        if not machine.skip_zeros:
            cycles += divide_up(len(taps), machine.multipliers_per_pe)
        elif driver[place] != 0:
            cycles += max(machine.empty_issue_cycles, divide_up(sum(taps), machine.multipliers_per_pe))
    return cycles
