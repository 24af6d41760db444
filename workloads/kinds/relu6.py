"""The rectifier with an upper end."""

from __future__ import annotations

import dataclasses
from typing import ClassVar, Literal

from workloads.kinds.layer import Traits
from workloads.kinds.rectifier import RELU, Rectifier

CEILING = 6.0


class Relu6(Rectifier):
    """min(max(x, 0), 6): a ReLU, but that the mask behind it leaves out what is cut off at 6 too."""

    traits: ClassVar[Traits] = dataclasses.replace(RELU, ceiling=CEILING)

    type: Literal["relu6"]
