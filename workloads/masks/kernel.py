"""Weight masks by kernel: connections of a filter with a channel."""

from __future__ import annotations

from typing import ClassVar, Literal

from workloads.masks.groups import AxisMask


class KernelMask(AxisMask):
    """Keep a share of the kernels W[m, c], of a fully connected layer of the single weights."""

    method: Literal["kernel"]

    common_axes: ClassVar[tuple[int, ...]] = (0, 1)
