"""Weight masks by filter: outputs of a layer whose weights are all zero."""

from __future__ import annotations

from typing import ClassVar, Literal

from workloads.masks.groups import AxisMask


class FilterMask(AxisMask):
    """Keep a share of the filters W[m], of a fully connected layer the weights of an output."""

    method: Literal["filter"]

    common_axes: ClassVar[tuple[int, ...]] = (0,)
