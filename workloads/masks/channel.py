"""Weight masks by channel: inputs of a layer that no filter reads."""

from __future__ import annotations

from typing import ClassVar, Literal

from workloads.masks.groups import AxisMask


class ChannelMask(AxisMask):
    """Keep a share of the channels W[:, c], of a fully connected layer the weights of an input.

    Of a grouped convolution a channel is the one at this place of every group.
    """

    method: Literal["channel"]

    common_axes: ClassVar[tuple[int, ...]] = (1,)
