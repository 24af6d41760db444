"""Weight masks by shape: places within a filter that are zero in all filters."""

from __future__ import annotations

from typing import ClassVar, Literal

from workloads.masks.groups import AxisMask


class ShapeMask(AxisMask):
    """Keep a share of the places W[:, c, r, s], of a fully connected layer the weights of an input."""

    method: Literal["shape"]

    common_axes: ClassVar[tuple[int, ...]] = (1, 2, 3)
