"""The rectifier."""

from __future__ import annotations

from typing import Literal

from workloads.kinds.rectifier import Rectifier


class Relu(Rectifier):
    """max(x, 0)."""

    type: Literal["relu"]
