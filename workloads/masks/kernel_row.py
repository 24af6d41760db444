"""Weight masks by kernel row: what a row operation reads of the weights."""

from __future__ import annotations

from typing import ClassVar, Literal

from workloads.masks.groups import AxisMask


class KernelRowMask(AxisMask):
    """Keep a share of the kernel rows W[m, c, r], of a fully connected layer of the single weights."""

    method: Literal["kernel_row"]

    common_axes: ClassVar[tuple[int, ...]] = (0, 1, 2)
