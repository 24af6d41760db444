"""A step as its layer's shape alone tells it, before any operand is there."""

from __future__ import annotations

from dataclasses import dataclass

from workloads.shapes import LayerShape, Step


@dataclass(frozen=True, slots=True)
class StepForm:
    """What is known of a step before anything runs.

    Attributes:
        has_mask: Whether the PPU or the PEs read a mask of what is written.
        summed: Gradients that are added to what is written.
    """

    layer: str
    shape: LayerShape
    step: Step
    has_mask: bool = False
    summed: int = 0
